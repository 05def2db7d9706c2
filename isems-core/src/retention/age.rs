//! The moment by which ages are reckoned: our own clock may be wrong.

use crate::{ClockTrust, Doubt, RetentionPolicy, Timestamp, time::DAY};

/// A clock that nothing confirms is believed this far beyond what is known to
/// have passed, in seconds: nights and outages of a fleet are shorter.
const SLACK: i64 = 2 * DAY;

/// By which moment measurements are judged too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reckoning {
    /// By our own clock.
    Ours(Timestamp),
    /// By an earlier moment: our clock is far ahead of what is known to have
    /// passed, and no node confirms it. Rather too much is kept than too little.
    Earlier {
        /// That moment.
        by: Timestamp,
        /// So many whole days our clock is ahead of what is known to have
        /// passed.
        days_ahead: i64,
    },
    /// By none: our clock is doubted, and what is removed is gone for ever.
    Doubted(Doubt),
}

impl Reckoning {
    /// What holds where our clock shows `now` and the moment `passed` is known
    /// to have passed, by more than our clock's word
    /// ([`Collector::surely_passed`](crate::Collector::surely_passed)).
    #[must_use]
    pub fn of(trust: ClockTrust, now: Timestamp, passed: Timestamp) -> Self {
        let by = passed.plus(SLACK);
        match trust {
            ClockTrust::Doubted(doubt) => Self::Doubted(doubt),
            ClockTrust::Unconfirmed if by < now => {
                Self::Earlier { by, days_ahead: now.since(passed) / DAY }
            }
            _ => Self::Ours(now),
        }
    }

    /// What remains of a policy, and the moment to apply it at.
    #[must_use]
    pub fn limit(&self, policy: &RetentionPolicy, now: Timestamp) -> (RetentionPolicy, Timestamp) {
        match self {
            Self::Ours(by) | Self::Earlier { by, .. } => (*policy, *by),
            // What was received by a clock that ran ahead would count as the
            // newest, and what comes in by the right one as too many.
            Self::Doubted(doubt) if doubt.is_of_the_future() => (RetentionPolicy::default(), now),
            Self::Doubted(_) => (RetentionPolicy { keep_days: None, ..*policy }, now),
        }
    }

    /// What an operator with a limit should know, if anything.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Ours(_) => None,
            Self::Earlier { days_ahead, .. } => Some(format!(
                "no node confirms the clock of this machine, and it shows a time {days_ahead} days \
                 after the last one that is known to have passed: until a node confirms it, ages \
                 are reckoned from {} days after that",
                SLACK / DAY
            )),
            Self::Doubted(doubt) if doubt.is_of_the_future() => Some(format!(
                "the clock of this machine is doubted, so nothing is removed: {doubt}"
            )),
            Self::Doubted(doubt) => Some(format!(
                "the clock of this machine is doubted, so nothing is removed for its age: {doubt}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Timestamp = Timestamp::from_unix(1_760_000_000);
    const POLICY: RetentionPolicy =
        RetentionPolicy { keep_per_node: Some(10), keep_days: Some(365) };

    fn days_later(days: i64) -> Timestamp {
        PASSED.plus(days * DAY)
    }

    #[test]
    fn a_clock_that_no_node_confirms_is_not_believed_far_beyond_what_surely_passed() {
        use ClockTrust::{Confirmed, Unconfirmed};
        for (trust, days, by) in
            [(Unconfirmed, 1, 1), (Unconfirmed, 2, 2), (Unconfirmed, 366, 2), (Confirmed, 366, 366)]
        {
            let now = days_later(days);
            let reckoning = Reckoning::of(trust, now, PASSED);
            assert_eq!(reckoning.limit(&POLICY, now), (POLICY, days_later(by)), "{days} days");
            assert_eq!(reckoning.warning().is_some(), by != days, "{days} days");
        }
    }

    #[test]
    fn a_clock_that_is_doubted_removes_nothing_for_its_age_nor_anything_if_it_ran_ahead() {
        let now = days_later(400);
        let by_number = RetentionPolicy { keep_days: None, ..POLICY };
        for (doubt, limits) in [
            (Doubt::BeforeBuild { built: days_later(500) }, by_number),
            (Doubt::NodesDisagree { nodes: 3, ahead: 400 * DAY }, by_number),
            (Doubt::NodesDisagree { nodes: 3, ahead: -400 * DAY }, RetentionPolicy::default()),
            (Doubt::BeforeNewestArrival { newest: days_later(401) }, RetentionPolicy::default()),
        ] {
            let reckoning = Reckoning::of(ClockTrust::Doubted(doubt), now, PASSED);
            assert_eq!(reckoning.limit(&POLICY, now).0, limits, "{doubt}");
            assert!(reckoning.warning().unwrap().contains(&doubt.to_string()));
        }
    }
}
