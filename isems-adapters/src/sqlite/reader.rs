//! The reading side, with connections that cannot write.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
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
};

/// Reads measurements; its connections are opened read-only, so nothing that
/// holds it can write, whatever it is made to do. Reads never wait for the
/// writer, nor the writer for them. Clones share the connections.
#[derive(Clone, Debug)]
pub struct SqliteReader {
    /// Replaced when the file was, while nothing reads.
    pub(super) readers: Arc<RwLock<Readers>>,
    /// Belongs to the repository, whose reads wait for no others.
    is_own: bool,
    path: Arc<Path>,
    place: Arc<Place>,
    /// Tells the repository that another file has the name.
    bell: Arc<Notify>,
}

/// For each node one look into the unique index, at its newest end.
pub(super) const LATEST: &str = concat!(
    "SELECT measurement.id, name, ",
    columns!(),
    " FROM node CROSS JOIN measurement ON measurement.id = \
     (SELECT newest.id FROM measurement AS newest WHERE newest.node = node.id \
      ORDER BY newest.observed DESC, newest.reported DESC LIMIT 1) \
     WHERE (?1 IS NULL OR observed > ?1) AND ",
    is_known!(),
    " ORDER BY name"
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

    async fn read_latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, sqlx::Error> {
        sqlx::query(LATEST)
            .bind(active_since.map(Timestamp::as_unix))
            // One by one: a row as the driver has it takes ten times the room.
            .try_map(|found: SqliteRow| {
                let node = row::node_id(found.try_get(1)?)?;
                Ok(StoredMeasurement {
                    id: found.try_get(0)?,
                    measurement: row::measurement(&found, 2, node)?,
                })
            })
            .fetch_all(&*self.pool().await)
            .await
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
            // One by one, as above.
            .try_map(|found: SqliteRow| {
                Ok(StoredMeasurement {
                    id: found.try_get(0)?,
                    measurement: row::measurement(&found, 1, node.clone())?,
                })
            })
            .fetch_all(&*self.pool().await)
            .await
    }

    fn failed(&self, error: sqlx::Error) -> RepoError {
        fault::from_sqlx(error, &self.path)
    }
}

#[async_trait]
impl MeasurementReader for SqliteReader {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let latest = self.read_latest(active_since).await;
        latest.map_err(|error| self.failed(error))
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let history = self.read_history(node, range, limit).await;
        history.map_err(|error| self.failed(error))
    }

    async fn find(
        &self,
        node: &NodeId,
        wanted: &[Identity],
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let found = find::find(&*self.pool().await, node, wanted).await;
        found.map_err(|error| self.failed(error))
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        let rollups = rollups::read(&*self.pool().await, node, range).await;
        rollups.map_err(|error| self.failed(error))
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
        let buckets = rollups::buckets(&*self.pool().await, node, range, step).await;
        buckets.map_err(|error| self.failed(error))
    }

    async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>, RepoError> {
        let until = nodes::pruned_until(&*self.pool().await, node).await;
        until.map_err(|error| self.failed(error))
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        let summaries = sources::summaries(&*self.pool().await).await;
        summaries.map_err(|error| self.failed(error))
    }
}
