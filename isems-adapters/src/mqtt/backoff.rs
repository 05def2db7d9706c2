//! The pauses between attempts to connect.

use std::time::Duration;

/// Pauses that double from a shortest to a longest one.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min.min(max) }
    }

    /// The next pause. `dice` moves it between half and all of its length, so
    /// that many clients of a restarted broker do not all come at once.
    pub(super) fn pause(&mut self, dice: u32) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.max);
        let half = whole / 2;
        half + half.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }

    /// Begins with the shortest pause again.
    pub(super) fn reset(&mut self) {
        self.next = self.min.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(secs(1), secs(60));
        let pauses: Vec<u64> = (0..8).map(|_| backoff.pause(u32::MAX).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn chance_shortens_a_pause_to_half_at_most() {
        assert_eq!(Backoff::new(secs(8), secs(60)).pause(0), secs(4));
    }

    #[test]
    fn success_begins_again_with_the_shortest() {
        let mut backoff = Backoff::new(secs(1), secs(60));
        backoff.pause(0);
        backoff.pause(0);
        backoff.reset();
        assert_eq!(backoff.pause(u32::MAX), secs(1));
    }
}
