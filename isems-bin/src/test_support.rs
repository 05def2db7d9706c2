//! What unit tests share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use isems_core::{
    Batch, BatchOrigin, Bucket, ClockMarks, HistoryRange, MeasurementReader, MeasurementRepo,
    MemoryRepo, NodeId, NodeState, PruneMode, PruneReport, ReadPosition, RepoError,
    RetentionPolicy, SourceId, SourcePart, SourceSummary, StoreReport, StoredMeasurement,
    Timestamp, testing::measurement,
};

/// The time of the first measurement in tests.
pub(crate) const BEGIN: i64 = 1_700_000_000;

/// A repository that holds so many measurements of a node, a minute apart.
pub(crate) async fn repo_with_rows(node: &str, rows: u32) -> Arc<MemoryRepo> {
    let repo = Arc::new(MemoryRepo::default());
    let rows = (0..rows).map(|i| measurement(node, BEGIN + 60 * i64::from(i), 12.5));
    let part = SourcePart { update: None, rows: rows.collect() };
    let batch = Batch { parts: vec![part], origin: BatchOrigin::Import, ..Batch::default() };
    repo.store(&batch).await.unwrap();
    repo
}

/// A repository whose disk is full for a while.
#[derive(Default)]
pub(crate) struct FlakyRepo {
    pub(crate) inner: MemoryRepo,
    /// So many calls of `store` fail.
    pub(crate) failures: AtomicU32,
    /// Calls of `store` never return.
    pub(crate) hangs: AtomicBool,
    /// Calls of `store` that did not fail.
    pub(crate) commits: AtomicUsize,
}

impl FlakyRepo {
    pub(crate) fn failing(times: u32) -> Arc<Self> {
        Arc::new(Self { failures: AtomicU32::new(times), ..Self::default() })
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) async fn rows(&self, node: &str) -> usize {
        let node = NodeId::new(node).unwrap();
        self.history(&node, HistoryRange::ALL, usize::MAX).await.unwrap().len()
    }
}

#[async_trait]
impl MeasurementReader for FlakyRepo {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.inner.latest(active_since).await
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.inner.history(node, range, limit).await
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        self.inner.rollups(node, range).await
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        self.inner.sources().await
    }
}

#[async_trait]
impl MeasurementRepo for FlakyRepo {
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let one_less = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Err(RepoError::Full { what: "no room in this test".to_owned(), cause: None });
        }
        let report = self.inner.store(batch).await?;
        self.commits.fetch_add(1, Ordering::SeqCst);
        Ok(report)
    }

    async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError> {
        self.inner.node_state(node).await
    }

    async fn clock_marks(&self) -> Result<ClockMarks, RepoError> {
        self.inner.clock_marks().await
    }

    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError> {
        self.inner.read_positions().await
    }

    async fn prune(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        mode: PruneMode,
    ) -> Result<PruneReport, RepoError> {
        self.inner.prune(policy, now, mode).await
    }

    async fn rebuild_rollups(&self, node: &NodeId) -> Result<(), RepoError> {
        self.inner.rebuild_rollups(node).await
    }

    async fn forget(&self, node: &NodeId) -> Result<u64, RepoError> {
        self.inner.forget(node).await
    }
}
