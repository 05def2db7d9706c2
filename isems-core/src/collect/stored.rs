//! What is stored of a node, or will be with the batch in hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    HistoryRange, Identity, MeasurementRepo, NodeId, RepoError, Reported, Sample,
    StoredMeasurement, Timestamp,
};

pub(super) type Rows = BTreeMap<Identity, Sample>;

/// So many rows are held at once to look some of them up.
const PAGE: usize = 1_000;

/// What is stored where a line would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// The same values.
    Same,
    /// Other values.
    Other,
}

pub(super) struct Stored<'a> {
    pub(super) repo: &'a dyn MeasurementRepo,
    pub(super) node: &'a NodeId,
    /// Rows of this batch. What is stored already stays, so that is what a line
    /// must be compared with.
    pub(super) pending: Option<&'a Rows>,
}

impl Stored<'_> {
    /// The newest within a range of minutes; more than so many only a node
    /// that lies has.
    pub(super) async fn within(&self, range: HistoryRange) -> Result<Rows, RepoError> {
        let stored = self.repo.history(self.node, range, PAGE).await?;
        let mut rows: Rows = stored.into_iter().map(identified).collect();
        let pending = self.pending.into_iter().flatten();
        for (key, sample) in pending.filter(|(key, _)| range.contains(key.0)) {
            rows.entry(*key).or_insert_with(|| sample.clone());
        }
        Ok(rows)
    }

    /// What is stored where these lines would be, which may lie years apart.
    pub(super) async fn compare(
        &self,
        lines: &[(Identity, &Sample)],
    ) -> Result<Vec<Found>, RepoError> {
        self.compare_since(None, lines).await
    }

    /// The same, of what was received `since` then.
    pub(super) async fn compare_since(
        &self,
        since: Option<Timestamp>,
        lines: &[(Identity, &Sample)],
    ) -> Result<Vec<Found>, RepoError> {
        let mut all = Vec::with_capacity(lines.len());
        for lines in lines.chunks(PAGE) {
            let wanted: Vec<Identity> = lines.iter().map(|(identity, _)| *identity).collect();
            let mut stored = self.repo.find(self.node, &wanted).await?;
            stored.retain(|row| since.is_none() || row.measurement.received >= since);
            let stored: Rows = stored.into_iter().map(identified).collect();
            all.extend(lines.iter().map(|(identity, sample)| {
                let there = stored.get(identity).or_else(|| self.pending?.get(identity));
                match there {
                    None => Found::Nothing,
                    Some(there) if there == *sample => Found::Same,
                    Some(_) => Found::Other,
                }
            }));
        }
        Ok(all)
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
}

fn identified(row: StoredMeasurement) -> (Identity, Sample) {
    let row = row.measurement;
    ((row.observed, row.reported), row.sample)
}
