//! Notices when the clock of this machine is set.

use std::sync::Arc;

use isems_core::{Clock, Timestamp};
use tokio::time::Instant;

/// A clock that is off by more than this from the time that passed was set, in
/// seconds; by less it is kept right by NTP.
const SET: i64 = 60;

/// Compares the clock with the time that passes.
pub(super) struct ClockWatch {
    clock: Arc<dyn Clock>,
    before: (Timestamp, Instant),
}

/// What the clock shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) now: Timestamp,
    /// By how many seconds it was set since it was looked at last, if it was.
    pub(super) set_by: Option<i64>,
}

impl ClockWatch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let before = (clock.now(), Instant::now());
        Self { clock, before }
    }

    pub(super) fn look(&mut self) -> Look {
        let (now, moment) = (self.clock.now(), Instant::now());
        let (shown, before) = std::mem::replace(&mut self.before, (now, moment));
        let passed = i64::try_from((moment - before).as_secs()).unwrap_or(i64::MAX);
        let by = now.since(shown.plus(passed));
        Look { now, set_by: Some(by).filter(|by| by.abs() > SET) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use isems_core::testing::ManualClock;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_told_from_one_that_goes() {
        let at = Timestamp::from_unix;
        let clock = Arc::new(ManualClock::at(at(1_000_000)));
        let mut watch = ClockWatch::new(Arc::clone(&clock) as _);
        for (passes, goes_on, set_by) in [
            (600, 600, None),
            (600, 659, None),
            (600, 541, None),
            (600, 2_400, Some(1_800)),
            (1, -3_599, Some(-3_600)),
            (1, 1, None),
        ] {
            advance(Duration::from_secs(passes)).await;
            let now = clock.now().plus(goes_on);
            clock.set(now);
            assert_eq!(watch.look(), Look { now, set_by }, "{passes} {goes_on}");
        }
    }
}
