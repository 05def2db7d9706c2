//! Nodes: their versions and clock runs.

use std::collections::BTreeSet;

use isems_core::{ClockMarks, ClockRun, KnownTelemetry, NodeId, NodeState, NodeVersion, Timestamp};
use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::row;

/// What the table of nodes says of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeRow {
    pub(super) id: i64,
    pub(super) version: NodeVersion,
    pub(super) pruned_until: Option<Timestamp>,
}

/// A node by its name.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    node: &NodeId,
) -> Result<Option<NodeRow>, sqlx::Error> {
    let found = sqlx::query("SELECT id, version, pruned_until FROM node WHERE name = ?")
        .bind(node.as_str())
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(node_row).transpose()
}

fn node_row(found: &SqliteRow) -> Result<NodeRow, sqlx::Error> {
    Ok(NodeRow {
        id: found.try_get(0)?,
        version: row::unsigned(found.try_get(1)?)?,
        pruned_until: found.try_get::<Option<i64>, _>(2)?.map(Timestamp::from_unix),
    })
}

/// The newest observed time of which measurements of a node were pruned.
pub(super) async fn pruned_until(
    reader: &SqlitePool,
    node: &NodeId,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let found = find(&mut *reader.acquire().await?, node).await?;
    Ok(found.and_then(|node| node.pruned_until))
}

/// Whether a row of `node` is a node: one that is being removed has lost its
/// name, and has one that no node can have.
macro_rules! is_known {
    () => {
        "substr(name, 1, 1) <> '%'"
    };
}
pub(super) use is_known;

/// A new node. Its version is that of an unknown one until
/// [`record_change`] raises it.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    node: &NodeId,
) -> Result<NodeRow, sqlx::Error> {
    let id = sqlx::query_scalar("INSERT INTO node (name, version) VALUES (?, 0) RETURNING id")
        .bind(node.as_str())
        .fetch_one(connection)
        .await?;
    Ok(NodeRow { id, version: 0, pruned_until: None })
}

/// Remembers what is known of our own clock.
pub(super) async fn record_clock(
    connection: &mut SqliteConnection,
    marks: ClockMarks,
) -> Result<(), sqlx::Error> {
    if marks == ClockMarks::default() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE store_state SET \
         newest_arrival = max(ifnull(newest_arrival, ?1), ifnull(?1, newest_arrival)), \
         clock_confirmed = max(ifnull(clock_confirmed, ?2), ifnull(?2, clock_confirmed))",
    )
    .bind(marks.newest_arrival.map(Timestamp::as_unix))
    .bind(marks.confirmed.map(Timestamp::as_unix))
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Gives the changed nodes a version that none ever had.
pub(super) async fn record_change(
    connection: &mut SqliteConnection,
    changed: &BTreeSet<i64>,
) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let version: i64 =
        sqlx::query_scalar("UPDATE store_state SET version = version + 1 RETURNING version")
            .fetch_one(&mut *connection)
            .await?;
    for node in changed {
        sqlx::query("UPDATE node SET version = ? WHERE id = ?")
            .bind(version)
            .bind(node)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Makes `runs` the runs of a node. Mostly only the newest differs from what is
/// stored, so only what differs is written.
pub(super) async fn replace_runs(
    connection: &mut SqliteConnection,
    node: i64,
    runs: &[ClockRun],
) -> Result<(), sqlx::Error> {
    let stored = load_runs(connection, node).await?;
    let same = stored.iter().zip(runs).take_while(|(a, b)| a == b).count();
    if same < stored.len() {
        sqlx::query("DELETE FROM clock_run WHERE node = ? AND position >= ?")
            .bind(node)
            .bind(position(same))
            .execute(&mut *connection)
            .await?;
    }
    for (index, run) in runs.iter().enumerate().skip(same) {
        sqlx::query(
            "INSERT INTO clock_run \
             (node, position, shift, basis, first_reported, last_reported, guessed) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(node)
        .bind(position(index))
        .bind(run.offset)
        .bind(row::basis_code(run.basis))
        .bind(run.first_reported.as_unix())
        .bind(run.last_reported.as_unix())
        .bind(run.guessed)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn position(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// The clock runs of a node, oldest first.
pub(super) async fn load_runs(
    connection: &mut SqliteConnection,
    node: i64,
) -> Result<Vec<ClockRun>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT shift, basis, first_reported, last_reported, guessed FROM clock_run \
         WHERE node = ? ORDER BY position",
    )
    .bind(node)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|run| {
            Ok(ClockRun {
                offset: run.try_get(0)?,
                basis: row::basis(run.try_get(1)?)?,
                first_reported: Timestamp::from_unix(run.try_get(2)?),
                last_reported: Timestamp::from_unix(run.try_get(3)?),
                guessed: run.try_get(4)?,
            })
        })
        .collect()
}

/// The telemetry that is remembered of a node, the last stored first.
pub(super) const TELEMETRY: &str = "SELECT observed, reported FROM measurement \
     WHERE node = ? AND kind = 1 ORDER BY id DESC LIMIT ?";

/// What the clock rule must know of a node, as of one moment.
pub(super) async fn state(pool: &SqlitePool, node: &NodeId) -> Result<NodeState, sqlx::Error> {
    let mut snapshot = pool.begin().await?;
    let Some(found) = find(&mut snapshot, node).await? else {
        return Ok(NodeState::default());
    };
    let runs = load_runs(&mut snapshot, found.id).await?;
    let telemetry = sqlx::query(TELEMETRY)
        .bind(found.id)
        .bind(position(KnownTelemetry::KEPT))
        .fetch_all(&mut *snapshot)
        .await?;
    let telemetry = telemetry
        .iter()
        .map(|known| {
            Ok(KnownTelemetry {
                observed: Timestamp::from_unix(known.try_get(0)?),
                fingerprint: known.try_get(1)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    snapshot.rollback().await?;
    Ok(NodeState { version: found.version, runs, telemetry, pruned_until: found.pruned_until })
}

/// What is remembered of our own clock.
pub(super) async fn clock_marks(pool: &SqlitePool) -> Result<ClockMarks, sqlx::Error> {
    let (newest_arrival, confirmed): (Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT newest_arrival, clock_confirmed FROM store_state")
            .fetch_one(pool)
            .await?;
    Ok(ClockMarks {
        newest_arrival: newest_arrival.map(Timestamp::from_unix),
        confirmed: confirmed.map(Timestamp::from_unix),
    })
}
