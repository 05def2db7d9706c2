//! The reference adapter: a repository in memory.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    Batch, Bucket, ClockMarks, HistoryRange, Identity, Ledger, MeasurementReader, MeasurementRepo,
    NodeId, NodeState, PruneMode, PruneReport, Put, ReadPosition, RepoError, RetentionPolicy,
    RowId, SourceId, SourceSummary, StoreReport, StoredMeasurement, Timestamp,
};

/// Keeps measurements for as long as it lives. For tests, demonstrations, and
/// as the shortest complete answer to what a repository must do.
#[derive(Debug, Default)]
pub struct MemoryRepo(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    ledger: Ledger,
    shelves: BTreeMap<NodeId, Shelf>,
    last_row: RowId,
}

/// The rows of a node by observed time and reported key: the order of the
/// history, reversed.
type Shelf = BTreeMap<(Timestamp, i64), StoredMeasurement>;

impl MemoryRepo {
    fn locked(&self) -> MutexGuard<'_, Contents> {
        // Each change below is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn newest_first(&self, node: &NodeId) -> impl Iterator<Item = &StoredMeasurement> {
        self.shelves.get(node).into_iter().flat_map(|shelf| shelf.values().rev())
    }
}

#[async_trait]
impl MeasurementReader for MemoryRepo {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let contents = self.locked();
        let newest = contents.shelves.values().filter_map(|shelf| shelf.values().next_back());
        let active =
            newest.filter(|row| active_since.is_none_or(|since| row.measurement.observed > since));
        Ok(active.cloned().collect())
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let contents = self.locked();
        let within =
            contents.newest_first(node).filter(|row| range.contains(row.measurement.observed));
        Ok(within.take(limit).cloned().collect())
    }

    async fn find(
        &self,
        node: &NodeId,
        wanted: &[Identity],
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let contents = self.locked();
        let Some(rows) = contents.shelves.get(node) else { return Ok(Vec::new()) };
        let row = |(observed, reported): &Identity| rows.get(&(*observed, reported.key()));
        Ok(wanted.iter().filter_map(row).cloned().collect())
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        Ok(self.locked().ledger.rollups(node, range))
    }

    async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>, RepoError> {
        Ok(self.locked().ledger.pruned_until(node))
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        Ok(self.locked().ledger.sources())
    }
}

#[async_trait]
impl MeasurementRepo for MemoryRepo {
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError> {
        let Contents { ledger, shelves, last_row } = &mut *self.locked();
        ledger.book(batch, |row, wanted| {
            let rows = shelves.entry(row.node.clone()).or_default();
            match rows.entry((row.observed, row.reported.key())) {
                Entry::Occupied(known) if known.get().measurement.sample == row.sample => Put::Same,
                Entry::Occupied(_) => Put::Different,
                Entry::Vacant(_) if !wanted => Put::Withheld,
                Entry::Vacant(place) => {
                    *last_row += 1;
                    place.insert(StoredMeasurement { id: *last_row, measurement: row.clone() });
                    Put::Inserted
                }
            }
        })
    }

    async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError> {
        let contents = self.locked();
        Ok(contents.ledger.state(node, contents.newest_first(node)))
    }

    async fn clock_marks(&self) -> Result<ClockMarks, RepoError> {
        Ok(self.locked().ledger.clock_marks())
    }

    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError> {
        Ok(self.locked().ledger.read_positions())
    }

    async fn prune(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        mode: PruneMode,
    ) -> Result<PruneReport, RepoError> {
        let Contents { ledger, shelves, .. } = &mut *self.locked();
        let mut report = PruneReport::default();
        for (node, shelf) in shelves {
            let history = shelf.keys().rev().map(|key| (*key, key.0));
            let Some(sorted) = policy.sort_out(node, history, now) else { continue };
            report.nodes.push(sorted.report);
            if mode == PruneMode::Apply {
                ledger.note_pruned(node, sorted.gone.iter().map(|key| key.0));
                for key in sorted.gone {
                    shelf.remove(&key);
                }
            }
        }
        Ok(report)
    }

    async fn rebuild_rollups(&self, node: &NodeId) -> Result<(), RepoError> {
        let Contents { ledger, shelves, .. } = &mut *self.locked();
        if let Some(shelf) = shelves.get(node) {
            ledger.rebuild_rollups(node, shelf.values().map(|row| &row.measurement));
        }
        Ok(())
    }

    async fn forget(&self, node: &NodeId) -> Result<u64, RepoError> {
        let mut contents = self.locked();
        contents.ledger.forget(node);
        Ok(contents.shelves.remove(node).map_or(0, |shelf| shelf.len() as u64))
    }
}
