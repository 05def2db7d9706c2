//! Mocks of the ports, written by mockall.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mockall::mock;

use crate::{
    Batch, Bucket, ClockMarks, Delivery, HistoryRange, Identity, MeasurementReader,
    MeasurementRepo, NodeId, NodeSource, NodeState, PruneMode, PruneReport, ReadPosition, Receipt,
    RepoError, RetentionPolicy, SourceError, SourceId, SourceSummary, StoreReport,
    StoredMeasurement, Timestamp,
};

mock! {
    #[derive(Debug)]
    pub NodeSource {}

    #[async_trait]
    impl NodeSource for NodeSource {
        fn id(&self) -> &SourceId;
        async fn next(&mut self) -> Result<Option<Delivery>, SourceError>;
        async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError>;
    }
}

mock! {
    #[derive(Debug)]
    pub MeasurementRepo {}

    #[async_trait]
    impl MeasurementReader for MeasurementRepo {
        async fn latest(&self, active_since: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError>;
        async fn history(
            &self,
            node: &NodeId,
            range: HistoryRange,
            limit: usize,
        ) -> Result<Vec<StoredMeasurement>, RepoError>;
        async fn find(
            &self,
            node: &NodeId,
            wanted: &[Identity],
        ) -> Result<Vec<StoredMeasurement>, RepoError>;
        async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError>;
        async fn buckets(
            &self,
            node: &NodeId,
            range: HistoryRange,
            step: i64,
        ) -> Result<Vec<Bucket>, RepoError>;
        async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>, RepoError>;
        async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError>;
    }

    #[async_trait]
    impl MeasurementRepo for MeasurementRepo {
        async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError>;
        async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError>;
        async fn clock_marks(&self) -> Result<ClockMarks, RepoError>;
        async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError>;
        async fn prune(
            &self,
            policy: &RetentionPolicy,
            now: Timestamp,
            mode: PruneMode,
        ) -> Result<PruneReport, RepoError>;
        async fn rebuild_rollups(&self, node: &NodeId) -> Result<(), RepoError>;
        async fn forget(&self, node: &NodeId) -> Result<u64, RepoError>;
    }
}
