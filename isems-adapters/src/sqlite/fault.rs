//! What goes wrong inside, and the one place that turns it into [`RepoError`].

use std::path::Path;

use isems_core::{NodeId, RepoError};

use super::inspect::APPLICATION_ID;

/// An error inside this adapter. Only [`Fault::at`] gives it its public form.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database or its driver failed.
    Sql(sqlx::Error),
    /// Another writer changed the node.
    Stale(NodeId),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    /// Whether the connection on which it happened should not be used again.
    pub(super) fn leaves_connection_suspect(&self) -> bool {
        match self {
            Self::Stale(_) => false,
            // Another process's lock says nothing of the connection.
            Self::Sql(error) => !is_busy(error),
        }
    }

    /// The public form, naming the file and what to do.
    pub(super) fn at(self, path: &Path) -> RepoError {
        match self {
            Self::Stale(node) => RepoError::Stale { node },
            Self::Sql(error) => from_sqlx(error, path),
        }
    }
}

/// How to get data out of a damaged file, for people. With few semicolons: with
/// many it would be taken for a line of a log, and kept from Sentry.
pub(super) fn how_to_salvage(path: &Path) -> String {
    format!(
        "nothing in it was changed. To salvage what is left, stop the collector and run `sqlite3 \
         {0} .recover | sqlite3 {0}.salvaged`, or if that says `SQL logic error`: `(sqlite3 {0} \
         .dump | sed 's/^ROLLBACK.*/COMMIT;/' && echo 'PRAGMA application_id = {APPLICATION_ID}') \
         | sqlite3 {0}.salvaged`. See what is in it, `sqlite3 {0}.salvaged 'SELECT count(*) FROM \
         measurement'`, before DATABASE_URL names it (or a backup), and see docs/OPERATIONS.md for how \
         what the nodes still hold comes back",
        path.display()
    )
}

/// The primary result codes of SQLite that we tell apart.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
    /// Extended: the file was moved, removed or replaced.
    pub(super) const READONLY_DBMOVED: i32 = 8 | (4 << 8);
}

/// SQLite's extended result code, if the error is one of SQLite's.
pub(super) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    error.code()?.parse().ok()
}

/// Whether the database could not be used because another process holds it, and
/// that may pass by itself soon.
#[must_use]
pub fn is_locked(error: &RepoError) -> bool {
    let RepoError::Unavailable { cause: Some(cause), .. } = error else { return false };
    cause.downcast_ref::<sqlx::Error>().is_some_and(is_busy)
}

/// Whether the database cannot be read as long as nothing can be written beside
/// it.
pub(super) fn needs_to_write(error: &RepoError) -> bool {
    let (RepoError::Unavailable { cause: Some(cause), .. }
    | RepoError::ReadOnly { cause: Some(cause), .. }) = error
    else {
        return false;
    };
    cause.downcast_ref::<sqlx::Error>().and_then(sqlite_code).is_some_and(|code| {
        code != code::READONLY_DBMOVED
            && matches!(code & 0xFF, code::READONLY | code::PERM | code::CANTOPEN)
    })
}

/// Whether somebody else holds a lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    sqlite_code(error).is_some_and(|code| matches!(code & 0xFF, code::BUSY | code::LOCKED))
}

/// Whether there is no room left.
pub(super) const fn is_full(code: i32) -> bool {
    code & 0xFF == code::FULL
}

/// Whether writing a file failed, for another reason.
pub(super) const fn is_write(code: i32) -> bool {
    code & 0xFF == code::IOERR && matches!(code >> 8, 3..=6)
}

/// Whether a file cannot be opened or created.
pub(super) const fn is_cannot_open(code: i32) -> bool {
    code & 0xFF == code::CANTOPEN
}

