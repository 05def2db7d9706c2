//! A history in pages, newest first, for what is too long to be held whole.

use super::{HistoryRange, MeasurementReader, RepoError};
use crate::{Bucket, Buckets, NodeId, StoredMeasurement, Timestamp};

/// Walks through a node's history in pages of bounded size. What is stored
/// meanwhile may or may not be seen; nothing is seen twice.
#[derive(Clone, Debug)]
pub struct Pages {
    range: HistoryRange,
    /// The last measurement of the page before, by observed time and key.
    after: Option<(Timestamp, i64)>,
    limit: usize,
    over: bool,
}

impl Pages {
    /// So many measurements are in a page, unless more share one second.
    const LIMIT: usize = 1_000;

    /// The pages of the history within `range`.
    #[must_use]
    pub const fn of(range: HistoryRange) -> Self {
        Self { range, after: None, limit: Self::LIMIT, over: false }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// See [`RepoError`]; the call may be repeated.
    pub async fn next<R: MeasurementReader + ?Sized>(
        &mut self,
        reader: &R,
        node: &NodeId,
    ) -> Result<Option<Vec<StoredMeasurement>>, RepoError> {
        while !self.over {
            let range = HistoryRange {
                until: self.after.map_or(self.range.until, |(observed, _)| Some(observed)),
                ..self.range
            };
            let mut page = reader.history(node, range, self.limit).await?;
            let full = page.len() == self.limit;
            let place = |row: &StoredMeasurement| {
                (row.measurement.observed, row.measurement.reported.key())
            };
            // The page begins with the second in which the one before ended.
            page.retain(|row| self.after.is_none_or(|after| place(row) < after));
            match page.last() {
                Some(last) => self.after = Some(place(last)),
                // More measurements share one second than fit in a page.
                None if full => self.limit *= 2,
                None => self.over = true,
            }
            if !page.is_empty() {
                self.over = !full;
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// What is left of the history in buckets of `step` seconds, oldest first.
    ///
    /// # Errors
    /// See [`RepoError`].
    pub async fn into_buckets<R: MeasurementReader + ?Sized>(
        mut self,
        reader: &R,
        node: &NodeId,
        step: i64,
    ) -> Result<Vec<Bucket>, RepoError> {
        let mut buckets = Buckets::of(step);
        while let Some(page) = self.next(reader, node).await? {
            for row in &page {
                buckets.add(&row.measurement);
            }
        }
        Ok(buckets.into_sorted())
    }
}
