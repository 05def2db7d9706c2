//! What is stored of a node, or will be with the batch in hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    HistoryRange, MeasurementRepo, NodeId, RepoError, Reported, Sample, StoredMeasurement,
    Timestamp, time::MINUTE,
};

/// By what a row of a node is told from its others.
pub(super) type Identity = (Timestamp, Reported);

pub(super) type Rows = BTreeMap<Identity, Sample>;

/// Rows that lie farther apart than this are looked up by themselves, in
/// seconds: what is stored between them is not wanted.
const APART: i64 = 60 * MINUTE;

/// So many rows are held at once to look some of them up.
const PAGE: usize = 1_000;

pub(super) struct Stored<'a> {
    pub(super) repo: &'a dyn MeasurementRepo,
    pub(super) node: &'a NodeId,
    /// Rows of this batch. What is stored already stays, so that is what a line
    /// must be compared with.
    pub(super) pending: Option<&'a Rows>,
}

impl Stored<'_> {
    /// All within a range of minutes.
    pub(super) async fn within(&self, range: HistoryRange) -> Result<Rows, RepoError> {
        let stored = self.repo.history(self.node, range, usize::MAX).await?;
        let mut rows: Rows = stored.into_iter().map(identified).collect();
        let pending = self.pending.into_iter().flatten();
        for (key, sample) in pending.filter(|(key, _)| range.contains(key.0)) {
            rows.entry(*key).or_insert_with(|| sample.clone());
        }
        Ok(rows)
    }

    /// Those of these identities, which may lie years apart.
    pub(super) async fn find(&self, wanted: &BTreeSet<Identity>) -> Result<Rows, RepoError> {
        let mut found = Rows::new();
        for (from, until) in spans(wanted) {
            self.find_within(from, until, wanted, &mut found).await?;
        }
        for key in wanted {
            if let Some(sample) = self.pending.and_then(|pending| pending.get(key)) {
                found.entry(*key).or_insert_with(|| sample.clone());
            }
        }
        Ok(found)
    }

    /// The fingerprints of the newest telemetry: so much that what was stored
    /// and is not yet acknowledged is among it.
    pub(super) async fn telemetry(&self) -> Result<BTreeSet<i64>, RepoError> {
        let stored = self.repo.history(self.node, HistoryRange::ALL, PAGE).await?;
        let pending = self.pending.into_iter().flatten().map(|(key, _)| key.1);
        let reported = stored.iter().map(|row| row.measurement.reported).chain(pending);
        Ok(reported
            .filter_map(|reported| match reported {
                Reported::Fingerprint(fingerprint) => Some(fingerprint),
                Reported::Time(_) => None,
            })
            .collect())
    }

    /// Goes through a range page by page, from its end to its beginning.
    async fn find_within(
        &self,
        from: Timestamp,
        mut until: Timestamp,
        wanted: &BTreeSet<Identity>,
        found: &mut Rows,
    ) -> Result<(), RepoError> {
        loop {
            let range = HistoryRange { from: Some(from), until: Some(until) };
            let page = self.repo.history(self.node, range, PAGE).await?;
            let oldest = page.last().map(|row| row.measurement.observed);
            let is_last = page.len() < PAGE;
            found.extend(page.into_iter().map(identified).filter(|(key, _)| wanted.contains(key)));
            let Some(oldest) = oldest.filter(|_| !is_last) else { return Ok(()) };
            // A page may end within a second, so that is looked at again; a
            // second with more rows than a page is not gone through.
            until = if oldest == until { until.plus(-1) } else { oldest };
        }
    }
}

/// The ranges in which these lie, the latest first.
fn spans(wanted: &BTreeSet<Identity>) -> Vec<(Timestamp, Timestamp)> {
    let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (observed, _) in wanted.iter().rev() {
        match spans.last_mut() {
            Some((from, _)) if from.since(*observed) <= APART => *from = *observed,
            _ => spans.push((*observed, *observed)),
        }
    }
    spans
}

fn identified(row: StoredMeasurement) -> (Identity, Sample) {
    let row = row.measurement;
    ((row.observed, row.reported), row.sample)
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{
        Measurement,
        testing::{MockMeasurementRepo, measurement, node},
    };

    const T: i64 = 1_748_768_945;

    fn stored(time: i64) -> Measurement {
        measurement("A", time, 12.0)
    }

    /// Holds rows at these times, and notes what it is asked for.
    fn repo(times: Vec<i64>, asked: std::sync::mpsc::Sender<(i64, usize)>) -> MockMeasurementRepo {
        let mut repo = MockMeasurementRepo::new();
        repo.expect_history().returning(move |_, range, limit| {
            let mut rows: Vec<i64> = times.clone();
            rows.retain(|time| range.contains(Timestamp::from_unix(*time)));
            rows.reverse();
            rows.truncate(limit);
            let span = range.until.unwrap().since(range.from.unwrap());
            asked.send((span, rows.len())).unwrap();
            let row = |time: i64| StoredMeasurement { id: 1, measurement: stored(time) };
            Ok(rows.into_iter().map(row).collect())
        });
        repo
    }

    fn find(times: Vec<i64>, wanted: &[i64]) -> (Vec<i64>, Vec<(i64, usize)>) {
        let (asked, questions) = std::sync::mpsc::channel();
        let repo = repo(times, asked);
        let node = node("A");
        let identity = |time: &i64| (stored(*time).observed, stored(*time).reported);
        let wanted = wanted.iter().map(identity).collect();
        let stored = Stored { repo: &repo, node: &node, pending: None };
        let found = block_on(stored.find(&wanted))
            .unwrap()
            .into_keys()
            .map(|key| key.0.as_unix())
            .collect();
        drop(repo);
        (found, questions.iter().collect())
    }

    #[test]
    fn of_what_lies_between_lines_that_are_far_apart_nothing_is_read() {
        let year: Vec<i64> = (0..8_760).map(|hour| T + hour * 3_600).collect();
        let wanted = [T, T + 86_400, T + 86_461, T + 8_000 * 3_600];
        let (found, questions) = find(year, &wanted);
        assert_eq!(found, [T, T + 86_400, T + 8_000 * 3_600]);
        assert_eq!(questions, [(0, 1), (61, 1), (0, 1)]);
    }

    #[test]
    fn many_rows_are_gone_through_in_pages() {
        let rows: Vec<i64> = (0..3_500).map(|second| T + second).collect();
        let (found, questions) = find(rows, &[T, T + 999, T + 1_000, T + 3_499, T + 4_000]);
        assert_eq!(found, [T, T + 999, T + 1_000, T + 3_499]);
        assert!(questions.iter().all(|(_, rows)| *rows <= PAGE), "{questions:?}");
    }
}
