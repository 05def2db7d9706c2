//! Removing a node and all that is known of it.
//!
//! Its rows may be many. So the node first loses its name, which no reader and
//! no intake finds from then on; what it was goes in small transactions. What is
//! left if that is cut short goes with the next.

use isems_core::NodeId;
use sqlx::{SqliteConnection, SqlitePool};

use super::{
    connect::BEGIN,
    nodes::{self, NodeRow, is_known},
    rollups,
};

/// Rows that one transaction removes: a fraction of a second on an SD card, so
/// that intake goes on meanwhile.
const CHUNK: i64 = 1_000;

pub(super) const REMOVE_SOME: &str = "DELETE FROM measurement WHERE id IN \
     (SELECT id FROM measurement WHERE node = ? ORDER BY observed, reported LIMIT ?)";

/// Removes a node, and what is left of those that were to be removed before.
/// Says how many measurements it had.
pub(super) async fn forget(writer: &SqlitePool, node: &NodeId) -> Result<u64, sqlx::Error> {
    let mut removed = 0;
    if let Some(id) = take_name(writer, node).await? {
        removed = remove(writer, id).await?;
    }
    finish(writer).await?;
    Ok(removed)
}

/// Removes what is left of nodes that were to be removed before.
pub(super) async fn finish(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let left: Vec<i64> =
        sqlx::query_scalar(concat!("SELECT id FROM node WHERE NOT ", is_known!(), " ORDER BY id"))
            .fetch_all(writer)
            .await?;
    for node in left {
        remove(writer, node).await?;
    }
    Ok(())
}

/// Takes the name from a node, and all that refers to it by it.
async fn take_name(writer: &SqlitePool, node: &NodeId) -> Result<Option<i64>, sqlx::Error> {
    let mut transaction = writer.begin_with(BEGIN).await?;
    let Some(NodeRow { id, .. }) = nodes::find(&mut transaction, node).await? else {
        return Ok(None);
    };
    for statement in [
        "UPDATE node SET name = '%' || id WHERE id = ?",
        "DELETE FROM clock_run WHERE node = ?",
        "DELETE FROM node_account WHERE node = ?",
        "DELETE FROM node_rejection WHERE node = ?",
    ] {
        sqlx::query(statement).bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some(id))
}

/// Removes a node without a name. Its number may be another's as soon as somebody
/// else has removed it.
async fn remove(writer: &SqlitePool, node: i64) -> Result<u64, sqlx::Error> {
    let mut removed = 0;
    loop {
        let mut transaction = writer.begin_with(BEGIN).await?;
        let (rows, is_last) = remove_some(&mut transaction, node).await?;
        transaction.commit().await?;
        removed += rows;
        if is_last {
            return Ok(removed);
        }
    }
}

async fn remove_some(
    connection: &mut SqliteConnection,
    node: i64,
) -> Result<(u64, bool), sqlx::Error> {
    let left: Option<i64> =
        sqlx::query_scalar(concat!("SELECT id FROM node WHERE id = ? AND NOT ", is_known!()))
            .bind(node)
            .fetch_optional(&mut *connection)
            .await?;
    if left.is_none() {
        return Ok((0, true));
    }
    let chunk = CHUNK.unsigned_abs();
    let rows = sqlx::query(REMOVE_SOME)
        .bind(node)
        .bind(CHUNK)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let is_last = rows < chunk && rollups::remove(connection, node, CHUNK).await? < chunk;
    if is_last {
        sqlx::query("DELETE FROM node WHERE id = ?").bind(node).execute(connection).await?;
    }
    Ok((rows, is_last))
}