/// The public form of the database's error, naming the file and what to do.
pub(super) fn from_sqlx(error: sqlx::Error, path: &Path) -> RepoError {
    let file = path.display();
    match &error {
        sqlx::Error::PoolClosed => unavailable(format!("{file} is closed already"), error),
        sqlx::Error::PoolTimedOut => {
            unavailable(format!("{file}: all connections have been in use for too long"), error)
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => RepoError::Corrupt {
            what: format!("{file} holds a value that was never written; {}", how_to_salvage(path)),
            cause: Some(error.into()),
        },
        _ => from_code(sqlite_code(&error), error, path),
    }
}

fn from_code(code: Option<i32>, error: sqlx::Error, path: &Path) -> RepoError {
    let file = path.display();
    let cause = |error: sqlx::Error| Some(error.into());
    if code == Some(code::READONLY_DBMOVED) {
        let what = format!(
            "{file} was moved, removed or replaced while in use; put it back or restart the \
             collector"
        );
        return unavailable(what, error);
    }
    match code.map(|code| code & 0xFF) {
        Some(code::FULL) => RepoError::Full {
            what: format!("no room is left for {file}; free some on that file system"),
            cause: cause(error),
        },
        Some(code::READONLY | code::PERM) => RepoError::ReadOnly {
            what: format!(
                "{file} cannot be written; check the owner and the rights of the file and its \
                 folder, and whether the file system is mounted read-only"
            ),
            cause: cause(error),
        },
        // SQLite takes a disk that cannot be read for a damaged database.
        Some(code::CORRUPT | code::NOTADB) => RepoError::Corrupt {
            what: format!(
                "{file} holds what was never written, or its disk fails (see `dmesg`); {}",
                how_to_salvage(path)
            ),
            cause: cause(error),
        },
        Some(code::BUSY | code::LOCKED) => {
            unavailable(format!("{file} is held by another process for longer than we wait"), error)
        }
        Some(code::CANTOPEN) => unavailable(
            format!(
                "{file} cannot be opened; check the rights of the file and its folder, where \
                 files ending in -wal and -shm must be writable too, and whether the file system \
                 is mounted read-only"
            ),
            error,
        ),
        Some(code::IOERR) => unavailable(
            format!(
                "the file system refuses to read or write {file} ({}); look for a full or failing \
                 disk, a file system that became read-only, or a limit on the size of files: \
                 `df`, `dmesg`, `mount`, `ulimit -f` or LimitFSIZE=",
                io_error(code)
            ),
            error,
        ),
        _ => unavailable(format!("{file}: {error}"), error),
    }
}

/// What failed, by SQLite's extended code.
fn io_error(code: Option<i32>) -> String {
    let what = match code.map(|code| code >> 8) {
        Some(1 | 2) => "reading",
        Some(3) => "writing",
        Some(4 | 5) => "syncing",
        Some(6) => "truncating",
        Some(19..=24) => "its shared memory, -shm",
        _ => "input or output",
    };
    match code {
        Some(code) => format!("{what}, SQLite code {code}"),
        None => what.to_owned(),
    }
}

fn unavailable(what: String, error: sqlx::Error) -> RepoError {
    RepoError::Unavailable { what, cause: Some(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which public error an SQLite result code becomes, by its first word.
    fn kind(code: i32) -> &'static str {
        let error = from_code(Some(code), sqlx::Error::WorkerCrashed, Path::new("x.db"));
        match error {
            RepoError::Full { .. } => "full",
            RepoError::ReadOnly { .. } => "read-only",
            RepoError::Corrupt { .. } => "corrupt",
            RepoError::Unavailable { .. } => "unavailable",
            _ => "other",
        }
    }

    #[test]
    fn result_codes_become_errors_that_say_what_to_do() {
        for (code, expected) in [
            (13, "full"),
            (8, "read-only"),
            (776, "read-only"),    // READONLY_ROLLBACK
            (1032, "unavailable"), // READONLY_DBMOVED
            (3, "read-only"),
            (11, "corrupt"),
            (779, "corrupt"), // CORRUPT_INDEX
            (26, "corrupt"),
            (5, "unavailable"),
            (517, "unavailable"), // BUSY_SNAPSHOT
            (6, "unavailable"),
            (10, "unavailable"),
            (778, "unavailable"), // IOERR_WRITE
            (14, "unavailable"),
            (1, "unavailable"),
        ] {
            assert_eq!(kind(code), expected, "code {code}");
        }
    }

    #[test]
    fn damage_comes_with_the_way_to_salvage() {
        let error = from_code(Some(11), sqlx::Error::WorkerCrashed, Path::new("x.db"));
        for part in [
            "`sqlite3 x.db .recover | sqlite3 x.db.salvaged`",
            "`(sqlite3 x.db .dump | sed 's/^ROLLBACK.*/COMMIT;/' && \
             echo 'PRAGMA application_id = 1230193997') | sqlite3 x.db.salvaged`",
            "`sqlite3 x.db.salvaged 'SELECT count(*) FROM measurement'`",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
