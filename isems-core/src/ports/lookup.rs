//! Looking measurements up by their identity, for repositories without an index.

use std::collections::BTreeSet;

use super::{HistoryRange, MeasurementReader, Pages, RepoError};
use crate::{NodeId, Reported, StoredMeasurement, Timestamp, time::MINUTE};

/// By what a measurement of a node is told from its others: its observed time
/// and what it reported of the time.
pub type Identity = (Timestamp, Reported);

/// Measurements that lie farther apart than this are looked up by themselves,
/// in seconds: what is stored between them is not wanted.
const APART: i64 = 60 * MINUTE;

/// Those of these measurements that are stored.
pub(super) async fn in_history<R: MeasurementReader + ?Sized>(
    reader: &R,
    node: &NodeId,
    wanted: &[Identity],
) -> Result<Vec<StoredMeasurement>, RepoError> {
    let wanted: BTreeSet<(Timestamp, i64)> =
        wanted.iter().map(|(observed, reported)| (*observed, reported.key())).collect();
    let mut found = Vec::new();
    for range in spans(&wanted) {
        let mut pages = Pages::of(range);
        while let Some(page) = pages.next(reader, node).await? {
            found.extend(page.into_iter().filter(|row| {
                let row = &row.measurement;
                wanted.contains(&(row.observed, row.reported.key()))
            }));
        }
    }
    Ok(found)
}

/// The ranges in which these lie, the latest first.
fn spans(wanted: &BTreeSet<(Timestamp, i64)>) -> Vec<HistoryRange> {
    let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (observed, _) in wanted.iter().rev() {
        match spans.last_mut() {
            Some((from, _)) if from.since(*observed) <= APART => *from = *observed,
            _ => spans.push((*observed, *observed)),
        }
    }
    let range = |(from, until)| HistoryRange { from: Some(from), until: Some(until) };
    spans.into_iter().map(range).collect()
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on is meant to panic")]

    use async_trait::async_trait;
    use pollster::block_on;

    use super::*;
    use crate::{
        Bucket, Measurement, SourceSummary,
        testing::{measurement, node},
    };

    const T: i64 = 1_748_768_945;

    /// Holds rows at these times, and notes what it is asked for.
    struct Rows(Vec<i64>, std::sync::mpsc::Sender<(i64, usize)>);

    #[async_trait]
    impl MeasurementReader for Rows {
        async fn latest(&self, _: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError> {
            Ok(Vec::new())
        }

        async fn history(
            &self,
            _: &NodeId,
            range: HistoryRange,
            limit: usize,
        ) -> Result<Vec<StoredMeasurement>, RepoError> {
            let mut rows = self.0.clone();
            rows.retain(|time| range.contains(Timestamp::from_unix(*time)));
            rows.reverse();
            rows.truncate(limit);
            let span = range.until.unwrap().since(range.from.unwrap());
            self.1.send((span, rows.len())).unwrap();
            let row = |time: i64| StoredMeasurement { id: 1, measurement: stored(time) };
            Ok(rows.into_iter().map(row).collect())
        }

        async fn rollups(&self, _: &NodeId, _: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
            Ok(Vec::new())
        }

        async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
            Ok(Vec::new())
        }
    }

    fn stored(time: i64) -> Measurement {
        measurement("A", time, 12.0)
    }

    fn find(times: Vec<i64>, wanted: &[i64]) -> (Vec<i64>, Vec<(i64, usize)>) {
        let (asked, questions) = std::sync::mpsc::channel();
        let rows = Rows(times, asked);
        let identity = |time: &i64| (stored(*time).observed, stored(*time).reported);
        let wanted: Vec<Identity> = wanted.iter().map(identity).collect();
        let found = block_on(rows.find(&node("A"), &wanted)).unwrap();
        let mut found: Vec<i64> =
            found.into_iter().map(|row| row.measurement.observed.as_unix()).collect();
        found.sort_unstable();
        drop(rows);
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
        assert!(questions.iter().all(|(_, rows)| *rows <= 1_000), "{questions:?}");
    }
}
