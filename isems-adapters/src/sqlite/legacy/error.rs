//! Why an import could not be carried out.

use std::path::{Path, PathBuf};

use isems_core::{BoxError, RepoError};

use super::report::rows;

/// Why the old collector's database could not be imported, with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Nothing has that name.
    #[error(
        "{}: there is no such file; name the database file of the old collector \
         (its DATABASE_URL without `sqlite:///`)",
        file.display()
    )]
    Missing {
        /// The name that was given.
        file: PathBuf,
    },
    /// It is something else.
    #[error(
        "{} is not a database of the old collector: {found}; name the file that the \
         old collector's DATABASE_URL named",
        file.display()
    )]
    NotLegacy {
        /// The file.
        file: PathBuf,
        /// What it is instead, for people.
        found: String,
    },
    /// It is an SQLite database, but broken.
    #[error(
        "{} is damaged ({cause}); {} read before and what was imported of \
         that stays; salvage the rest with `sqlite3 FILE .recover | sqlite3 NEW` (docs/OPERATIONS.md \
         has a way for an sqlite3 that cannot .recover) and \
         import NEW as well",
        file.display(),
        if *done == 1 { "1 row was".to_owned() } else { format!("{done} rows were") }
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Rows that were read before.
        done: u64,
        /// What SQLite said.
        #[source]
        cause: BoxError,
    },
    /// Another program is writing to it.
    #[error(
        "{} is being written to; stop the old collector and run the import again",
        file.display()
    )]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// The system does not let us read it.
    #[error("{} cannot be read: {what}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What was tried, and what may help, for people.
        what: String,
        /// What the system or SQLite said.
        #[source]
        cause: BoxError,
    },
    /// The rows could be read but not stored.
    #[error(
        "stopped after {done} of {}: {cause}; what was imported stays, run the \
         import again when the trouble is over",
        rows(*total)
    )]
    Repo {
        /// Rows that were read and stored before.
        done: u64,
        /// Rows in the file.
        total: u64,
        /// What the repository said.
        #[source]
        cause: RepoError,
    },
}

impl ImportError {
    /// Converts what SQLite said while `file` was read.
    pub(super) fn from_sqlite(file: &Path, error: sqlx::Error) -> Self {
        let file = file.to_owned();
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            // The upper bits refine the result code.
            .map(|code| code & 0xFF);
        match code {
            Some(SQLITE_BUSY | SQLITE_LOCKED | SQLITE_READONLY) => Self::InUse { file },
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
                Self::Damaged { file, done: 0, cause: error.into() }
            }
            _ => Self::Unreadable { file, what: "SQLite refused".to_owned(), cause: error.into() },
        }
    }

    /// The same error, known to have come after `rows` rows.
    pub(super) fn after(mut self, rows: u64) -> Self {
        if let Self::Damaged { done, .. } = &mut self {
            *done = rows;
        }
        self
    }
}

const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
/// While reading it can only mean that a writer's journal waits to be rolled
/// back.
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;
