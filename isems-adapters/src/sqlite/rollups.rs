//! Rollups: each node's hours in few numbers, kept with the rows.

use std::sync::{Arc, LazyLock};

use futures_util::TryStreamExt as _;
use isems_core::{Bucket, Buckets, HOUR, HistoryRange, NodeId, NodeStatus, Timestamp, time::DAY};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    connect::BEGIN,
    hours::Hours,
    nodes::{self, NodeRow},
    row::{self, Bound, columns, impossible},
    spreads,
};

/// Seconds of measurements that are rolled up anew in one transaction: a
/// fraction of a second on an SD card, so that intake goes on meanwhile.
const WINDOW: i64 = 3 * DAY;

/// One walk along the primary key.
pub(super) const ROLLUPS: &str = "SELECT hour, count, status, spreads FROM rollup \
     WHERE node = (SELECT id FROM node WHERE name = ?) AND hour BETWEEN ? AND ? ORDER BY hour";

pub(super) const HOUR_OF_NODE: &str =
    "SELECT hour, count, status, spreads FROM rollup WHERE node = ? AND hour = ?";

/// What goes before and after the hours that are put, each `(?,?,?,?,?,0)`. The
/// last parameter: 1 leaves an hour as it is from which measurements were
/// pruned.
pub(super) const PUT: (&str, &str) = (
    "INSERT INTO rollup (node, hour, count, status, spreads, closed) VALUES ",
    " ON CONFLICT (node, hour) DO UPDATE SET \
     count = excluded.count, status = excluded.status, spreads = excluded.spreads \
     WHERE NOT (closed AND ?)",
);

static PUT_ONE: LazyLock<Arc<str>> =
    LazyLock::new(|| format!("{}(?,?,?,?,?,0){}", PUT.0, PUT.1).into());

pub(super) const CLOSE: &str =
    "UPDATE rollup SET closed = 1 WHERE node = ? AND hour BETWEEN ? AND ?";

pub(super) const NEXT: &str =
    "SELECT min(observed) FROM measurement WHERE node = ? AND observed >= ?";

pub(super) const WITHIN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM measurement WHERE node = ? AND observed BETWEEN ? AND ? ORDER BY observed"
);

pub(super) async fn put(
    connection: &mut SqliteConnection,
    node: i64,
    bucket: &Bucket,
    spare_closed: bool,
) -> Result<(), sqlx::Error> {
    // Safe: constant text and question marks only.
    let query = sqlx::query(AssertSqlSafe(Arc::clone(&PUT_ONE))).bind(node);
    bind(query, bucket).bind(spare_closed).execute(connection).await?;
    Ok(())
}

/// Adds the columns of a rollup but for its node to a query.
pub(super) fn bind<'q>(query: Bound<'q>, bucket: &Bucket) -> Bound<'q> {
    query
        .bind(bucket.begin.as_unix())
        .bind(row::signed(bucket.count))
        .bind(i64::from(bucket.status.bits()))
        .bind(spreads::encode(&bucket.fields))
}

/// Reads a rollup from columns that begin with hour, count, status, spreads.
pub(super) fn bucket(found: &SqliteRow) -> Result<Bucket, sqlx::Error> {
    let hour: i64 = found.try_get(0)?;
    let odd = |what: &str| impossible(format!("{what} in the rollup of hour {hour}"));
    let count = row::unsigned(found.try_get(1)?)?;
    let status = u16::try_from(found.try_get::<i64, _>(2)?).map_err(|_| odd("status"))?;
    Ok(Bucket {
        begin: Timestamp::from_unix(hour),
        count,
        status: NodeStatus::from_bits(status),
        fields: spreads::decode(found.try_get(3)?, count).ok_or_else(|| odd("spreads"))?,
    })
}

/// The rollups of a node whose hours begin within `range`, oldest first.
pub(super) async fn read(
    reader: &SqlitePool,
    node: &NodeId,
    range: HistoryRange,
) -> Result<Vec<Bucket>, sqlx::Error> {
    let mut rollups = Vec::new();
    for_each(reader, node, range, |hour| rollups.push(hour)).await?;
    Ok(rollups)
}

/// The rollups of these hours in buckets of `step` seconds, oldest first. No
/// more is held than the buckets: a decade has 87,600 hours, each close to a
/// kilobyte in memory.
pub(super) async fn buckets(
    reader: &SqlitePool,
    node: &NodeId,
    range: HistoryRange,
    step: i64,
) -> Result<Vec<Bucket>, sqlx::Error> {
    let mut buckets = Buckets::of(step);
    for_each(reader, node, range, |hour| buckets.merge(&hour)).await?;
    Ok(buckets.into_sorted())
}

