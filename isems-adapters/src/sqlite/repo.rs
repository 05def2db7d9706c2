//! The repository: one connection that writes, a few that only read.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use isems_core::{
    Batch, Bucket, ClockMarks, HistoryRange, Identity, MeasurementReader, MeasurementRepo, NodeId,
    NodeState, PruneMode, PruneReport, ReadPosition, RepoError, RetentionPolicy, SourceId,
    SourceSummary, StoreReport, StoredMeasurement, Timestamp,
};
use sqlx::SqlitePool;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    connect,
    files::{self, Files},
    forget,
    inspect::{self, Found},
    nodes,
    place::Displaced,
    prune,
    reader::SqliteReader,
    rollups, sources, store,
};

/// Measurements in one SQLite file.
///
/// What [`MeasurementRepo::store`] returns is on disk (write-ahead log, synced
/// at each commit). Several processes may open the same file; writers take
/// turns and wait up to ten seconds for each other. Reads, also of other
/// processes, go on while somebody writes.
///
/// If the file is moved, removed or replaced meanwhile, the write that is under
/// way fails as [`RepoError::Unavailable`], and the next one goes into the file
/// that has the name now, or into a new one; so do reads from then on. What was
/// stored before is complete in the old file.
#[derive(Debug)]
pub struct SqliteRepo {
    pub(super) files: Arc<Files>,
    reader: SqliteReader,
    follower: JoinHandle<()>,
}

impl SqliteRepo {
    /// Whether [`open`](Self::open) would accept what is at `path`, without
    /// touching it. A missing file is accepted.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn check(path: &Path) -> Result<(), RepoError> {
        inspect::inspect(path).await.map(drop)
    }

    /// Opens the file, creates it if it is missing (but not its folder), and
    /// brings its schema up to date.
    ///
    /// # Errors
    /// - [`RepoError::Foreign`] if it is a newer version's, the old Python
    ///   collector's or another program's database. It is left as it was, byte
    ///   for byte, and no file is created beside it.
    /// - [`RepoError::Corrupt`] if it is no database or damaged; likewise left
    ///   as it was.
    /// - [`RepoError::Unavailable`], [`RepoError::ReadOnly`] or
    ///   [`RepoError::Full`] if the folder is missing, or the file cannot be
    ///   read or written.
    pub async fn open(path: &Path) -> Result<Self, RepoError> {
        let path = absolute(path)?;
        let found = inspect::inspect(&path).await?;
        let opened = Self::open_inspected(&path).await?;
        // Not before: where it cannot begin it is tried again and again.
        if found == Found::Empty {
            let file = path.display();
            tracing::warn!(
                %file,
                "{file} was there but empty: a new database begins in it; if it should hold \
                 measurements (was it to be salvaged or restored?), stop the collector and put \
                 the right file in its place"
            );
        }
        Ok(opened)
    }

    /// Opens the file that `reader`, which is
    /// [of its own](SqliteReader::open), reads meanwhile.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_beside(reader: &SqliteReader) -> Result<Self, RepoError> {
        if matches!(reader.place.displaced(), Some(Displaced::Gone | Displaced::Replaced)) {
            return Self::open(&reader.path).await;
        }
        inspect::inspect_database(&reader.path).await?;
        Self::open_inspected(&reader.path).await
    }

    async fn open_inspected(path: &Arc<Path>) -> Result<Self, RepoError> {
        connect::prepare(path).await?;
        let files = Arc::new(Files::open(path).await?);
        Ok(Self {
            reader: files.reader(),
            follower: tokio::spawn(files::follow_readers(Arc::downgrade(&files), files.bell())),
            files,
        })
    }

    /// A reader whose connections cannot write; the API gets this.
    #[must_use]
    pub fn reader(&self) -> SqliteReader {
        self.reader.for_others()
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Moves the write-ahead log into the file and closes all connections,
    /// those of [`reader`](Self::reader) too: reads that are under way are
    /// waited for, later ones fail as [`RepoError::Unavailable`]. Nothing is
    /// lost without it; with it, the file alone is the whole database.
    pub async fn close(&self) {
        self.reader.close().await;
        self.follower.abort();
        let writer = self.files.writer().await;
        if let Err(error) = checkpoint(&writer.pool).await {
            tracing::warn!(
                file = %self.path().display(),
                %error,
                "the write-ahead log stays beside the database until it is opened next; nothing \
                 is lost"
            );
        }
        // One that still waits for a lock is left to itself.
        let _ = timeout(A_MOMENT, writer.pool.close()).await;
    }
}

