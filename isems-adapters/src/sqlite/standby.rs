//! Reading a database that cannot be opened for writing at present: it is
//! locked, the disk is full, or the file system is read-only.

use std::{path::Path, sync::Arc, time::SystemTime};

use isems_core::RepoError;
use sqlx::SqlitePool;
use tokio::sync::RwLock;

use super::{
    connect::{self, Readers},
    fault::from_sqlx,
    inspect::{self, beside},
    place::{FileId, Place},
    reader::SqliteReader,
    repo,
};

impl SqliteReader {
    /// Opens a database for reading only, while it cannot be opened as a
    /// repository; see [`SqliteRepo::open_beside`](super::SqliteRepo::open_beside).
    /// Nothing is created and nothing changed but for SQLite's own files beside
    /// the database.
    ///
    /// Where those cannot be made (a full or read-only file system) the file is
    /// read without them, if it is complete without its write-ahead log. Each
    /// read fails from the moment on at which somebody changes it then.
    ///
    /// # Errors
    /// If it is not a database of this program with the present schema, or
    /// cannot be read.
    pub async fn open(path: &Path) -> Result<Self, RepoError> {
        let path = repo::absolute(path)?;
        if !inspect::is_up_to_date(&path).await? {
            let what =
                format!("the schema of {} has to be brought up to date first", path.display());
            return Err(RepoError::Unavailable { what, cause: None });
        }
        let place = Arc::new(Place::new(&path));
        place.note();
        let pool = connect::reader_pool(&path).await;
        let Err(error) = look(&pool).await else {
            return Ok(Self::over(pool, &path, place, None));
        };
        pool.close().await;
        let Some(still) = Still::now(&path) else { return Err(from_sqlx(error, &path)) };
        let pool = connect::unlocked_reader_pool(&path).await;
        look(&pool).await.map_err(|error| from_sqlx(error, &path))?;
        Ok(Self::over(pool, &path, place, Some(still)))
    }

    fn over(pool: SqlitePool, path: &Arc<Path>, place: Arc<Place>, still: Option<Still>) -> Self {
        let readers = Arc::new(RwLock::new(Readers::without_own(pool)));
        let still = still.map(Arc::new);
        let path = Arc::clone(path);
        Self { readers, is_own: false, path, place, bell: Arc::default(), still }
    }
}

async fn look(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT count(*) FROM measurement WHERE id < 0").execute(pool).await.map(drop)
}

/// A file that is read without locks, as it was then: what is read counts only
/// as long as nobody changes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Still {
    path: Arc<Path>,
    file: Option<FileId>,
    bytes: u64,
    changed: SystemTime,
}

impl Still {
    /// `None` if the file is not complete without its log, holds what its journal
    /// would take back, or cannot be looked at.
    pub(super) fn now(path: &Arc<Path>) -> Option<Self> {
        for companion in ["-wal", "-journal"] {
            let companion = std::fs::metadata(beside(path, companion));
            if companion.is_ok_and(|file| file.len() > 0) {
                return None;
            }
        }
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            path: Arc::clone(path),
            file: FileId::of(path),
            bytes: file.len(),
            changed: file.modified().ok()?,
        })
    }

    /// Whether it is still the same.
    pub(super) fn is_so(&self) -> bool {
        Self::now(&self.path).as_ref() == Some(self)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use isems_core::MeasurementReader as _;

    use super::*;
    use crate::sqlite::SqliteRepo;

    #[tokio::test]
    async fn what_is_read_without_locks_counts_only_as_long_as_nobody_changes_the_file() {
        // Given a database whose companions cannot be made
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isems.db");
        SqliteRepo::open(&path).await.unwrap().close().await;
        std::os::unix::fs::symlink("nowhere", beside(&path, "-shm")).unwrap();

        let reader = SqliteReader::open(&path).await.unwrap();
        assert_eq!(reader.sources().await.unwrap(), []);

        // When somebody writes
        fs::write(beside(&path, "-wal"), "rows").unwrap();

        // Then nothing is read any more, nor is it opened so
        let refused = reader.sources().await.unwrap_err();
        assert!(matches!(refused, RepoError::Unavailable { .. }), "{refused}");
        assert!(SqliteReader::open(&path).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_came_in_its_place_is_opened_as_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isems.db");
        SqliteRepo::open(&path).await.unwrap().close().await;
        let reader = SqliteReader::open(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        for companion in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&path, companion));
        }

        let repo = SqliteRepo::open_beside(&reader).await.unwrap();

        assert!(path.exists());
        assert_eq!(repo.sources().await.unwrap(), []);
    }
}
