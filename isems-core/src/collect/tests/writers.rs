//! Other writers, and a repository that fails.

use async_trait::async_trait;

use super::*;
use crate::{
    Bucket, ClockMarks, MeasurementReader, NodeState, PruneMode, PruneReport, ReadPosition,
    RetentionPolicy, SourceSummary, StoreReport, StoredMeasurement, testing::MockMeasurementRepo,
};

const T: i64 = 1_748_768_945;

/// Lets another collector store the same log between reading a node's state
/// and storing, once.
struct Race {
    repo: Arc<MemoryRepo>,
    other: std::sync::Mutex<Option<Delivery>>,
}

#[async_trait]
impl MeasurementReader for Race {
    async fn latest(&self, since: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.repo.latest(since).await
    }
    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.repo.history(node, range, limit).await
    }
    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        self.repo.rollups(node, range).await
    }
    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        self.repo.sources().await
    }
}

#[async_trait]
impl MeasurementRepo for Race {
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError> {
        let other = self.other.lock().unwrap().take();
        if let Some(delivery) = other {
            let now = delivery.arrival;
            Collector::new(self.repo.clone(), BUILT).ingest(&[delivery], now).await?;
        }
        self.repo.store(batch).await
    }
    async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError> {
        self.repo.node_state(node).await
    }
    async fn clock_marks(&self) -> Result<ClockMarks, RepoError> {
        self.repo.clock_marks().await
    }
    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError> {
        self.repo.read_positions().await
    }
    async fn prune(
        &self,
        p: &RetentionPolicy,
        now: Timestamp,
        m: PruneMode,
    ) -> Result<PruneReport, RepoError> {
        self.repo.prune(p, now, m).await
    }
    async fn rebuild_rollups(&self, node: &NodeId) -> Result<(), RepoError> {
        self.repo.rebuild_rollups(node).await
    }
    async fn forget(&self, node: &NodeId) -> Result<u64, RepoError> {
        self.repo.forget(node).await
    }
}

#[test]
fn two_collectors_that_poll_a_node_without_clock_at_once_store_each_line_once() {
    let log = [line("A", 129, 12.0), line("A", 190, 12.1)].concat();
    let repo = Arc::new(MemoryRepo::default());
    let other = std::sync::Mutex::new(Some(delivery("other", log.as_bytes(), T)));
    let mut collector = Collector::new(Arc::new(Race { repo: repo.clone(), other }), BUILT);
    let later = Timestamp::from_unix(T + 3);
    let report = block_on(collector.ingest(&[delivery("ours", log.as_bytes(), T + 3)], later))
        .unwrap()
        .remove(0);
    assert_eq!((report.tally.stored, report.tally.duplicate), (0, 2));
    let node = NodeId::new("A").unwrap();
    assert_eq!(block_on(repo.history(&node, HistoryRange::ALL, 9)).unwrap().len(), 2);
}

#[test]
fn a_repository_that_always_is_changed_by_others_ends_in_an_error() {
    let mut repo = MockMeasurementRepo::new();
    let node = || NodeId::new("A").unwrap();
    repo.expect_clock_marks().returning(|| Ok(ClockMarks::default()));
    repo.expect_node_state().returning(|_| Ok(NodeState::default()));
    repo.expect_store().times(ATTEMPTS).returning(move |_| Err(RepoError::Stale { node: node() }));
    let mut collector = Collector::new(Arc::new(repo), BUILT);
    let log = delivery("s", line("A", T, 12.0).as_bytes(), T);
    let result = block_on(collector.ingest(&[log], Timestamp::from_unix(T)));
    assert!(matches!(result, Err(RepoError::Stale { .. })));
}

#[test]
fn a_failed_store_may_be_repeated() {
    let mut repo = MockMeasurementRepo::new();
    repo.expect_clock_marks().returning(|| Ok(ClockMarks::default()));
    repo.expect_node_state().returning(|_| Ok(NodeState::default()));
    let full = || Err(RepoError::Full { what: "no space left".into(), cause: None });
    repo.expect_store().times(1).returning(move |_| full());
    repo.expect_store().returning(|batch| {
        let counts = |part: &SourcePart| crate::PartReport {
            stored: part.rows.len() as u64,
            ..Default::default()
        };
        Ok(StoreReport { parts: batch.parts.iter().map(counts).collect() })
    });
    let mut collector = Collector::new(Arc::new(repo), BUILT);
    let log = [delivery("s", line("A", T, 12.0).as_bytes(), T)];
    let now = Timestamp::from_unix(T);
    assert!(matches!(block_on(collector.ingest(&log, now)), Err(RepoError::Full { .. })));
    assert_eq!(block_on(collector.ingest(&log, now)).unwrap()[0].tally.stored, 1);
}
