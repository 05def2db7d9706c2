//! Removing measurements by the retention policy.
//!
//! What the policy removes of a node are its oldest rows, whichever limit
//! says so: those too many end where the newest `keep_per_node` begin, and those
//! too old end at the age limit. So rows go oldest first, in small
//! transactions, and each leaves the node as a policy could have left it.
//!
//! How far they go is settled and noted first. What is judged from then on goes
//! by that, so that the node need not change with each transaction: intake would
//! have to judge anew until all are gone.

use std::collections::BTreeSet;

use isems_core::{NodeId, NodePrune, PruneMode, PruneReport, RetentionPolicy, Timestamp};
use sqlx::{SqliteConnection, SqlitePool};

use super::{
    connect::BEGIN,
    nodes::{self, NodeRow, is_known},
    rollups, row,
};

/// Rows that one transaction removes: a fraction of a second on an SD card, so
/// that intake goes on meanwhile.
const CHUNK: i64 = 1_000;

/// A place in a node's history: observed, reported.
type Place = (i64, i64);

pub(super) const PLACE: &str = "SELECT observed, reported FROM measurement WHERE node = ? \
     ORDER BY observed DESC, reported DESC LIMIT 1 OFFSET ?";

pub(super) const COUNT_TOO_MANY: &str = "SELECT count(*) FROM measurement \
     WHERE node = ? AND (observed, reported) <= (?, ?)";

pub(super) const COUNT_TOO_OLD: &str = "SELECT count(*) FROM measurement \
     WHERE node = ? AND (observed, reported) < (?, ?) AND observed < ?";

pub(super) const REMOVE_TOO_MANY: &str = "DELETE FROM measurement WHERE id IN \
     (SELECT id FROM measurement WHERE node = ? AND (observed, reported) <= (?, ?) \
      ORDER BY observed, reported LIMIT ?) RETURNING observed";

pub(super) const REMOVE_TOO_OLD: &str = "DELETE FROM measurement WHERE id IN \
     (SELECT id FROM measurement WHERE node = ? AND (observed, reported) < (?, ?) \
      AND observed < ? ORDER BY observed, reported LIMIT ?) RETURNING observed";

pub(super) const NEWEST_TOO_OLD: &str = "SELECT observed FROM measurement \
     WHERE node = ? AND (observed, reported) < (?, ?) AND observed < ? \
     ORDER BY observed DESC, reported DESC LIMIT 1";

/// The limits of a policy at one moment.
#[derive(Clone, Copy)]
struct Limits {
    /// How many newer rows make a row too many; at least 1, as the newest stays.
    keep: Option<i64>,
    oldest_kept: Option<i64>,
}

/// How many rows are too many and too old.
#[derive(Clone, Copy, Default)]
struct Due {
    too_many: u64,
    too_old: u64,
}

/// Applies a policy, or says what it would remove.
pub(super) async fn prune(
    writer: &SqlitePool,
    reader: &SqlitePool,
    policy: &RetentionPolicy,
    now: Timestamp,
    mode: PruneMode,
) -> Result<PruneReport, sqlx::Error> {
    let mut report = PruneReport::default();
    if policy.is_unlimited() {
        return Ok(report);
    }
    let limits = Limits {
        keep: policy.keep_per_node.map(|keep| i64::from(keep.max(1))),
        oldest_kept: policy.oldest_kept(now).map(Timestamp::as_unix),
    };
    // Names, as the id of a node that is forgotten meanwhile may become another's.
    let names: Vec<String> =
        sqlx::query_scalar(concat!("SELECT name FROM node WHERE ", is_known!(), " ORDER BY name"))
            .fetch_all(reader)
            .await?;
    for name in names {
        let node = row::node_id(&name)?;
        let mut removed = count(reader, &node, limits).await?;
        let nothing = removed.too_many + removed.too_old == 0;
        if !nothing && mode == PruneMode::Apply {
            removed = remove(writer, &node, limits).await?;
        }
        if removed.too_many + removed.too_old > 0 {
            report.nodes.push(NodePrune {
                node,
                too_many: removed.too_many,
                too_old: removed.too_old,
            });
        }
    }
    Ok(report)
}

async fn place(
    connection: &mut SqliteConnection,
    node: i64,
    rank: i64,
) -> Result<Option<Place>, sqlx::Error> {
    sqlx::query_as(PLACE).bind(node).bind(rank).fetch_optional(connection).await
}

