//! A copy of the database while it is in use.

#[cfg(target_os = "linux")]
mod leftovers;

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use isems_core::RepoError;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{
    connect,
    fault::{self, from_sqlx},
    inspect::{self, Found, beside},
    standby::Still,
};

/// Writes a consistent copy of the database `from` to the new file `to`, also
/// while other processes write to it: it holds what was stored when the copying
/// began. `to` appears when the copy is complete and on disk; until then it has
/// another name beside it, which is removed if anything fails. What is found
/// there of copies that were killed (`.NAME.PROCESS.part`) is removed first.
///
/// Where nothing can be written beside `from`, it is copied if it is complete
/// without its write-ahead log and nobody changes it meanwhile.
///
/// # Errors
/// - [`RepoError::Foreign`] if `to` exists (it is left as it is), or if `from`
///   is not a database of this program.
/// - [`RepoError::Full`] if there is no room for the copy.
/// - Any other if `from` cannot be read or `to` cannot be created.
pub async fn backup(from: &Path, to: &Path) -> Result<(), RepoError> {
    let from: Arc<Path> = absolute(from)?.into();
    let to = absolute(to)?;
    let found = inspect::inspect(&from).await.map_err(|error| with_its_log(&from, error))?;
    if found != Found::Ours {
        return Err(RepoError::Unavailable {
            what: format!("there is no database at {} to copy", from.display()),
            cause: None,
        });
    }
    if to.symlink_metadata().is_ok() {
        return Err(exists_already(&to));
    }
    #[cfg(target_os = "linux")]
    if let Some(folder) = to.parent().map(Path::to_owned) {
        // A panic in there would be told where it happens; the copy does not need it.
        let _ = tokio::task::spawn_blocking(move || leftovers::remove(&folder)).await;
    }
    let part = Part::beside(&to);
    copy(&from, &part.0, &to).await?;
    tokio::task::spawn_blocking(move || part.publish(&to)).await.map_err(|error| {
        RepoError::Unavailable {
            what: "the copying was interrupted".to_owned(),
            cause: Some(error.into()),
        }
    })?
}

fn absolute(path: &Path) -> Result<PathBuf, RepoError> {
    std::path::absolute(path).map_err(|error| cannot_write(path, error))
}

async fn copy(from: &Arc<Path>, part: &Path, to: &Path) -> Result<(), RepoError> {
    let Some(name) = part.to_str() else {
        let error = io::Error::new(io::ErrorKind::InvalidFilename, "the path is not UTF-8");
        return Err(cannot_write(to, error));
    };
    let (mut connection, still) = source(from).await?;
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await;
    // It only read; a failure to close loses nothing.
    let _ = connection.close().await;
    if copied.is_ok() && still.is_some_and(|still| !still.is_so()) {
        return Err(RepoError::Unavailable {
            what: format!("{} was changed while it was copied; try again", from.display()),
            cause: None,
        });
    }
    copied.map(|_| ()).map_err(|error| {
        if fault::sqlite_code(&error).is_some_and(fault::is_full) {
            RepoError::Full {
                what: format!(
                    "no room is left for the copy {}; nothing was kept of it",
                    to.display()
                ),
                cause: Some(error.into()),
            }
        } else if fault::sqlite_code(&error).is_some_and(fault::is_cannot_open) {
            cannot_write(to, io::Error::other(error))
        } else if fault::sqlite_code(&error).is_some_and(fault::is_write) {
            from_sqlx(error, to)
        } else {
            from_sqlx(error, from)
        }
    })
}

/// A connection to read by. Where SQLite's files cannot be made beside the
/// database it is one without locks, and the copy counts only if the file is
/// still the same then.
async fn source(from: &Arc<Path>) -> Result<(SqliteConnection, Option<Still>), RepoError> {
    let options = connect::reading(from);
    let failed = |error| from_sqlx(error, from);
    let mut connection = options.connect().await.map_err(failed)?;
    let Err(error) = sqlx::query(connect::TOUCH).execute(&mut connection).await else {
        return Ok((connection, None));
    };
    let _ = connection.close().await;
    let error = failed(error);
    match Still::now(from) {
        Some(still) if fault::needs_to_write(&error) => {
            let connection = options.immutable(true).connect().await.map_err(failed)?;
            Ok((connection, Some(still)))
        }
        _ => Err(with_its_log(from, error)),
    }
}

/// What to do if the database cannot be read where it is, as its log has to be
/// looked through and SQLite keeps what it needs for that beside it.
fn with_its_log(from: &Path, error: RepoError) -> RepoError {
    if !fault::needs_to_write(&error) {
        return error;
    }
    let (RepoError::Unavailable { cause, .. } | RepoError::ReadOnly { cause, .. }) = error else {
        return error;
    };
    let is_there = |name: &PathBuf| std::fs::metadata(name).is_ok_and(|file| file.len() > 0);
    let journal = Some(beside(from, "-journal")).filter(is_there);
    let log = journal.unwrap_or_else(|| beside(from, "-wal"));
    let (from, log) = (from.display(), log.display());
    RepoError::ReadOnly {
        what: format!(
            "what {from} holds is complete only with {log}, and to read both their folder must \
             be writable. Where it cannot be made so, copy both files to a folder that is, let \
             DATABASE_URL name the copy of {from}, and make the backup of that"
        ),
        cause,
    }
}

/// The copy before it is complete; removed when dropped.
struct Part(PathBuf);

impl Part {
    fn beside(to: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let part = to.with_file_name(name);
        // A leftover of a killed process that had our number.
        let _ = std::fs::remove_file(&part);
        let _ = std::fs::remove_file(journal_of(&part));
        Self(part)
    }

    fn publish(self, to: &Path) -> Result<(), RepoError> {
        self.try_publish(to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists_already(to),
            _ => cannot_write(to, error),
        })
    }

    fn try_publish(&self, to: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        // A link, unlike a renaming, never replaces a file that appeared
        // meanwhile. Memory sticks have no links.
        match std::fs::hard_link(&self.0, to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                std::fs::rename(&self.0, to)?;
            }
            linked => {
                linked?;
                // A file with two names is refused as a database; whether this
                // goes is seen when it is used.
                let _ = std::fs::remove_file(&self.0);
            }
        }
        match to.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Not there if it was renamed.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What SQLite writes beside a file that it fills.
fn journal_of(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push("-journal");
    name.into()
}

fn exists_already(to: &Path) -> RepoError {
    RepoError::Foreign {
        what: format!(
            "{} exists already and was left as it is; name a new file for the copy",
            to.display()
        ),
    }
}

fn cannot_write(to: &Path, error: io::Error) -> RepoError {
    RepoError::Unavailable {
        what: format!(
            "the copy {} cannot be written; check that its folder exists and may be written to",
            to.display()
        ),
        cause: Some(error.into()),
    }
}
