//! When rounds begin.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

/// How often all nodes are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One round now, then the source is over.
    Once,
    /// A round now, then one each [`interval`](super::PollSettings::interval),
    /// up to a tenth earlier or later, so that collectors started together do
    /// not stay together. A round that takes longer than that delays the next:
    /// rounds never overlap.
    Every,
}

/// When the round after one that began at `begun` begins. `chance` is any
/// number; it spreads the result over a fifth of the interval.
fn next_start(begun: Instant, interval: Duration, chance: u64) -> Instant {
    let spread = interval / 5;
    let share = u32::try_from(chance % 1024).unwrap_or(0);
    begun + interval - spread / 2 + spread * share / 1023
}

/// Where in its sequence of rounds a source is.
#[derive(Debug)]
pub(super) struct Rounds {
    schedule: Schedule,
    interval: Duration,
    begun: Option<Instant>,
    chances: RandomState,
    count: u64,
}

impl Rounds {
    pub(super) fn new(schedule: Schedule, interval: Duration) -> Self {
        Self { schedule, interval, begun: None, chances: RandomState::new(), count: 0 }
    }

    /// When the next round begins, now that the last is complete; `None` if
    /// there is none. The same answer until [`begin`](Self::begin).
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        match (self.begun, self.schedule) {
            (None, _) => Some(now),
            (Some(_), Schedule::Once) => None,
            (Some(begun), Schedule::Every) => {
                let chance = self.chances.hash_one(self.count);
                Some(next_start(begun, self.interval, chance).max(now))
            }
        }
    }

    /// A round begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Duration = Duration::from_mins(15);

    #[test]
    fn rounds_begin_within_a_tenth_of_the_interval() {
        let begun = Instant::now();
        for chance in 0..2000 {
            let wait = next_start(begun, QUARTER, chance) - begun;
            assert!((810..=990).contains(&wait.as_secs()), "{wait:?}");
        }
        assert_ne!(next_start(begun, QUARTER, 1), next_start(begun, QUARTER, 500));
    }

    #[test]
    fn the_first_round_begins_at_once() {
        let now = Instant::now();
        for schedule in [Schedule::Once, Schedule::Every] {
            assert_eq!(Rounds::new(schedule, QUARTER).next(now), Some(now));
        }
    }

    #[test]
    fn a_single_round_is_the_last() {
        let mut rounds = Rounds::new(Schedule::Once, QUARTER);
        rounds.begin(Instant::now());
        assert_eq!(rounds.next(Instant::now()), None);
    }

    #[test]
    fn a_round_longer_than_the_interval_is_followed_by_the_next_at_once() {
        let mut rounds = Rounds::new(Schedule::Every, QUARTER);
        let begun = Instant::now();
        rounds.begin(begun);
        let late = begun + 3 * QUARTER;
        assert_eq!(rounds.next(late), Some(late));
        let early = begun + QUARTER / 2;
        assert!(rounds.next(early).is_some_and(|next| next > early));
    }
}
