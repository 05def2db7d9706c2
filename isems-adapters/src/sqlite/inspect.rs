//! What a file is, found out before anything of it is touched.

use std::{
    ffi::OsString,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use isems_core::RepoError;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    connect::MIGRATOR,
    fault::{from_sqlx, how_to_salvage},
    one_name,
};

/// The number in the header of our databases, `ISEM` (see the first migration).
pub(super) const APPLICATION_ID: i64 = 1_230_193_997;

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No file, in a folder that exists.
    Nothing,
    /// A file without content.
    Empty,
    /// A database of ours, of this version or an older one.
    Ours,
}

/// Looks at a file without changing a byte of it and without creating another
/// beside it.
///
/// # Errors
/// If it is anything that this program must not write to.
pub(super) async fn inspect(path: &Path) -> Result<Found, RepoError> {
    match aside(path, header).await? {
        Header::Missing => Ok(Found::Nothing),
        Header::Empty => Ok(Found::Empty),
        Header::Other => Err(not_a_database(path)),
        Header::Sqlite => facts(path).await?.judge(path),
    }
}

/// Looks at a file where that holds up nobody else: a file system may hang, and
/// then the API and the signals must not.
async fn aside<T: Send + 'static>(
    path: &Path,
    look: impl FnOnce(&Path) -> Result<T, RepoError> + Send + 'static,
) -> Result<T, RepoError> {
    let owned = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || look(&owned)).await;
    looked.unwrap_or_else(|error| {
        Err(RepoError::Unavailable {
            what: format!("looking at {} was interrupted", path.display()),
            cause: Some(error.into()),
        })
    })
}

enum Header {
    Missing,
    Empty,
    Other,
    Sqlite,
}

fn header(path: &Path) -> Result<Header, RepoError> {
    let file = path.display();
    let read = match std::fs::metadata(path) {
        Ok(found) => {
            one_name::demand(path, &found)?;
            beginning(path)
        }
        Err(error) => Err(error),
    };
    match read {
        Ok(begin) if begin.is_empty() => Ok(Header::Empty),
        Ok(begin) if begin == MAGIC => Ok(Header::Sqlite),
        Ok(_) => Ok(Header::Other),
        Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
            Some(folder) if !folder.is_dir() => Err(RepoError::Unavailable {
                what: format!(
                    "the folder {} for the database {file} does not exist; create it, or let \
                     DATABASE_URL name another",
                    folder.display()
                ),
                cause: Some(error.into()),
            }),
            _ => Ok(Header::Missing),
        },
        Err(error) => Err(RepoError::Unavailable {
            what: format!(
                "{file} cannot be read ({error}); DATABASE_URL must name a file that \
                           this user may read and write"
            ),
            cause: Some(error.into()),
        }),
    }
}

fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut begin = Vec::with_capacity(MAGIC.len());
    std::fs::File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut begin)?;
    Ok(begin)
}

/// The same of a file that this process has open: it is looked into through
/// SQLite only, as to open and close a file by itself would drop SQLite's locks
/// on it.
///
/// # Errors
/// As for [`inspect`]; also if there is no file.
pub(super) async fn inspect_database(path: &Path) -> Result<Found, RepoError> {
    aside(path, |path| match std::fs::metadata(path) {
        Ok(found) => one_name::demand(path, &found),
        // SQLite will tell.
        Err(_) => Ok(()),
    })
    .await?;
    facts(path).await?.judge(path)
}

/// Whether a database of ours has the schema of this very program. Looks as
/// [`inspect_database`] does.
///
/// # Errors
/// As for [`inspect_database`].
pub(super) async fn is_up_to_date(path: &Path) -> Result<bool, RepoError> {
    let facts = facts(path).await?;
    let is_applied = |version: i64| facts.applied.contains(&version);
    Ok(facts.judge(path)? == Found::Ours && MIGRATOR.iter().all(|one| is_applied(one.version)))
}

async fn facts(path: &Path) -> Result<Facts, RepoError> {
    // An immutable connection takes no locks and creates no files, but does not
    // see what is still in the write-ahead log. That is enough to refuse; to
    // accept, the log (which exists already) must be looked at too.
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let wal_in_use = aside(path, |path| {
        Ok(std::fs::metadata(beside(path, "-wal")).is_ok_and(|file| file.len() > 0))
    })
    .await?;
    let first = look(options.clone().immutable(true)).await;
    match first {
        Ok(facts) if !wal_in_use || facts.is_foreign() => Ok(facts),
        Err(error) if !wal_in_use => Err(from_sqlx(error, path)),
        _ => look(options).await.map_err(|error| from_sqlx(error, path)),
    }
}

/// The path with something added to the name, as SQLite names its companions.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

struct Facts {
    application_id: i64,
    tables: Vec<String>,
    applied: Vec<i64>,
}

impl Facts {
    fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|t| t == table)
    }

    fn is_foreign(&self) -> bool {
        if self.application_id == APPLICATION_ID {
            self.newer_version().is_some()
        } else {
            self.application_id != 0 || !self.tables.is_empty()
        }
    }

    fn newer_version(&self) -> Option<i64> {
        let unknown = |version: &i64| !MIGRATOR.version_exists(*version);
        self.applied.iter().copied().find(unknown)
    }

    fn judge(&self, path: &Path) -> Result<Found, RepoError> {
        if self.application_id == APPLICATION_ID {
            return match self.newer_version() {
                Some(version) => Err(newer(path, version)),
                None => Ok(Found::Ours),
            };
        }
        if !self.is_foreign() {
            return Ok(Found::Empty);
        }
        let what = if self.has("measurement") && self.has("alembic_version") {
            legacy(path)
        } else {
            format!(
                "{} is the database of another program; it was not touched. Let DATABASE_URL name \
                 a new file",
                path.display()
            )
        };
        Err(RepoError::Foreign { what })
    }
}

async fn look(options: SqliteConnectOptions) -> Result<Facts, sqlx::Error> {
    let mut connection = options.connect().await?;
    let facts = read_facts(&mut connection).await;
    connection.close().await?;
    facts
}

async fn read_facts(connection: &mut SqliteConnection) -> Result<Facts, sqlx::Error> {
    let application_id =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
            .fetch_all(&mut *connection)
            .await?;
    let applied = if tables.iter().any(|table| table == "_sqlx_migrations") {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
            .fetch_all(&mut *connection)
            .await?
    } else {
        Vec::new()
    };
    Ok(Facts { application_id, tables, applied })
}

/// The refusal of a database that a later version of this program wrote.
pub(super) fn newer(path: &Path, version: i64) -> RepoError {
    RepoError::Foreign {
        what: format!(
            "{} was written by a newer version of this program (schema {version}); it was not \
             touched. Install that version again, or let DATABASE_URL name another file",
            path.display()
        ),
    }
}

fn legacy(path: &Path) -> String {
    let shown = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+~".contains(c);
    let argument = if shown.chars().all(plain) {
        shown.clone()
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    };
    format!(
        "{shown} is the database of the old Python collector; it was not touched. Let DATABASE_URL \
         name a new file (for example sqlite:////var/lib/isems/isems.db) and bring the old \
         measurements over with: isems import-legacy {argument}"
    )
}

fn not_a_database(path: &Path) -> RepoError {
    RepoError::Corrupt {
        what: format!("{} is not an SQLite database; {}", path.display(), how_to_salvage(path)),
        cause: None,
    }
}
