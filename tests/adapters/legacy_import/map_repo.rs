//! A repository over a plain map: the import needs no more.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use isems_core::{
    Batch, BatchOrigin, Bucket, ClockMarks, HistoryRange, Measurement, MeasurementReader,
    MeasurementRepo, NodeId, NodeState, PartReport, PruneMode, PruneReport, ReadPosition,
    RepoError, RetentionPolicy, SourceId, SourceSummary, StoreReport, StoredMeasurement, Timestamp,
};

type Rows = BTreeMap<(NodeId, Timestamp), Measurement>;

/// Keeps measurements by node and time; can be told to fail.
#[derive(Debug, Default)]
pub(super) struct MapRepo {
    rows: Mutex<Rows>,
    /// Batches that are still accepted; `None`: all.
    accepts: Mutex<Option<usize>>,
}

impl MapRepo {
    /// All that is stored, by node and time.
    pub(super) fn rows(&self) -> Rows {
        self.rows.lock().unwrap().clone()
    }

    /// Fails after so many batches.
    pub(super) fn accept(&self, batches: Option<usize>) {
        *self.accepts.lock().unwrap() = batches;
    }
}

#[async_trait]
impl MeasurementRepo for MapRepo {
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError> {
        assert_eq!(batch.origin, BatchOrigin::Import);
        assert_eq!(batch.nodes, [], "an import changes no clock runs");
        match &mut *self.accepts.lock().unwrap() {
            Some(0) => {
                return Err(RepoError::Full {
                    what: "no space left on the test".to_owned(),
                    cause: None,
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let mut rows = self.rows.lock().unwrap();
        let mut report = StoreReport::default();
        for part in &batch.parts {
            assert_eq!(part.update, None, "an import is no source");
            let mut counts = PartReport::default();
            for row in &part.rows {
                match rows.entry((row.node.clone(), row.observed)) {
                    Entry::Vacant(free) => {
                        free.insert(row.clone());
                        counts.stored += 1;
                    }
                    Entry::Occupied(known) if known.get().sample == row.sample => {
                        counts.duplicate += 1;
                    }
                    Entry::Occupied(_) => counts.conflict += 1,
                }
            }
            report.parts.push(counts);
        }
        Ok(report)
    }

    async fn node_state(&self, _: &NodeId) -> Result<NodeState, RepoError> {
        unreachable!("the import asks for nothing")
    }

    async fn clock_marks(&self) -> Result<ClockMarks, RepoError> {
        unreachable!("the import asks for nothing")
    }

    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError> {
        unreachable!("the import asks for nothing")
    }

    async fn prune(
        &self,
        _: &RetentionPolicy,
        _: Timestamp,
        _: PruneMode,
    ) -> Result<PruneReport, RepoError> {
        unreachable!("the import removes nothing")
    }

    async fn rebuild_rollups(&self, _: &NodeId) -> Result<(), RepoError> {
        unreachable!("the import only stores")
    }

    async fn forget(&self, _: &NodeId) -> Result<u64, RepoError> {
        unreachable!("the import removes nothing")
    }
}

#[async_trait]
impl MeasurementReader for MapRepo {
    async fn latest(&self, _: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError> {
        unreachable!("the import asks for nothing")
    }

    async fn history(
        &self,
        _: &NodeId,
        _: HistoryRange,
        _: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        unreachable!("the import asks for nothing")
    }

    async fn rollups(&self, _: &NodeId, _: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        unreachable!("the import asks for nothing")
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        unreachable!("the import asks for nothing")
    }
}
