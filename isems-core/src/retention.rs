//! What to keep: a pure rule that names its reasons.

mod age;

pub use age::Reckoning;

use crate::{NodeId, NodePrune, Timestamp, time::DAY};

/// How many measurements of a node are kept, and for how long.
///
/// With both limits set, a measurement goes if either says so. The newest
/// measurement of a node always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// The newest so many of each node are kept (`ISEMS_KEEP_PER_NODE`).
    pub keep_per_node: Option<u32>,
    /// Those observed at most so many days of 24 hours before `now` are kept
    /// (`ISEMS_KEEP_DAYS`).
    pub keep_days: Option<u32>,
}

/// Why a measurement is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// There are at least as many newer ones as are kept per node.
    TooMany,
    /// It is older than the age limit.
    TooOld,
}

impl RetentionPolicy {
    /// Whether the policy keeps everything for ever.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.keep_per_node.is_none() && self.keep_days.is_none()
    }

    /// The earliest observed time that the age limit keeps at `now`.
    #[must_use]
    pub fn oldest_kept(&self, now: Timestamp) -> Option<Timestamp> {
        self.keep_days.map(|days| now.plus(-(i64::from(days) * DAY)))
    }

    /// The verdict on one measurement: `rank` is the number of newer
    /// measurements of its node (0 for the newest), in the order of the
    /// history. If both limits are exceeded the number is named.
    #[must_use]
    pub fn judge(&self, rank: usize, observed: Timestamp, now: Timestamp) -> Option<Removal> {
        if rank == 0 {
            return None;
        }
        // A limit of 0 keeps what 1 keeps: the newest stays.
        if self.keep_per_node.is_some_and(|keep| rank >= keep as usize) {
            return Some(Removal::TooMany);
        }
        if self.oldest_kept(now).is_some_and(|oldest| observed < oldest) {
            return Some(Removal::TooOld);
        }
        None
    }
}

/// What a policy says of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedOut<K> {
    /// How many go, by reason.
    pub report: NodePrune,
    /// Those that go, newest first.
    pub gone: Vec<K>,
}

impl RetentionPolicy {
    /// Judges the whole history of a node, handed over newest first as keys
    /// with observed times. `None`: all of it stays.
    pub fn sort_out<K>(
        &self,
        node: &NodeId,
        newest_first: impl IntoIterator<Item = (K, Timestamp)>,
        now: Timestamp,
    ) -> Option<SortedOut<K>> {
        let mut report = NodePrune { node: node.clone(), too_many: 0, too_old: 0 };
        let mut gone = Vec::new();
        for (rank, (key, observed)) in newest_first.into_iter().enumerate() {
            match self.judge(rank, observed, now) {
                None => continue,
                Some(Removal::TooMany) => report.too_many += 1,
                Some(Removal::TooOld) => report.too_old += 1,
            }
            gone.push(key);
        }
        (!gone.is_empty()).then_some(SortedOut { report, gone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(100 * DAY);

    fn policy(keep_per_node: Option<u32>, keep_days: Option<u32>) -> RetentionPolicy {
        RetentionPolicy { keep_per_node, keep_days }
    }

    #[test]
    fn each_removal_has_its_reason() {
        use Removal::{TooMany, TooOld};
        for (number, age, rank, days_old, verdict) in [
            (None, None, 1_000_000, 90, None),
            (Some(10), None, 9, 90, None),
            (Some(10), None, 10, 0, Some(TooMany)),
            (None, Some(5), 1, 5, None),
            (None, Some(5), 1, 6, Some(TooOld)),
            (Some(10), Some(5), 3, 6, Some(TooOld)),
            (Some(10), Some(5), 10, 1, Some(TooMany)),
            (Some(10), Some(5), 10, 6, Some(TooMany)),
            (Some(10), Some(5), 0, 99, None),
            (Some(0), Some(0), 0, 99, None),
            (Some(0), None, 1, 0, Some(TooMany)),
        ] {
            assert_eq!(
                policy(number, age).judge(rank, NOW.plus(-days_old * DAY), NOW),
                verdict,
                "keep {number:?}, {age:?} days; rank {rank}, {days_old} days old"
            );
        }
    }

    #[test]
    fn a_policy_without_limits_is_unlimited() {
        assert!(RetentionPolicy::default().is_unlimited());
        assert!(!policy(Some(1), None).is_unlimited());
        assert!(!policy(None, Some(1)).is_unlimited());
    }
}
