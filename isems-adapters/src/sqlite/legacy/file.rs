//! Opens an old database without touching it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection, TypeInfo as _,
    ValueRef as _,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tempfile::TempDir;
use tokio::{
    fs,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};

use super::{
    cell::Cell,
    convert::{COLUMNS, Cells, REQUIRED},
    error::ImportError,
};

/// Rows that are read, and stored, at once.
const CHUNK: i64 = 2_000;

/// How often a file that changes while it is copied is copied again.
const COPY_ATTEMPTS: usize = 3;

/// How long a writer may keep the file locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// An old database that is open for reading.
#[derive(Debug)]
pub(super) struct LegacyFile {
    file: PathBuf,
    connection: SqliteConnection,
    /// Selects the next chunk after a row id.
    select: String,
    /// The row id up to which was read.
    read_until: i64,
    /// Holds what `connection` reads if the file itself cannot be read without
    /// changing something. Declared last: dropped after the connection.
    _copy: Option<TempDir>,
}

/// How a file can be read so that nothing changes, in it or beside it.
enum Access {
    /// As it is, under SQLite's shared lock: a writer waits for us and we for
    /// it.
    Locked,
    /// As it is, without a lock: it is in WAL mode, where a lock needs files
    /// beside it, and nobody has it open.
    Immutable,
    /// By a copy: a log or journal lies beside it, whose content counts, and
    /// which SQLite would work into the file.
    Copied { beside: PathBuf, suffix: &'static str },
}

impl LegacyFile {
    pub(super) async fn open(file: &Path) -> Result<Self, ImportError> {
        let (file, access) = inspect(file).await?;
        let options =
            SqliteConnectOptions::new().busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        let (options, copy) = match access {
            Access::Locked => (options.filename(&file).read_only(true), None),
            Access::Immutable => {
                let options = options.filename(&file).read_only(true).immutable(true);
                (options, None)
            }
            Access::Copied { beside, suffix } => {
                let (folder, copy) = copy(&file, &beside, suffix).await?;
                (options.filename(copy), Some(folder))
            }
        };
        let failed = |error| ImportError::from_sqlite(&file, error);
        let mut connection = options.connect().await.map_err(failed)?;
        let present: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info('measurement')")
                .fetch_all(&mut connection)
                .await
                .map_err(failed)?;
        let has = |column: &str| present.iter().any(|name| name.eq_ignore_ascii_case(column));
        if !REQUIRED.into_iter().all(has) {
            let tables: Vec<String> =
                sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 20")
                    .fetch_all(&mut connection)
                    .await
                    .map_err(failed)?;
            let found = what_else(&tables);
            return Err(ImportError::NotLegacy { file, found });
        }
        let columns = COLUMNS
            .map(|column| if has(column) { format!(r#""{column}""#) } else { "NULL".to_owned() });
        let select = format!(
            "SELECT rowid, {} FROM measurement WHERE rowid > ? ORDER BY rowid LIMIT {CHUNK}",
            columns.join(", ")
        );
        Ok(Self { file, connection, select, read_until: i64::MIN, _copy: copy })
    }

    /// How many rows there are.
    pub(super) async fn count(&mut self) -> Result<u64, ImportError> {
        sqlx::query_scalar("SELECT count(*) FROM measurement")
            .fetch_one(&mut self.connection)
            .await
            .map(i64::unsigned_abs)
            .map_err(|error| ImportError::from_sqlite(&self.file, error))
    }

    /// The next rows in the order of their ids; empty at the end.
    pub(super) async fn next_chunk(&mut self) -> Result<Vec<SqliteRow>, ImportError> {
        // Only names from `COLUMNS` went into the text.
        let rows = sqlx::query(AssertSqlSafe(self.select.as_str()))
            .bind(self.read_until)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| ImportError::from_sqlite(&self.file, error))?;
        if let Some(last) = rows.last() {
            self.read_until = self.cells(last)?.row;
        }
        Ok(rows)
    }

    /// The values of a row.
    pub(super) fn cells<'r>(&self, row: &'r SqliteRow) -> Result<Cells<'r>, ImportError> {
        cells(row).map_err(|error| ImportError::from_sqlite(&self.file, error))
    }

