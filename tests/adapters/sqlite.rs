//! What the SQLite repository promises beyond the port.

#![expect(
    clippy::unwrap_used,
    reason = "the lint spares test functions, but not the helpers beside them"
)]

mod backup;
mod files;
mod pruning;
mod refusals;
mod rollups;
mod sharing;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{Batch, HistoryRange, Measurement, MeasurementReader, SourcePart, testing::node};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions,
};

/// A folder of its own and the place for a database in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.file("isems.db")
    }

    async fn open(&self) -> SqliteRepo {
        SqliteRepo::open(&self.database()).await.unwrap()
    }

    /// Every file in the folder with its bytes.
    fn contents(&self) -> BTreeMap<OsString, Vec<u8>> {
        std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), std::fs::read(entry.path()).unwrap())
            })
            .collect()
    }
}

/// A connection that knows nothing of our schema, as another program has it.
async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// Runs statements on a file as another program would.
async fn execute(path: &Path, statements: &'static str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn number(path: &Path, statement: &str) -> i64 {
    let mut connection = raw(path).await;
    let number =
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

fn batch(rows: impl IntoIterator<Item = Measurement>) -> Batch {
    Batch {
        parts: vec![SourcePart { update: None, rows: rows.into_iter().collect() }],
        ..Batch::default()
    }
}

async fn history(repo: &dyn MeasurementReader, name: &str) -> Vec<Measurement> {
    let rows = repo.history(&node(name), HistoryRange::ALL, usize::MAX).await.unwrap();
    rows.into_iter().map(|row| row.measurement).collect()
}
