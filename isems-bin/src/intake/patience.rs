//! How long to go on trying to store.

use std::time::Duration;

/// How long to go on trying to store what is in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until it works or the process is asked to end.
    Endless,
    /// At most so long after the first try began; that may take its time, too.
    AtMost(Duration),
}

/// What is left for storing when the process is asked to end, a try that is
/// under way included.
pub(super) const LAST_TRIES: Duration = Duration::from_secs(3);

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// The pauses between tries: 250 ms, then twice as long each time up to 15 s,
/// but short ones once the process is to end.
pub(crate) fn pause(failures: u32, stopping: bool) -> Duration {
    if stopping {
        return LAST_PAUSE;
    }
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_short_at_the_end() {
        for (failures, stopping, milliseconds) in [
            (1, false, 250),
            (2, false, 500),
            (6, false, 8_000),
            (7, false, 15_000),
            (u32::MAX, false, 15_000),
            (7, true, 200),
        ] {
            assert_eq!(pause(failures, stopping), Duration::from_millis(milliseconds));
        }
    }
}
