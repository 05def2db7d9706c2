//! Measurements in bulk: which are new, and putting those into the table.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use isems_core::{Basis, Measurement, PartReport, Sample};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::row::{self, COLUMNS, columns};

/// Measurements that are handled by one statement. More would save little:
/// the way to the database's thread costs less than the rows by then.
pub(super) const CHUNK: usize = 64;

/// A measurement with the number of its node.
pub(super) type Numbered<'a> = (i64, &'a Measurement);

/// A measurement that may be new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// The number of its node.
    pub(super) node: i64,
    pub(super) measurement: &'a Measurement,
    /// It is not stored if it is new, as its time was pruned.
    pub(super) pruned: bool,
}

/// What identifies a measurement: node, observed, reported.
type Key = (i64, i64, i64);

fn key((node, measurement): Numbered<'_>) -> Key {
    (node, measurement.observed.as_unix(), measurement.reported.key())
}

/// Statements for a full chunk and for a single row.
struct Statements {
    chunk: Arc<str>,
    single: Arc<str>,
}

impl Statements {
    /// `tuple` is repeated for each row between `head` and `tail`.
    fn new(head: &str, tuple: &str, tail: &str) -> Self {
        let many = vec![tuple; CHUNK].join(",");
        Self {
            chunk: format!("{head}{many}{tail}").into(),
            single: format!("{head}{tuple}{tail}").into(),
        }
    }

    /// `rows` in groups, each with the statement that takes a group.
    fn over<'a, 'r>(
        &'a self,
        rows: &'a [Numbered<'r>],
    ) -> impl Iterator<Item = (AssertSqlSafe<Arc<str>>, &'a [Numbered<'r>])> {
        let (statement, size) =
            if rows.len() == CHUNK { (&self.chunk, CHUNK) } else { (&self.single, 1) };
        // Safe: constant text and question marks only.
        rows.chunks(size).map(|group| (AssertSqlSafe(Arc::clone(statement)), group))
    }
}

/// Finds stored measurements by their identity. The order of the join is
/// forced, so that each key is one look into the unique index.
static FIND: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(
        "WITH wanted (w_node, w_observed, w_reported) AS (VALUES ",
        "(?,?,?)",
        concat!(
            ") SELECT node, ",
            columns!(),
            " FROM wanted CROSS JOIN measurement \
             ON node = w_node AND observed = w_observed AND reported = w_reported"
        ),
    )
});

static INSERT: LazyLock<Statements> = LazyLock::new(|| {
    let marks = vec!["?"; COLUMNS + 1].join(",");
    Statements::new(
        concat!("INSERT INTO measurement (node, ", columns!(), ") VALUES "),
        &format!("({marks})"),
        "",
    )
});

/// Counts what is known already and returns what is new. At most [`CHUNK`]
/// candidates.
pub(super) async fn sort_out<'a>(
    connection: &mut SqliteConnection,
    candidates: &[Candidate<'a>],
    report: &mut PartReport,
) -> Result<Vec<Numbered<'a>>, sqlx::Error> {
    let numbered: Vec<Numbered<'a>> = candidates.iter().map(|c| (c.node, c.measurement)).collect();
    let stored = find(connection, &numbered).await?;
    let mut first_of_chunk: HashMap<Key, &Sample> = HashMap::new();
    let mut new = Vec::new();
    for (candidate, row) in candidates.iter().zip(numbered) {
        let key = key(row);
        let sample = &candidate.measurement.sample;
        match stored.get(&key).or(first_of_chunk.get(&key).copied()) {
            Some(known) if known == sample => report.duplicate += 1,
            Some(_) => report.conflict += 1,
            None if candidate.pruned => report.expired += 1,
            None => {
                first_of_chunk.insert(key, sample);
                report.stored += 1;
                report.retimed += u64::from(candidate.measurement.basis != Basis::Node);
                new.push(row);
            }
        }
    }
    Ok(new)
}

async fn find(
    connection: &mut SqliteConnection,
    rows: &[Numbered<'_>],
) -> Result<HashMap<Key, Sample>, sqlx::Error> {
    let mut stored = HashMap::new();
    for (statement, group) in FIND.over(rows) {
        let mut query = sqlx::query(statement);
        for &row in group {
            let (node, observed, reported) = key(row);
            query = query.bind(node).bind(observed).bind(reported);
        }
        for found in query.fetch_all(&mut *connection).await? {
            let key = (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
            stored.insert(key, row::sample(&found, 1)?);
        }
    }
    Ok(stored)
}

/// Puts new measurements into the table. At most [`CHUNK`] rows.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[Numbered<'_>],
) -> Result<(), sqlx::Error> {
    for (statement, group) in INSERT.over(rows) {
        let mut query = sqlx::query(statement);
        for (node, measurement) in group {
            query = row::bind(query.bind(*node), measurement);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn find_statement() -> Arc<str> {
    Arc::clone(&FIND.chunk)
}
