//! Stored measurements by their identity, however far apart they lie.

use std::sync::{Arc, LazyLock};

use isems_core::{Identity, NodeId, StoredMeasurement};
use sqlx::{AssertSqlSafe, Row, SqlitePool, sqlite::SqliteRow};

use super::row::{self, columns};

/// So many are looked up by one statement, of a log
const MANY: usize = 64;
/// and of a message.
const FEW: usize = 6;

static FIND_MANY: LazyLock<Arc<str>> = LazyLock::new(|| looks_up(MANY));
static FIND_FEW: LazyLock<Arc<str>> = LazyLock::new(|| looks_up(FEW));

/// The order of the join is forced, so that each is one look into the unique
/// index.
fn looks_up(many: usize) -> Arc<str> {
    let wanted = vec!["(?,?)"; many].join(",");
    format!(
        concat!(
            "WITH wanted (w_observed, w_reported) AS (VALUES {}), \
             known (w_node) AS (SELECT node.id FROM node WHERE name = ?) \
             SELECT id, ",
            columns!(),
            " FROM known CROSS JOIN wanted CROSS JOIN measurement \
             ON node = w_node AND observed = w_observed AND reported = w_reported"
        ),
        wanted
    )
    .into()
}

/// Those of these measurements of a node that are stored.
pub(super) async fn find(
    reader: &SqlitePool,
    node: &NodeId,
    wanted: &[Identity],
) -> Result<Vec<StoredMeasurement>, sqlx::Error> {
    let mut stored = Vec::new();
    for chunk in wanted.chunks(MANY) {
        let (statement, room) =
            if chunk.len() > FEW { (&FIND_MANY, MANY) } else { (&FIND_FEW, FEW) };
        // Safe: constant text and question marks only.
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
        // What is null is found nowhere.
        for at in 0..room {
            let identity = chunk.get(at);
            query = query
                .bind(identity.map(|(observed, _)| observed.as_unix()))
                .bind(identity.map(|(_, reported)| reported.key()));
        }
        let found = query
            .bind(node.as_str())
            // One by one: a row as the driver has it takes ten times the room.
            .try_map(|found: SqliteRow| {
                Ok(StoredMeasurement {
                    id: found.try_get(0)?,
                    measurement: row::measurement(&found, 1, node.clone())?,
                })
            })
            .fetch_all(reader)
            .await?;
        stored.extend(found);
    }
    Ok(stored)
}

#[cfg(test)]
pub(super) fn statement() -> Arc<str> {
    Arc::clone(&FIND_MANY)
}
