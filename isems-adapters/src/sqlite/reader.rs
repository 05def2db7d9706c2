//! The reading side, with connections that cannot write.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use isems_core::{
    Bucket, HOUR, HistoryRange, Identity, MeasurementReader, NodeId, Pages, RepoError,
    SourceSummary, StoredMeasurement, Timestamp,
};
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};
use tokio::sync::{Notify, RwLock, RwLockReadGuard};

use super::{
    connect::Readers,
    fault, find,
    nodes::{self, is_known},
    place::Place,
    rollups,
    row::{self, columns},
    sources,
    standby::Still,
};

/// Reads measurements; its connections are opened read-only, so nothing that
/// holds it can write, whatever it is made to do. Reads never wait for the
/// writer, nor the writer for them. Clones share the connections.
#[derive(Clone, Debug)]
pub struct SqliteReader {
    /// Replaced when the file was, while nothing reads.
    pub(super) readers: Arc<RwLock<Readers>>,
    /// Belongs to the repository, whose reads wait for no others.
    pub(super) is_own: bool,
    pub(super) path: Arc<Path>,
    pub(super) place: Arc<Place>,
    /// Tells the repository that another file has the name.
    pub(super) bell: Arc<Notify>,
    /// Where it reads without locks: what must stay as it is.
    pub(super) still: Option<Arc<Still>>,
}

/// For each node after a name one look into the unique index, at its newest end.
pub(super) const LATEST: &str = concat!(
    "SELECT measurement.id, name, ",
    columns!(),
    " FROM node CROSS JOIN measurement ON measurement.id = \
     (SELECT newest.id FROM measurement AS newest WHERE newest.node = node.id \
      ORDER BY newest.observed DESC, newest.reported DESC LIMIT 1) \
     WHERE name > ?2 AND (?1 IS NULL OR observed > ?1) AND ",
    is_known!(),
    " ORDER BY name LIMIT ?3"
);

/// The unique index, read backwards.
pub(super) const HISTORY: &str = concat!(
    "SELECT id, ",
    columns!(),
    " FROM measurement WHERE node = (SELECT node.id FROM node WHERE name = ?1) \
     AND observed BETWEEN ?2 AND ?3 ORDER BY observed DESC, reported DESC LIMIT ?4"
);

impl SqliteReader {
    pub(super) async fn new(path: &Arc<Path>, place: Arc<Place>) -> Self {
        Self {
            readers: Arc::new(RwLock::new(Readers::open(path).await)),
            is_own: true,
            path: Arc::clone(path),
            place,
            bell: Arc::default(),
            still: None,
        }
    }

    /// The same for those who are not the repository.
    pub(super) fn for_others(&self) -> Self {
        Self { is_own: false, ..self.clone() }
    }

    /// Closes all connections, once nothing reads.
    pub(super) async fn close(&self) {
        self.readers.read().await.close().await;
    }

    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// The connections, which stay the same as long as the guard lives.
    pub(super) async fn pool(&self) -> RwLockReadGuard<'_, SqlitePool> {
        let pool = RwLockReadGuard::map(self.readers.read().await, |readers| {
            if self.is_own { &readers.own } else { &readers.shared }
        });
        if pool.is_closed() || self.place.displaced().is_some() {
            self.bell.notify_one();
        }
        pool
    }

    /// Shows what [`LATEST`] finds.
    async fn read_latest(
        &self,
        after: &str,
        limit: usize,
        active_since: Option<Timestamp>,
        show: &mut (dyn FnMut(StoredMeasurement) + Send),
    ) -> Result<(), sqlx::Error> {
        let pool = self.pool().await;
        let mut rows = sqlx::query(LATEST)
            .bind(active_since.map(Timestamp::as_unix))
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch(&*pool);
        while let Some(found) = rows.try_next().await? {
            let node = row::node_id(found.try_get(1)?)?;
            let measurement = row::measurement(&found, 2, node)?;
            show(StoredMeasurement { id: found.try_get(0)?, measurement });
        }
        Ok(())
    }

    async fn read_history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, sqlx::Error> {
        sqlx::query(HISTORY)
            .bind(node.as_str())
            .bind(range.from.map_or(i64::MIN, Timestamp::as_unix))
            .bind(range.until.map_or(i64::MAX, Timestamp::as_unix))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            // One by one: a row as the driver has it takes ten times the room.
            .try_map(|found: SqliteRow| {
                Ok(StoredMeasurement {
                    id: found.try_get(0)?,
                    measurement: row::measurement(&found, 1, node.clone())?,
                })
            })
            .fetch_all(&*self.pool().await)
            .await
    }

    /// What was read, if it counts.
    fn done<T>(&self, read: Result<T, sqlx::Error>) -> Result<T, RepoError> {
        if self.still.as_ref().is_some_and(|still| !still.is_so()) {
            let file = self.path.display();
            let what = format!("{file} was changed while it was read without its locks");
            return Err(RepoError::Unavailable { what, cause: None });
        }
        read.map_err(|error| fault::from_sqlx(error, &self.path))
    }
}

#[async_trait]
impl MeasurementReader for SqliteReader {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.latest_page("", usize::MAX, active_since).await
    }

    async fn latest_page(
        &self,
        after: &str,
        limit: usize,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let mut page = Vec::new();
        let read = self.read_latest(after, limit, active_since, &mut |row| page.push(row)).await;
        self.done(read)?;
        Ok(page)
    }

    async fn each_latest(
        &self,
        active_since: Option<Timestamp>,
        show: &mut (dyn FnMut(StoredMeasurement) + Send),
    ) -> Result<(), RepoError> {
        let read = self.read_latest("", usize::MAX, active_since, show).await;
        self.done(read)
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.done(self.read_history(node, range, limit).await)
    }

    async fn find(
        &self,
        node: &NodeId,
        wanted: &[Identity],
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let found = find::find(&*self.pool().await, node, wanted).await;
        self.done(found)
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        self.done(rollups::read(&*self.pool().await, node, range).await)
    }

    async fn buckets(
        &self,
        node: &NodeId,
        range: HistoryRange,
        step: i64,
    ) -> Result<Vec<Bucket>, RepoError> {
        if step % HOUR != 0 {
            return Pages::of(range).into_buckets(self, node, step).await;
        }
        self.done(rollups::buckets(&*self.pool().await, node, range, step).await)
    }

    async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>, RepoError> {
        self.done(nodes::pruned_until(&*self.pool().await, node).await)
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        self.done(sources::summaries(&*self.pool().await).await)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use isems_core::{Batch, MeasurementRepo as _, SourcePart, testing::measurement};

    use crate::sqlite::SqliteRepo;

    #[tokio::test]
    async fn intake_does_not_wait_for_others_that_read() {
        let folder = tempfile::tempdir().unwrap();
        let repo = SqliteRepo::open(&folder.path().join("isems.db")).await.unwrap();
        // Given readers that hold all connections that there are for them
        let reader = repo.reader();
        let pool = reader.pool().await;
        let mut held = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            held.push(pool.acquire().await.unwrap());
        }
        // Then what intake does goes on
        let row = measurement("A", 1_700_000_000, 12.5);
        let node = row.node.clone();
        let work = async {
            repo.node_state(&node).await.unwrap();
            let part = SourcePart { update: None, rows: vec![row] };
            repo.store(&Batch { parts: vec![part], ..Batch::default() }).await.unwrap();
        };
        tokio::time::timeout(Duration::from_secs(10), work).await.expect("it waits for readers");
    }
}
