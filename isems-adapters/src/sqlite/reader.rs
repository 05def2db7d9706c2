//! The reading side, with connections that cannot write.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use isems_core::{
    Bucket, HOUR, HistoryRange, MeasurementReader, NodeId, Pages, RepoError, SourceSummary,
    StoredMeasurement, Timestamp,
};
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};
use tokio::sync::{Notify, RwLock, RwLockReadGuard};

use super::{
    connect, fault, nodes,
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
    pub(super) pool: Arc<RwLock<SqlitePool>>,
    pub(super) path: Arc<Path>,
    pub(super) place: Arc<Place>,
    /// Tells the repository that another file has the name.
    pub(super) bell: Arc<Notify>,
    /// Where it reads without locks: what must stay as it is.
    pub(super) still: Option<Arc<Still>>,
}

/// For each node one look into the unique index, at its newest end.
pub(super) const LATEST: &str = concat!(
    "SELECT measurement.id, name, ",
    columns!(),
    " FROM node CROSS JOIN measurement ON measurement.id = \
     (SELECT newest.id FROM measurement AS newest WHERE newest.node = node.id \
      ORDER BY newest.observed DESC, newest.reported DESC LIMIT 1) \
     WHERE ?1 IS NULL OR observed > ?1 ORDER BY name"
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
            pool: Arc::new(RwLock::new(connect::reader_pool(path).await)),
            path: Arc::clone(path),
            place,
            bell: Arc::default(),
            still: None,
        }
    }

    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// The connections, which stay the same as long as the guard lives.
    pub(super) async fn pool(&self) -> RwLockReadGuard<'_, SqlitePool> {
        let pool = self.pool.read().await;
        if pool.is_closed() || self.place.displaced().is_some() {
            self.bell.notify_one();
        }
        pool
    }

    async fn read_latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, sqlx::Error> {
        let rows = sqlx::query(LATEST)
            .bind(active_since.map(Timestamp::as_unix))
            .fetch_all(&*self.pool().await)
            .await?;
        rows.iter()
            .map(|found| {
                let node = row::node_id(found.try_get(1)?)?;
                Ok(StoredMeasurement {
                    id: found.try_get(0)?,
                    measurement: row::measurement(found, 2, node)?,
                })
            })
            .collect()
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
        self.done(self.read_latest(active_since).await)
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.done(self.read_history(node, range, limit).await)
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
