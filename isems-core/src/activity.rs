//! Who counts as active.

use crate::{Timestamp, time::DAY};

/// A node is active at `now` if its newest observed time is later than `now`
/// minus a number of days of 24 hours (`HIDE_INACTIVE_AFTER_DAYS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityRule {
    days: u32,
}

impl Default for ActivityRule {
    /// Thirty days, as in the old collector.
    fn default() -> Self {
        Self::after_days(30)
    }
}

impl ActivityRule {
    /// Nodes are hidden after `days` days without a measurement.
    #[must_use]
    pub const fn after_days(days: u32) -> Self {
        Self { days }
    }

    /// The moment that a node's newest observed time must be later than.
    #[must_use]
    pub fn active_since(&self, now: Timestamp) -> Timestamp {
        now.plus(-(i64::from(self.days) * DAY))
    }

    /// Whether a node whose newest measurement is `newest` is active at `now`.
    #[must_use]
    pub fn is_active(&self, newest: Timestamp, now: Timestamp) -> bool {
        newest > self.active_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_active_while_its_newest_measurement_is_later_than_the_limit() {
        let now = Timestamp::from_unix(1_748_768_945);
        let limit = now.as_unix() - 30 * 86_400;
        for (newest, active) in [
            (now.as_unix(), true),
            (now.as_unix() + 600, true),
            (limit + 1, true),
            (limit, false),
            (limit - 1, false),
            (0, false),
        ] {
            assert_eq!(
                ActivityRule::default().is_active(Timestamp::from_unix(newest), now),
                active,
                "newest {newest}"
            );
        }
    }

    #[test]
    fn zero_days_hide_everything_that_is_not_in_the_future() {
        let now = Timestamp::from_unix(1_000);
        assert!(!ActivityRule::after_days(0).is_active(now, now));
    }
}