/// How long the end waits for what others hold.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Moves the write-ahead log into the file, unless another process holds that.
async fn checkpoint(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let connection = timeout(A_MOMENT, writer.acquire()).await;
    let mut connection = connection.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    sqlx::query("PRAGMA busy_timeout = 1000").execute(&mut *connection).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await.map(drop)
}

/// An absolute path, as SQLite would take a relative `file:…` for a URI.
pub(super) fn absolute(path: &Path) -> Result<Arc<Path>, RepoError> {
    std::path::absolute(path).map(Into::into).map_err(|error| RepoError::Unavailable {
        what: format!("the path {:?} cannot be resolved", path.display().to_string()),
        cause: Some(error.into()),
    })
}

impl Drop for SqliteRepo {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

#[async_trait]
impl MeasurementReader for SqliteRepo {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.files.look().await?;
        self.reader.latest(active_since).await
    }

    async fn latest_page(
        &self,
        after: &str,
        limit: usize,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.files.look().await?;
        self.reader.latest_page(after, limit, active_since).await
    }

    async fn each_latest(
        &self,
        active_since: Option<Timestamp>,
        show: &mut (dyn FnMut(StoredMeasurement) + Send),
    ) -> Result<(), RepoError> {
        self.files.look().await?;
        self.reader.each_latest(active_since, show).await
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.files.look().await?;
        self.reader.history(node, range, limit).await
    }

    async fn find(
        &self,
        node: &NodeId,
        wanted: &[Identity],
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.files.look().await?;
        self.reader.find(node, wanted).await
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        self.files.look().await?;
        self.reader.rollups(node, range).await
    }

    async fn buckets(
        &self,
        node: &NodeId,
        range: HistoryRange,
        step: i64,
    ) -> Result<Vec<Bucket>, RepoError> {
        self.files.look().await?;
        self.reader.buckets(node, range, step).await
    }

    async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>, RepoError> {
        self.files.look().await?;
        self.reader.pruned_until(node).await
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        self.files.look().await?;
        self.reader.sources().await
    }
}

#[async_trait]
impl MeasurementRepo for SqliteRepo {
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError> {
        let writer = self.files.begin().await?;
        let stored = store::store(&writer.pool, batch).await;
        self.files.end(writer, stored).await
    }

    async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError> {
        self.files.look().await?;
        let state = nodes::state(&*self.reader.pool().await, node).await;
        state.map_err(|error| self.files.failed(error))
    }

    async fn clock_marks(&self) -> Result<ClockMarks, RepoError> {
        self.files.look().await?;
        let marks = nodes::clock_marks(&*self.reader.pool().await).await;
        marks.map_err(|error| self.files.failed(error))
    }

    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError> {
        // Not worth a failure if the file was replaced: pollers ask again.
        let positions = sources::positions(&*self.reader.pool().await).await;
        positions.map_err(|error| self.files.failed(error))
    }

    async fn prune(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        mode: PruneMode,
    ) -> Result<PruneReport, RepoError> {
        let writer = self.files.begin().await?;
        let reader = self.reader.pool().await;
        let report = prune::prune(&writer.pool, &reader, policy, now, mode).await;
        let report = match report {
            Ok(report) if mode == PruneMode::Apply => {
                forget::finish(&writer.pool).await.map(|()| report)
            }
            report => report,
        };
        drop(reader);
        self.files.end(writer, report).await
    }

    async fn rebuild_rollups(&self, node: &NodeId) -> Result<(), RepoError> {
        let writer = self.files.begin().await?;
        let rebuilt = rollups::rebuild(&writer.pool, node).await;
        self.files.end(writer, rebuilt).await
    }

    async fn forget(&self, node: &NodeId) -> Result<u64, RepoError> {
        let writer = self.files.begin().await?;
        let removed = forget::forget(&writer.pool, node).await;
        self.files.end(writer, removed).await
    }
}
