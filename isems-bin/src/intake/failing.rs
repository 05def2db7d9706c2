//! Sources that cannot be read: told when that begins and ends, not each time.

use std::{collections::BTreeMap, time::Duration};

use isems_core::SourceId;
use tokio::time::Instant;

/// What lasts is told again after so long.
const A_DAY: Duration = Duration::from_hours(24);

/// So many reasons of a source are told within that time: some hold figures
/// that change with each round.
const REASONS: usize = 8;

/// The sources that fail at present. They are as many as the settings name.
#[derive(Debug, Default)]
pub(super) struct Failing(BTreeMap<SourceId, Failure>);

#[derive(Debug)]
struct Failure {
    since: Instant,
    times: u64,
    /// The reasons that were told within a day, and when.
    told: Vec<(String, Instant)>,
}

impl Failing {
    /// Notes that a source failed; whether to tell.
    pub(super) fn fails(&mut self, source: &SourceId, why: &str, now: Instant) -> bool {
        let begun = || Failure { since: now, times: 0, told: Vec::new() };
        let failure = self.0.entry(source.clone()).or_insert_with(begun);
        failure.times += 1;
        failure.told.retain(|(_, at)| now - *at < A_DAY);
        let is_news =
            failure.told.len() < REASONS && failure.told.iter().all(|(known, _)| known != why);
        if is_news {
            failure.told.push((why.to_owned(), now));
        }
        is_news
    }

    /// Notes that a source was read; if it had failed, how often and since when.
    pub(super) fn is_read(&mut self, source: &SourceId) -> Option<(u64, Instant)> {
        self.0.remove(source).map(|failure| (failure.times, failure.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AN_HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn each_reason_is_told_when_it_is_new_and_once_a_day_while_it_lasts() {
        let (mut failing, node) = (Failing::default(), SourceId::new("node"));
        let begin = Instant::now();
        let told = |failing: &mut Failing, hour: u32, why: &str| {
            failing.fails(&node, why, begin + AN_HOUR * hour)
        };
        assert!(told(&mut failing, 0, "away"));
        for hour in 1..24 {
            assert!(!told(&mut failing, hour, "away"), "{hour}");
        }
        assert!(told(&mut failing, 12, "refused"));
        assert!(!told(&mut failing, 13, "away"), "it was told before");
        assert!(told(&mut failing, 24, "away"));
        assert!(!told(&mut failing, 25, "away"));
        assert_eq!(failing.is_read(&node), Some((28, begin)));
        assert_eq!(failing.is_read(&node), None);
        assert!(told(&mut failing, 26, "away"), "it fails anew");
    }

    #[test]
    fn reasons_that_differ_each_time_are_told_a_few_times_a_day_and_not_kept() {
        let (mut failing, node) = (Failing::default(), SourceId::new("node"));
        let begin = Instant::now();
        let told = (0..1_000).filter(|i| failing.fails(&node, &format!("{i} bytes"), begin));
        assert_eq!(told.count(), REASONS);
        assert_eq!(failing.0[&node].told.len(), REASONS);
    }
}
