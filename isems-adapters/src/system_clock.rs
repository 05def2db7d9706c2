//! The only reader of the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use isems_core::{Clock, Timestamp};

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "this adapter is the one place that reads the wall clock"
        )]
        let now = SystemTime::now();
        // A clock before 1970 is as good as none; the clock rule doubts it.
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}
