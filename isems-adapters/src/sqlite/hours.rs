//! Measurements on their way into the rollups.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, LazyLock},
};

use isems_core::{BatchOrigin, Bucket, HOUR, Measurement, Sample, Timestamp};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::rollups::{self, HOUR_OF_NODE, PUT};

/// Hours that are handled by one statement.
const CHUNK: usize = 64;

/// A place in the rollups: node and hour.
type Place = (i64, Timestamp);

/// The order of the join is forced, so that each is one look into the primary
/// key.
static FIND: LazyLock<Arc<str>> = LazyLock::new(|| {
    let wanted = vec!["(?,?)"; CHUNK].join(",");
    format!(
        "WITH wanted (w_node, w_hour) AS (VALUES {wanted}) \
         SELECT hour, count, status, spreads, node FROM wanted CROSS JOIN rollup \
         ON node = w_node AND hour = w_hour"
    )
    .into()
});

static PUT_MANY: LazyLock<Arc<str>> = LazyLock::new(|| {
    let rows = vec!["(?,?,?,?,?,0)"; CHUNK].join(",");
    format!("{}{rows}{}", PUT.0, PUT.1).into()
});

/// New measurements, by node and hour: an hour that a batch touches is written
/// once, or a few times if it touches very many.
#[derive(Debug, Default)]
pub(super) struct Hours(BTreeMap<Place, Bucket>);

impl Hours {
    /// With so many hours in hand they are to be written: each takes close to a
    /// kilobyte.
    const MANY: usize = 1_024;

    /// Adds a measurement that is put into the table.
    pub(super) fn add(&mut self, node: i64, measurement: &Measurement) {
        self.add_sample(node, measurement.observed, &measurement.sample);
    }

    pub(super) fn add_sample(&mut self, node: i64, observed: Timestamp, sample: &Sample) {
        let hour = observed.floor_to(HOUR);
        self.0.entry((node, hour)).or_insert_with(|| Bucket::empty(hour)).add(sample);
    }

    pub(super) fn are_many(&self) -> bool {
        self.0.len() >= Self::MANY
    }

    pub(super) fn into_buckets(self) -> impl Iterator<Item = (Place, Bucket)> {
        self.0.into_iter()
    }

    /// Adds everything to the rollups; nothing is in hand then. What an import
    /// brings back for an hour from which measurements were pruned may have been
    /// counted before.
    pub(super) async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        origin: BatchOrigin,
    ) -> Result<(), sqlx::Error> {
        let spare_closed = origin == BatchOrigin::Import;
        let mut hours: Vec<(Place, Bucket)> = mem::take(&mut self.0).into_iter().collect();
        for chunk in hours.chunks_mut(CHUNK) {
            if chunk.len() == CHUNK {
                merge_stored(connection, chunk).await?;
                put_many(connection, chunk, spare_closed).await?;
                continue;
            }
            for ((node, hour), bucket) in chunk {
                let stored = sqlx::query(HOUR_OF_NODE)
                    .bind(*node)
                    .bind(hour.as_unix())
                    .fetch_optional(&mut *connection)
                    .await?;
                if let Some(stored) = stored {
                    bucket.merge(&rollups::bucket(&stored)?);
                }
                rollups::put(connection, *node, bucket, spare_closed).await?;
            }
        }
        Ok(())
    }
}

async fn merge_stored(
    connection: &mut SqliteConnection,
    hours: &mut [(Place, Bucket)],
) -> Result<(), sqlx::Error> {
    // Safe: constant text and question marks only.
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&FIND)));
    for ((node, hour), _) in &*hours {
        query = query.bind(*node).bind(hour.as_unix());
    }
    let mut stored = BTreeMap::new();
    for found in query.fetch_all(connection).await? {
        let bucket = rollups::bucket(&found)?;
        stored.insert((found.try_get(4)?, bucket.begin), bucket);
    }
    for (place, bucket) in hours {
        if let Some(stored) = stored.get(place) {
            bucket.merge(stored);
        }
    }
    Ok(())
}

async fn put_many(
    connection: &mut SqliteConnection,
    hours: &[(Place, Bucket)],
    spare_closed: bool,
) -> Result<(), sqlx::Error> {
    // Safe: constant text and question marks only.
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&PUT_MANY)));
    for ((node, _), bucket) in hours {
        query = rollups::bind(query.bind(*node), bucket);
    }
    query.bind(spare_closed).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
pub(super) fn find_statement() -> Arc<str> {
    Arc::clone(&FIND)
}
