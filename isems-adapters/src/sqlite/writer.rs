//! The connection that writes, and what to do when its file is moved, removed
//! or replaced while it is in use.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use isems_core::RepoError;
use sqlx::{Connection as _, SqlitePool};
use tokio::sync::RwLock;

use super::{
    connect::{self, BEGIN, Readers},
    fault::from_sqlx,
    inspect::{self, Found},
    place::{Displaced, Place},
};

/// The one connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) pool: SqlitePool,
    place: Arc<Place>,
    suspect: Arc<AtomicBool>,
    /// The file was let go, and none could be opened in its place yet.
    lost: bool,
}

impl Writer {
    /// Opens the connection to a file that was prepared.
    pub(super) async fn open(path: &Arc<Path>) -> Result<Self, RepoError> {
        Self::open_at(Arc::new(Place::new(path)), path).await
    }

    async fn open_at(place: Arc<Place>, path: &Arc<Path>) -> Result<Self, RepoError> {
        let suspect = Arc::default();
        let pool = connect::writer_pool(path, &place, &suspect);
        // From here on the files are known.
        let opened = pool.acquire().await;
        opened.map_err(|error| from_sqlx(error, path))?;
        Ok(Self { pool, place, suspect, lost: false })
    }

    /// Where its files were, and are found again after they were followed.
    pub(super) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// How the files differ from those at their names; `None` if they are the
    /// same, or were closed on purpose.
    pub(super) fn displaced(&self) -> Option<Displaced> {
        if self.lost {
            return Some(Displaced::Gone);
        }
        if self.pool.is_closed() { None } else { self.place.displaced() }
    }

    /// Has the connection opened anew before it is used again: after a failure
    /// it may be in a transaction that SQLite ended, or opened read-only.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// Opens what has the database's name now, or makes a new one if there is
    /// none. What was stored until now is complete in the old file, wherever it
    /// is. If what is there cannot be used, everything stays as it is.
    pub(super) async fn follow(
        &mut self,
        readers: &RwLock<Readers>,
        path: &Arc<Path>,
    ) -> Result<Found, RepoError> {
        if !self.lost {
            self.complete(path).await?;
        }
        let found = inspect::inspect(path).await?;
        // Reads went on until here, and wait from now on.
        let mut readers = readers.write().await;
        if !self.lost {
            self.remove_stale_companions(path).await?;
            self.lost = true;
            readers.close().await;
            self.pool.close().await;
        }
        connect::prepare(path).await?;
        *self = Self::open_at(self.place(), path).await?;
        *readers = Readers::open(path).await;
        Ok(found)
    }

    /// Moves all that is in the write-ahead log into the old file.
    async fn complete(&self, path: &Path) -> Result<(), RepoError> {
        let checkpoint =
            sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await;
        match checkpoint {
            Ok(0_i64) => Ok(()),
            Ok(_) => Err(incomplete(path, None)),
            Err(error) => {
                self.suspect();
                Err(incomplete(path, Some(error)))
            }
        }
    }

    /// Under the old file's lock: other processes that have it open do the same.
    async fn remove_stale_companions(&self, path: &Path) -> Result<(), RepoError> {
        let failed = |error| from_sqlx(error, path);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let lock = connection.begin_with(BEGIN).await.map_err(failed)?;
        let mut removed = Ok(());
        for name in self.place.stale_companions() {
            let is_log = name.as_os_str().as_encoded_bytes().ends_with(b"-wal");
            if is_log && std::fs::metadata(&name).is_ok_and(|file| file.len() > 0) {
                // Another process stored something since `complete`.
                removed = Err(incomplete(path, None));
                break;
            }
            if let Err(error) = std::fs::remove_file(&name) {
                removed = Err(incomplete(path, Some(error.into())));
                break;
            }
        }
        lock.rollback().await.map_err(failed)?;
        removed
    }
}

fn incomplete(path: &Path, cause: Option<sqlx::Error>) -> RepoError {
    let file = path.display();
    RepoError::Unavailable {
        what: format!(
            "{file} was moved, removed or replaced while in use, and its last rows, which are in \
             {file}-wal, cannot be moved into it at present; if that does not pass, stop the \
             collector, and put {file} back or move {file}-wal and {file}-shm to where it is"
        ),
        cause: cause.map(Into::into),
    }
}

/// What is told of a file that was moved, removed or replaced, once another is
/// open.
pub(super) fn followed(path: &Path, displaced: Displaced, found: Found) -> RepoError {
    let file = path.display();
    let happened = match displaced {
        Displaced::Gone => "was moved or removed while in use",
        Displaced::Replaced => "was replaced while in use",
        Displaced::Stripped => "lost its -wal or -shm file while in use",
    };
    let now = match found {
        Found::Ours => "the file that is there now has been opened",
        Found::Nothing | Found::Empty => "a new database has been created in its place",
    };
    RepoError::Unavailable {
        what: format!("{file} {happened}; {now}, and gets what is in hand"),
        cause: None,
    }
}

#[cfg(all(test, unix))]
mod tests;
