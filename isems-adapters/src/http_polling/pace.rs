//! Gives up connections that drip.

use std::time::Duration;

use tokio::time::Instant;

const STEPS: usize = 8;
const MIN_BYTES_PER_SECOND: u128 = 1024;

/// Watches whether a connection brings at least 1 KB/s on average over a
/// window of time. Without I/O and clock of its own: it is told.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes in each of the last steps, which together make one window.
    steps: [u64; STEPS],
    ended: usize,
    step: Duration,
    step_ends: Instant,
    needed: u64,
}

impl Pace {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        // A step of zero length would never end.
        let step = (window / 8).max(Duration::from_millis(1));
        let needed = window.as_millis() * MIN_BYTES_PER_SECOND / 1000;
        Self {
            steps: [0; STEPS],
            ended: 0,
            step,
            step_ends: now + step,
            needed: u64::try_from(needed).unwrap_or(u64::MAX),
        }
    }

    /// So many bytes came.
    pub(super) fn note(&mut self, bytes: usize) {
        self.steps[self.ended % STEPS] += bytes as u64;
    }

    /// When [`end_step`](Self::end_step) is due.
    pub(super) const fn step_ends(&self) -> Instant {
        self.step_ends
    }

    /// Ends a step; says whether the connection was too slow during the window
    /// that ends here.
    pub(super) fn end_step(&mut self) -> bool {
        self.ended += 1;
        self.step_ends += self.step;
        let too_slow = self.ended >= STEPS && self.steps.iter().sum::<u64>() < self.needed;
        self.steps[self.ended % STEPS] = 0;
        too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends steps until the verdict, with so many bytes in each.
    fn steps_until_given_up(bytes: &[usize]) -> Option<usize> {
        let mut pace = Pace::new(Duration::from_secs(8), Instant::now());
        bytes.iter().position(|bytes| {
            pace.note(*bytes);
            pace.end_step()
        })
    }

    #[test]
    fn one_kilobyte_a_second_is_enough() {
        assert_eq!(steps_until_given_up(&[1024; 40]), None);
    }

    #[test]
    fn less_is_given_up_when_the_first_window_is_over() {
        assert_eq!(steps_until_given_up(&[1023; 40]), Some(7));
    }

    #[test]
    fn a_burst_counts_for_one_window_only() {
        let mut bytes = [0; 40];
        bytes[0] = 8 * 1024;
        assert_eq!(steps_until_given_up(&bytes), Some(8));
    }

    #[test]
    fn a_connection_may_rest_shorter_than_a_window() {
        let mut bytes = [0; 40];
        for at in (0..40).step_by(7) {
            bytes[at] = 8 * 1024;
        }
        assert_eq!(steps_until_given_up(&bytes), None);
    }
}