    pub(super) async fn close(self) {
        // Nothing was written, so there is nothing that could be lost.
        if let Err(error) = self.connection.close().await {
            tracing::debug!(file = %self.file.display(), %error, "closing the old database failed");
        }
    }
}

fn cells(row: &SqliteRow) -> Result<Cells<'_>, sqlx::Error> {
    let mut values = [Cell::Null; COLUMNS.len()];
    for (index, value) in (1..).zip(&mut values) {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            continue;
        }
        // The type of the value itself: that of the column binds nobody.
        *value = match raw.type_info().name() {
            "INTEGER" => Cell::Integer(row.try_get_unchecked(index)?),
            "REAL" => Cell::Real(row.try_get_unchecked(index)?),
            _ => Cell::Bytes(row.try_get_unchecked(index)?),
        };
    }
    Ok(Cells { row: row.try_get_unchecked(0)?, values })
}

fn what_else(tables: &[String]) -> String {
    if tables.is_empty() {
        return "it is an SQLite database without tables".to_owned();
    }
    let tables = tables.join(", ");
    format!("it has no table `measurement` with `nodeId` and `timestamp`, but the tables {tables}")
}

/// The file behind any links, as SQLite takes it, and how to read it.
async fn inspect(file: &Path) -> Result<(PathBuf, Access), ImportError> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            ImportError::Missing { file: file.to_owned() }
        } else {
            unreadable(file, "check who may read it", error)
        }
    };
    let not_legacy =
        |found: &str| ImportError::NotLegacy { file: file.to_owned(), found: found.to_owned() };
    let real = fs::canonicalize(file).await.map_err(failed)?;
    if !fs::metadata(&real).await.map_err(failed)?.is_file() {
        return Err(not_legacy("it is no file"));
    }
    let mut head = Vec::new();
    fs::File::open(&real)
        .await
        .map_err(failed)?
        .take(20)
        .read_to_end(&mut head)
        .await
        .map_err(failed)?;
    if head.is_empty() {
        return Err(not_legacy("it is empty"));
    }
    // Bytes 18 and 19 are 2 in WAL mode, else 1.
    let Some(mode) = head.strip_prefix(b"SQLite format 3\0") else {
        return Err(not_legacy("it is no SQLite database"));
    };
    for suffix in ["-wal", "-journal"] {
        let beside = with_suffix(&real, suffix);
        if fs::metadata(&beside).await.is_ok_and(|data| data.len() > 0) {
            return Ok((real, Access::Copied { beside, suffix }));
        }
    }
    let access = if mode.ends_with(&[2]) { Access::Immutable } else { Access::Locked };
    Ok((real, access))
}

/// Copies the file and what lies beside it as they were at one moment.
async fn copy(file: &Path, beside: &Path, suffix: &str) -> Result<(TempDir, PathBuf), ImportError> {
    let failed = |error| {
        let what = "its copy in the folder for temporary files (TMPDIR names another)";
        unreadable(file, what, error)
    };
    let folder = tempfile::Builder::new().prefix("isems-import-").tempdir().map_err(failed)?;
    let copy = folder.path().join("old.db");
    for _ in 0..COPY_ATTEMPTS {
        let before = (version(file).await, version(beside).await);
        copy_bytes(file, &copy).await.map_err(failed)?;
        match copy_bytes(beside, &with_suffix(&copy, suffix)).await {
            // The writer is done with it: the next attempt copies without it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome.map_err(failed)?,
        }
        if before == (version(file).await, version(beside).await) {
            return Ok((folder, copy));
        }
        // A journal of another attempt does not fit the file.
        drop(fs::remove_file(with_suffix(&copy, suffix)).await);
    }
    Err(ImportError::InUse { file: file.to_owned() })
}

/// Copies without the permissions: SQLite must be able to write to the copy.
async fn copy_bytes(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = fs::File::open(from).await?;
    let mut to = fs::File::create(to).await?;
    tokio::io::copy(&mut from, &mut to).await?;
    to.flush().await
}

/// Length and time of change, which tell whether somebody wrote.
async fn version(file: &Path) -> Option<(u64, Option<SystemTime>)> {
    let data = fs::metadata(file).await.ok()?;
    Some((data.len(), data.modified().ok()))
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    PathBuf::from(name)
}

fn unreadable(file: &Path, what: &str, error: io::Error) -> ImportError {
    ImportError::Unreadable { file: file.to_owned(), what: what.to_owned(), cause: error.into() }
}
