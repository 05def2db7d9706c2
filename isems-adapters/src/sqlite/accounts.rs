//! The account of each node beneath each source.

use std::collections::BTreeMap;

use isems_core::{NodeId, SourceSummary, Tally};
use sqlx::{Row, SqliteConnection};

use super::row::{node_id, signed, unsigned};

const ADD: &str = "INSERT INTO node_account \
    (source, node, stored, duplicate, conflict, expired, retimed) VALUES (?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (source, node) DO UPDATE SET \
     stored = stored + excluded.stored, duplicate = duplicate + excluded.duplicate, \
     conflict = conflict + excluded.conflict, expired = expired + excluded.expired, \
     retimed = retimed + excluded.retimed";

const ADD_REJECTED: &str = "INSERT INTO node_rejection (source, node, reason, amount) \
    VALUES (?, ?, ?, ?) \
    ON CONFLICT (source, node, reason) DO UPDATE SET amount = amount + excluded.amount";

/// The first nodes of each source by their names.
const FIRST: &str = "SELECT source, node, name, stored, duplicate, conflict, expired, retimed \
    FROM (SELECT account.*, node.name, \
           row_number() OVER (PARTITION BY account.source ORDER BY node.name) AS place \
          FROM node_account AS account JOIN node ON node.id = account.node) \
    WHERE place <= ?";

/// Adds to the account of a node.
pub(super) async fn enter(
    connection: &mut SqliteConnection,
    source: i64,
    node: i64,
    tally: &Tally,
) -> Result<(), sqlx::Error> {
    sqlx::query(ADD)
        .bind(source)
        .bind(node)
        .bind(signed(tally.stored))
        .bind(signed(tally.duplicate))
        .bind(signed(tally.conflict))
        .bind(signed(tally.expired))
        .bind(signed(tally.retimed))
        .execute(&mut *connection)
        .await?;
    for (reason, amount) in &tally.rejected {
        sqlx::query(ADD_REJECTED)
            .bind(source)
            .bind(node)
            .bind(reason.as_str())
            .bind(signed(*amount))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The accounts of each source's nodes, at most [`SourceSummary::NODES`] of each.
pub(super) async fn all(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<i64, BTreeMap<NodeId, Tally>>, sqlx::Error> {
    let mut rejected: BTreeMap<(i64, i64), BTreeMap<String, u64>> = BTreeMap::new();
    let rejections = sqlx::query("SELECT source, node, reason, amount FROM node_rejection")
        .fetch_all(&mut *connection)
        .await?;
    for row in &rejections {
        rejected
            .entry((row.try_get(0)?, row.try_get(1)?))
            .or_default()
            .insert(row.try_get(2)?, unsigned(row.try_get(3)?)?);
    }
    let first = i64::try_from(SourceSummary::NODES).unwrap_or(i64::MAX);
    let accounts = sqlx::query(FIRST).bind(first).fetch_all(&mut *connection).await?;
    let mut all: BTreeMap<i64, BTreeMap<NodeId, Tally>> = BTreeMap::new();
    for row in &accounts {
        let (source, node): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let count = |column: usize| unsigned(row.try_get(column)?);
        let tally = Tally {
            stored: count(3)?,
            duplicate: count(4)?,
            conflict: count(5)?,
            expired: count(6)?,
            retimed: count(7)?,
            rejected: rejected.remove(&(source, node)).unwrap_or_default(),
        };
        all.entry(source).or_default().insert(node_id(row.try_get(2)?)?, tally);
    }
    Ok(all)
}