/// Counts what is due, as of one moment.
async fn count(reader: &SqlitePool, node: &NodeId, limits: Limits) -> Result<Due, sqlx::Error> {
    let mut snapshot = reader.begin().await?;
    let mut due = Due::default();
    let Some(NodeRow { id: node, .. }) = nodes::find(&mut snapshot, node).await? else {
        return Ok(due);
    };
    let Some(newest) = place(&mut snapshot, node, 0).await? else {
        return Ok(due);
    };
    let mut newest_too_many = None;
    if let Some(keep) = limits.keep {
        newest_too_many = place(&mut snapshot, node, keep).await?;
    }
    if let Some((observed, reported)) = newest_too_many {
        let counted = sqlx::query_scalar(COUNT_TOO_MANY)
            .bind(node)
            .bind(observed)
            .bind(reported)
            .fetch_one(&mut *snapshot)
            .await?;
        due.too_many = row::unsigned(counted)?;
    }
    if let Some(oldest_kept) = limits.oldest_kept {
        let counted = sqlx::query_scalar(COUNT_TOO_OLD)
            .bind(node)
            .bind(newest.0)
            .bind(newest.1)
            .bind(oldest_kept)
            .fetch_one(&mut *snapshot)
            .await?;
        // Both are the oldest so many rows; what is both is named too many.
        due.too_old = row::unsigned(counted)?.saturating_sub(due.too_many);
    }
    snapshot.rollback().await?;
    Ok(due)
}

/// The newest rows that go.
#[derive(Clone, Copy)]
struct Cut {
    node: i64,
    too_many: Option<Place>,
    /// The observed time of the newest that is too old.
    too_old: Option<i64>,
}

impl Cut {
    fn until(&self) -> Option<i64> {
        self.too_many.map(|(observed, _)| observed).max(self.too_old)
    }
}

async fn remove(writer: &SqlitePool, node: &NodeId, limits: Limits) -> Result<Due, sqlx::Error> {
    rollups::catch_up(writer, node).await?;
    let mut total = Due::default();
    let Some(cut) = settle(writer, node, limits).await? else {
        return Ok(total);
    };
    loop {
        let removed = remove_chunk(writer, node, cut).await?;
        total.too_many += removed.too_many;
        total.too_old += removed.too_old;
        if removed.too_many + removed.too_old < CHUNK.unsigned_abs() {
            return Ok(total);
        }
    }
}

/// Settles which rows of a node go, and notes that they are gone.
async fn settle(
    writer: &SqlitePool,
    node: &NodeId,
    limits: Limits,
) -> Result<Option<Cut>, sqlx::Error> {
    let mut transaction = writer.begin_with(BEGIN).await?;
    let Some(NodeRow { id: node, .. }) = nodes::find(&mut transaction, node).await? else {
        return Ok(None);
    };
    let mut cut = Cut { node, too_many: None, too_old: None };
    if let Some(keep) = limits.keep {
        cut.too_many = place(&mut transaction, node, keep).await?;
    }
    if let Some(oldest_kept) = limits.oldest_kept
        && let Some((observed, reported)) = place(&mut transaction, node, 0).await?
    {
        cut.too_old = sqlx::query_scalar(NEWEST_TOO_OLD)
            .bind(node)
            .bind(observed)
            .bind(reported)
            .bind(oldest_kept)
            .fetch_optional(&mut *transaction)
            .await?;
    }
    let Some(until) = cut.until() else {
        return Ok(None);
    };
    sqlx::query("UPDATE node SET pruned_until = max(coalesce(pruned_until, ?1), ?1) WHERE id = ?2")
        .bind(until)
        .bind(node)
        .execute(&mut *transaction)
        .await?;
    nodes::record_change(&mut transaction, &BTreeSet::from([node])).await?;
    transaction.commit().await?;
    Ok(Some(cut))
}

/// Removes the oldest rows up to the cut, at most [`CHUNK`]. Their hours stay as
/// they are.
async fn remove_chunk(writer: &SqlitePool, name: &NodeId, cut: Cut) -> Result<Due, sqlx::Error> {
    let mut transaction = writer.begin_with(BEGIN).await?;
    let found = nodes::find(&mut transaction, name).await?;
    // Another node of that name, or another that took the place of a forgotten
    // one, was never pruned.
    let is_same = |found: &NodeRow| found.id == cut.node && found.pruned_until.is_some();
    let Some(NodeRow { id: node, .. }) = found.filter(is_same) else {
        return Ok(Due::default());
    };
    let mut gone: Vec<i64> = Vec::new();
    if let Some((observed, reported)) = cut.too_many {
        gone = sqlx::query_scalar(REMOVE_TOO_MANY)
            .bind(node)
            .bind(observed)
            .bind(reported)
            .bind(CHUNK)
            .fetch_all(&mut *transaction)
            .await?;
    }
    let too_many = gone.len();
    let room = CHUNK - i64::try_from(too_many).unwrap_or(CHUNK);
    if let Some(newest) = cut.too_old
        && let Some((observed, reported)) = place(&mut transaction, node, 0).await?
        && room > 0
    {
        let too_old: Vec<i64> = sqlx::query_scalar(REMOVE_TOO_OLD)
            .bind(node)
            .bind(observed)
            .bind(reported)
            .bind(newest.saturating_add(1))
            .bind(room)
            .fetch_all(&mut *transaction)
            .await?;
        gone.extend(too_old);
    }
    if let Some((oldest, newest)) = gone.iter().min().zip(gone.iter().max()) {
        let (first, last) = (Timestamp::from_unix(*oldest), Timestamp::from_unix(*newest));
        rollups::close(&mut transaction, node, first, last).await?;
    }
    transaction.commit().await?;
    Ok(Due { too_many: too_many as u64, too_old: (gone.len() - too_many) as u64 })
}