async fn for_each(
    reader: &SqlitePool,
    node: &NodeId,
    range: HistoryRange,
    mut take: impl FnMut(Bucket),
) -> Result<(), sqlx::Error> {
    let mut rows = sqlx::query(ROLLUPS)
        .bind(node.as_str())
        .bind(range.from.map_or(i64::MIN, Timestamp::as_unix))
        .bind(range.until.map_or(i64::MAX, Timestamp::as_unix))
        .fetch(reader);
    while let Some(found) = rows.try_next().await? {
        take(bucket(&found)?);
    }
    Ok(())
}

/// Notes that the measurements of a node which were observed from `first` to
/// `last` were pruned: all of them, so every hour between is closed.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    node: i64,
    first: Timestamp,
    last: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(CLOSE)
        .bind(node)
        .bind(first.floor_to(HOUR).as_unix())
        .bind(last.as_unix())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the rollups of a node if it has measurements from before rollups were
/// kept, so that they can be pruned.
pub(super) async fn catch_up(writer: &SqlitePool, node: &NodeId) -> Result<(), sqlx::Error> {
    let behind: Option<bool> = sqlx::query_scalar("SELECT NOT rolled_up FROM node WHERE name = ?")
        .bind(node.as_str())
        .fetch_optional(writer)
        .await?;
    if behind == Some(true) { rebuild(writer, node).await } else { Ok(()) }
}

/// Makes the rollups of a node anew, except of the hours from which
/// measurements were pruned: in windows from the oldest measurement to the newest. What is stored
/// meanwhile adds itself to its hour, before or after that is made anew.
pub(super) async fn rebuild(writer: &SqlitePool, node: &NodeId) -> Result<(), sqlx::Error> {
    let mut from = Timestamp::from_unix(i64::MIN);
    while let Some(last) = rebuild_window(writer, node, from).await? {
        from = last.plus(1);
        if from == last {
            break;
        }
    }
    sqlx::query("UPDATE node SET rolled_up = 1 WHERE name = ?")
        .bind(node.as_str())
        .execute(writer)
        .await?;
    Ok(())
}

/// Makes the hours anew of a window that begins with the first measurement at
/// or after `from`; returns the window's last moment, or `None` if there is no
/// such measurement.
async fn rebuild_window(
    writer: &SqlitePool,
    node: &NodeId,
    from: Timestamp,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let mut transaction = writer.begin_with(BEGIN).await?;
    // The id of a node that was forgotten meanwhile may be another's.
    let Some(NodeRow { id: node, .. }) = nodes::find(&mut transaction, node).await? else {
        return Ok(None);
    };
    let first: Option<i64> = sqlx::query_scalar(NEXT)
        .bind(node)
        .bind(from.as_unix())
        .fetch_one(&mut *transaction)
        .await?;
    let Some(first) = first else {
        return Ok(None);
    };
    let begin = Timestamp::from_unix(first).floor_to(HOUR);
    let last = begin.plus(WINDOW - 1);
    for ((node, _), bucket) in roll_up(&mut transaction, node, begin, last).await?.into_buckets() {
        put(&mut transaction, node, &bucket, true).await?;
    }
    transaction.commit().await?;
    Ok(Some(last))
}

/// The hours from `begin` to `last`, from the measurements.
async fn roll_up(
    connection: &mut SqliteConnection,
    node: i64,
    begin: Timestamp,
    last: Timestamp,
) -> Result<Hours, sqlx::Error> {
    let mut hours = Hours::default();
    let mut rows =
        sqlx::query(WITHIN).bind(node).bind(begin.as_unix()).bind(last.as_unix()).fetch(connection);
    while let Some(found) = rows.try_next().await? {
        let observed = Timestamp::from_unix(found.try_get(0)?);
        hours.add_sample(node, observed, &row::sample(&found, 0)?);
    }
    Ok(hours)
}

/// Removes at most `limit` rollups of a node that has no measurements any more,
/// the oldest, and returns how many.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    node: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let removed = sqlx::query(
        "DELETE FROM rollup WHERE node = ?1 AND hour IN \
         (SELECT hour FROM rollup WHERE node = ?1 ORDER BY hour LIMIT ?2)",
    )
    .bind(node)
    .bind(limit)
    .execute(connection)
    .await?
    .rows_affected();
    Ok(removed)
}
