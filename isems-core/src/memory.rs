//! The reference adapter: a repository in memory.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    Basis, Batch, BatchOrigin, ClockRun, HistoryRange, KnownTelemetry, Measurement,
    MeasurementReader, MeasurementRepo, NodeId, NodePrune, NodeState, NodeVersion, PartReport,
    PruneMode, PruneReport, ReadPosition, Removal, RepoError, Reported, RetentionPolicy, RowId,
    SourceId, SourceSummary, StoreReport, StoredMeasurement, Timestamp,
};

/// Keeps measurements for as long as it lives. For tests, demonstrations and as
/// the shortest complete answer to what a repository must do.
#[derive(Debug, Default)]
pub struct MemoryRepo(Mutex<Store>);

impl MemoryRepo {
    fn locked(&self) -> MutexGuard<'_, Store> {
        // Every change below is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Store {
    nodes: BTreeMap<NodeId, Node>,
    sources: BTreeMap<SourceId, (SourceSummary, Option<ReadPosition>)>,
    newest_arrival: Option<Timestamp>,
    last_row: RowId,
    last_version: NodeVersion,
}

#[derive(Debug, Default)]
struct Node {
    version: NodeVersion,
    runs: Vec<ClockRun>,
    pruned_until: Option<Timestamp>,
    /// By observed time and reported key: the order of the history, reversed.
    rows: BTreeMap<(Timestamp, i64), StoredMeasurement>,
}

impl Store {
    fn next_version(&mut self) -> NodeVersion {
        self.last_version += 1;
        self.last_version
    }

    fn put(&mut self, row: &Measurement, origin: BatchOrigin, report: &mut PartReport) {
        let id = self.last_row + 1;
        let node = self.nodes.entry(row.node.clone()).or_default();
        let key = (row.observed, row.reported.key());
        let expired = origin == BatchOrigin::Intake
            && node.pruned_until.is_some_and(|until| row.observed <= until);
        match node.rows.entry(key) {
            Entry::Occupied(known) if known.get().measurement.sample == row.sample => {
                report.duplicate += 1;
            }
            Entry::Occupied(_) => report.conflict += 1,
            Entry::Vacant(_) if expired => report.expired += 1,
            Entry::Vacant(place) => {
                place.insert(StoredMeasurement {
                    id,
                    measurement: row.clone(),
                });
                report.stored += 1;
                report.retimed += u64::from(row.basis != Basis::Node);
                self.last_row = id;
                self.newest_arrival = self.newest_arrival.max(row.received);
            }
        }
    }
}

#[async_trait]
impl MeasurementReader for MemoryRepo {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let store = self.locked();
        let newest = store
            .nodes
            .values()
            .filter_map(|node| node.rows.values().next_back());
        Ok(newest
            .filter(|row| active_since.is_none_or(|since| row.measurement.observed > since))
            .cloned()
            .collect())
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let store = self.locked();
        let rows = store
            .nodes
            .get(node)
            .into_iter()
            .flat_map(|node| node.rows.values().rev());
        Ok(rows
            .filter(|row| range.contains(row.measurement.observed))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        Ok(self
            .locked()
            .sources
            .values()
            .map(|(summary, _)| summary.clone())
            .collect())
    }
}

#[async_trait]
impl MeasurementRepo for MemoryRepo {
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError> {
        let mut store = self.locked();
        for update in &batch.nodes {
            let present = store.nodes.get(&update.node).map_or(0, |node| node.version);
            if present != update.expected {
                return Err(RepoError::Stale {
                    node: update.node.clone(),
                });
            }
        }
        for update in &batch.nodes {
            let version = store.next_version();
            let node = store.nodes.entry(update.node.clone()).or_default();
            node.version = version;
            node.runs.clone_from(&update.runs);
        }
        let mut report = StoreReport::default();
        for part in &batch.parts {
            let mut counts = PartReport::default();
            for row in &part.rows {
                store.put(row, batch.origin, &mut counts);
            }
            for row in &part.rows {
                let version = store.next_version();
                if let Some(node) = store.nodes.get_mut(&row.node) {
                    node.version = version;
                }
            }
            if let Some(update) = &part.update {
                let (summary, position) = store
                    .sources
                    .entry(update.source.clone())
                    .or_insert_with(|| {
                        (SourceSummary::new(update.source.clone(), update.kind), None)
                    });
                summary.note(update, &counts);
                if update.position.is_some() {
                    position.clone_from(&update.position);
                }
                store.newest_arrival = store.newest_arrival.max(Some(update.at));
            }
            report.parts.push(counts);
        }
        Ok(report)
    }

    async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError> {
        let store = self.locked();
        let Some(node) = store.nodes.get(node) else {
            return Ok(NodeState::default());
        };
        let telemetry = node
            .rows
            .values()
            .rev()
            .filter_map(|row| match row.measurement.reported {
                Reported::Fingerprint(fingerprint) => Some(KnownTelemetry {
                    observed: row.measurement.observed,
                    fingerprint,
                }),
                Reported::Time(_) => None,
            });
        Ok(NodeState {
            version: node.version,
            runs: node.runs.clone(),
            telemetry: telemetry.take(KnownTelemetry::KEPT).collect(),
            pruned_until: node.pruned_until,
        })
    }

    async fn newest_arrival(&self) -> Result<Option<Timestamp>, RepoError> {
        Ok(self.locked().newest_arrival)
    }

    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError> {
        let store = self.locked();
        let known = store
            .sources
            .iter()
            .filter_map(|(id, (_, position))| Some((id.clone(), position.clone()?)));
        Ok(known.collect())
    }

    async fn prune(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        mode: PruneMode,
    ) -> Result<PruneReport, RepoError> {
        let mut store = self.locked();
        let version = store.next_version();
        let mut report = PruneReport::default();
        for (id, node) in &mut store.nodes {
            let (mut too_many, mut too_old, mut gone) = (0, 0, Vec::new());
            for (rank, key) in node.rows.keys().rev().enumerate() {
                match policy.judge(rank, key.0, now) {
                    None => continue,
                    Some(Removal::TooMany) => too_many += 1,
                    Some(Removal::TooOld) => too_old += 1,
                }
                gone.push(*key);
            }
            if gone.is_empty() {
                continue;
            }
            report.nodes.push(NodePrune {
                node: id.clone(),
                too_many,
                too_old,
            });
            if mode == PruneMode::Apply {
                // `gone` is newest first.
                node.pruned_until = node.pruned_until.max(gone.first().map(|key| key.0));
                node.version = version;
                for key in &gone {
                    node.rows.remove(key);
                }
            }
        }
        Ok(report)
    }

    async fn forget(&self, node: &NodeId) -> Result<u64, RepoError> {
        Ok(self
            .locked()
            .nodes
            .remove(node)
            .map_or(0, |node| node.rows.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_node_without_measurements_is_unknown() {
        let repo = Arc::new(MemoryRepo::default());
        let node = NodeId::new("nobody").unwrap();
        let rows = pollster::block_on(repo.history(&node, HistoryRange::ALL, 10)).unwrap();
        assert_eq!(rows, []);
    }
}
