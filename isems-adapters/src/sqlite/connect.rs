//! Connections and how they are set up.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use isems_core::RepoError;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    fault::{self, from_sqlx},
    inspect,
    place::Place,
};

/// The schema, embedded in the program.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long we wait for other processes that write to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long we wait for a connection of our own that is in use. Longer than
/// the other, so that the cause is named and not its consequence.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads of others, like the API, that may run at the same time.
const READERS: u32 = 8;

/// Reads of the repository itself that may: what intake looks up, and what
/// pruning counts.
const OWN_READERS: u32 = 2;

/// Rows that a connection may read before they are taken. With few, its thread
/// and the one that takes them keep waiting for each other.
const ROWS_AHEAD: usize = 512;

/// The write-ahead log is cut back to this size after a checkpoint, so that one
/// large import does not hold room for ever.
const WAL_LIMIT_BYTES: &str = "16777216";

/// Takes the write lock at the beginning of a transaction: a transaction that
/// reads first and then writes could not wait for another writer.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Options of a connection that writes; what it commits is on disk.
fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_LIMIT_BYTES)
        .disable_statement_logging()
}

/// Options of a connection that cannot write to the file.
pub(super) fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .read_only(true)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

/// Makes a connection open the write-ahead log now, so that all its files are
/// from the same moment. If that fails, its first use will say why.
pub(super) const TOUCH: &str = "SELECT count(*) FROM sqlite_schema";

/// The one connection that writes. It notes in `place` which files it opened,
/// and is opened anew when it is `suspect`.
pub(super) fn writer_pool(
    path: &Path,
    place: &Arc<Place>,
    suspect: &Arc<AtomicBool>,
) -> SqlitePool {
    let (place, suspect) = (Arc::clone(place), Arc::clone(suspect));
    pool_options(1)
        .after_connect(move |connection, _| {
            let place = Arc::clone(&place);
            Box::pin(async move {
                touch(connection).await;
                place.note();
                Ok(())
            })
        })
        .before_acquire(move |connection, _| {
            let is_suspect = suspect.swap(false, Ordering::Relaxed);
            Box::pin(async move { Ok(!is_suspect && is_idle(connection).await) })
        })
        .connect_lazy_with(writing(path))
}

/// The connections that only read. Those of the repository are its own, so that
/// intake never waits for others that read.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) shared: SqlitePool,
    pub(super) own: SqlitePool,
}

impl Readers {
    pub(super) async fn open(path: &Path) -> Self {
        let own = reader_pool_with(reading(path), OWN_READERS).await;
        Self { shared: reader_pool(path).await, own }
    }

    /// Where there is no repository.
    pub(super) fn without_own(shared: SqlitePool) -> Self {
        Self { own: shared.clone(), shared }
    }

    pub(super) async fn close(&self) {
        self.shared.close().await;
        self.own.close().await;
    }
}

/// Connections that only read; `query_only` forbids even temporary tables.
/// They are opened together and stay open: one that is opened later could meet
/// another file.
pub(super) async fn reader_pool(path: &Path) -> SqlitePool {
    reader_pool_with(reading(path), READERS).await
}

/// The same for a file that nobody changes meanwhile: without locks and without
/// files beside it. What a write-ahead log holds is not seen.
pub(super) async fn unlocked_reader_pool(path: &Path) -> SqlitePool {
    reader_pool_with(reading(path).immutable(true), READERS).await
}

async fn reader_pool_with(options: SqliteConnectOptions, readers: u32) -> SqlitePool {
    let pool = pool_options(readers)
        .min_connections(readers)
        .after_connect(|connection, _| {
            Box::pin(async move {
                touch(connection).await;
                Ok(())
            })
        })
        .before_acquire(|connection, _| Box::pin(async move { Ok(is_idle(connection).await) }))
        .connect_lazy_with(options.pragma("query_only", "ON"));
    let mut opened = Vec::new();
    for _ in 0..readers {
        match pool.acquire().await {
            Ok(connection) => opened.push(connection),
            Err(error) => {
                tracing::debug!(%error, "a connection to read by cannot be opened yet: {error}");
                break;
            }
        }
    }
    drop(opened);
    pool
}

fn pool_options(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

async fn touch(connection: &mut SqliteConnection) {
    let touched = sqlx::query(TOUCH).execute(connection).await;
    if let Err(error) = touched {
        tracing::debug!(%error, "a new connection to the database cannot be used yet: {error}");
    }
}

/// Whether a connection is in no transaction. After some failures SQLite has
/// ended one that the driver believes to go on; all later ones would be part of
/// it.
async fn is_idle(connection: &mut SqliteConnection) -> bool {
    // A rollback may still be on its way.
    connection.ping().await.is_ok() && !connection.is_in_transaction()
}

/// Creates the file if need be and brings its schema up to date. The file has
/// been inspected.
pub(super) async fn prepare(path: &Path) -> Result<(), RepoError> {
    let options = writing(path).create_if_missing(true);
    let mut connection = options.connect().await.map_err(|e| from_sqlx(e, path))?;
    let prepared = prepare_connection(&mut connection, path).await;
    connection.close().await.map_err(|e| from_sqlx(e, path))?;
    prepared
}

async fn prepare_connection(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), RepoError> {
    use_write_ahead_log(connection).await.map_err(|error| from_sqlx(error, path))?;
    // One transaction over everything: two processes that create the file at
    // the same moment take turns, and a kill leaves all of the schema or none.
    let mut transaction =
        connection.begin_with(BEGIN).await.map_err(|error| from_sqlx(error, path))?;
    MIGRATOR
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| from_migration(error, path))?;
    transaction.commit().await.map_err(|error| from_sqlx(error, path))
}

/// Changing the journal mode needs the file alone, and SQLite does not wait for
/// that by itself.
async fn use_write_ahead_log(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    const RETRY: Duration = Duration::from_millis(20);
    let begin = Instant::now();
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await {
            Err(error) if fault::is_busy(&error) && begin.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(RETRY).await;
            }
            other => return other.map(|_| ()),
        }
    }
}

fn from_migration(error: MigrateError, path: &Path) -> RepoError {
    match error {
        MigrateError::VersionMissing(version)
        | MigrateError::VersionTooNew(version, _)
        | MigrateError::VersionNotPresent(version) => inspect::newer(path, version),
        MigrateError::VersionMismatch(version) => RepoError::Foreign {
            what: format!(
                "{} was written by another build of this program (schema {version} differs); it \
                 was not changed. Use that build, or let DATABASE_URL name another file",
                path.display()
            ),
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            from_sqlx(error, path)
        }
        other => RepoError::Unavailable {
            what: format!("the schema of {} cannot be brought up to date", path.display()),
            cause: Some(other.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_writer_commits_is_synced_in_a_write_ahead_log() {
        const FULL: i64 = 2;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isems.db");
        prepare(&path).await.unwrap();
        let place = Arc::new(Place::new(&path.as_path().into()));
        let writer = writer_pool(&path, &place, &Arc::default());

        let journal: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&writer).await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&writer).await.unwrap();

        assert_eq!((journal.as_str(), synchronous), ("wal", FULL));
    }

    #[tokio::test]
    async fn a_reading_connection_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isems.db");
        prepare(&path).await.unwrap();
        let reader = reader_pool(&path).await;

        for statement in [
            "INSERT INTO node (name, version) VALUES ('x', 1)",
            "DELETE FROM node",
            "DROP TABLE measurement",
            "CREATE TEMP TABLE scratch (x)",
            "PRAGMA application_id = 1",
        ] {
            let refused = sqlx::query(statement).execute(&reader).await.unwrap_err();
            let refused = from_sqlx(refused, &path);
            assert!(matches!(refused, RepoError::ReadOnly { .. }), "{statement}: {refused:?}");
        }
    }
}
