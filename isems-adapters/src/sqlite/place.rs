//! Whether the files that are open are still the ones at their names.
//!
//! SQLite works on open files and looks at names only when it opens them: rows
//! go on into a database that was moved away or replaced, and into a
//! write-ahead log that was removed, where nobody will find them.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::inspect::beside;

/// What SQLite keeps beside the database while it is in use.
pub(super) const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// How the files at the names differ from the ones that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Displaced {
    /// No file has the database's name.
    Gone,
    /// Another file has the database's name.
    Replaced,
    /// The database is there; what belongs beside it is not.
    Stripped,
}

/// The files that the writing connection has open, by their names.
#[derive(Debug)]
pub(super) struct Place {
    path: Arc<Path>,
    opened: Mutex<Option<Opened>>,
}

#[derive(Clone, Debug)]
struct Opened {
    /// Beside this, links resolved, SQLite keeps the companions.
    real: PathBuf,
    database: Option<FileId>,
    companions: [Option<FileId>; COMPANIONS.len()],
}

impl Place {
    pub(super) fn new(path: &Arc<Path>) -> Self {
        Self { path: Arc::clone(path), opened: Mutex::default() }
    }

    /// Remembers the files at the names as the ones that were just opened.
    pub(super) fn note(&self) {
        let real = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.to_path_buf());
        let opened = Opened {
            database: FileId::of(&real),
            companions: COMPANIONS.map(|suffix| FileId::of(&beside(&real, suffix))),
            real,
        };
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
    }

    fn opened(&self) -> Option<Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None` as long as everything is where it was opened.
    pub(super) fn displaced(&self) -> Option<Displaced> {
        let opened = self.opened()?;
        match FileId::of(&self.path) {
            found if found != opened.database => {
                Some(if found.is_none() { Displaced::Gone } else { Displaced::Replaced })
            }
            _ if COMPANIONS.map(|suffix| FileId::of(&beside(&opened.real, suffix)))
                != opened.companions =>
            {
                Some(Displaced::Stripped)
            }
            _ => None,
        }
    }

    /// The companions of the open database that lie beside another one now, or
    /// beside none. Opened together with another database, they would ruin it.
    pub(super) fn stale_companions(&self) -> Vec<PathBuf> {
        let Some(opened) = self.opened() else { return Vec::new() };
        if FileId::of(&opened.real) == opened.database {
            return Vec::new();
        }
        let names = COMPANIONS.iter().zip(opened.companions);
        names
            .map(|(suffix, id)| (beside(&opened.real, suffix), id))
            .filter(|(name, id)| id.is_some() && FileId::of(name) == *id)
            .map(|(name, _)| name)
            .collect()
    }
}

/// What stays the same when a file is renamed, and differs between two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// By the name only: to open and close the file would drop SQLite's locks.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().and_then(|file| Self::by_metadata(&file))
    }

    #[cfg(unix)]
    #[expect(clippy::unnecessary_wraps, reason = "other systems have no such numbers")]
    fn by_metadata(file: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        Some(Self { device: file.dev(), inode: file.ino() })
    }

    #[cfg(not(unix))]
    fn by_metadata(_file: &Metadata) -> Option<Self> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[expect(clippy::unwrap_used, reason = "the lint spares test functions only")]
    fn three_files(folder: &Path) -> (Arc<Path>, Place) {
        let path: Arc<Path> = folder.join("isems.db").into();
        for name in ["isems.db", "isems.db-wal", "isems.db-shm"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let place = Place::new(&path);
        place.note();
        (path, place)
    }

    #[test]
    fn files_that_are_not_where_they_were_opened_are_noticed() {
        type Deed = fn(&Path);
        let table: [(&str, Deed, Option<Displaced>); 7] = [
            ("nothing", |_| {}, None),
            ("written to", |f| fs::write(f.join("isems.db"), "longer than before").unwrap(), None),
            (
                "there and back",
                |f| {
                    fs::rename(f.join("isems.db"), f.join("aside")).unwrap();
                    fs::rename(f.join("aside"), f.join("isems.db")).unwrap();
                },
                None,
            ),
            (
                "moved",
                |f| fs::rename(f.join("isems.db"), f.join("aside")).unwrap(),
                Some(Displaced::Gone),
            ),
            ("removed", |f| fs::remove_file(f.join("isems.db")).unwrap(), Some(Displaced::Gone)),
            (
                "replaced",
                |f| {
                    fs::write(f.join("new"), "isems.db").unwrap();
                    fs::rename(f.join("new"), f.join("isems.db")).unwrap();
                },
                Some(Displaced::Replaced),
            ),
            (
                "log removed",
                |f| fs::remove_file(f.join("isems.db-wal")).unwrap(),
                Some(Displaced::Stripped),
            ),
        ];
        for (deed, act, expected) in table {
            let folder = tempfile::tempdir().unwrap();
            let (_, place) = three_files(folder.path());
            act(folder.path());
            assert_eq!(place.displaced(), expected, "{deed}");
        }
    }

    #[test]
    fn companions_are_stale_when_their_database_is_elsewhere_and_they_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, place) = three_files(folder.path());
        assert_eq!(place.stale_companions(), [""; 0].map(PathBuf::from));

        fs::rename(&path, folder.path().join("aside")).unwrap();
        let wal = beside(&path, "-wal");
        assert_eq!(place.stale_companions(), [wal.clone(), beside(&path, "-shm")]);

        // That of another database.
        fs::write(folder.path().join("other"), "").unwrap();
        fs::rename(folder.path().join("other"), &wal).unwrap();
        assert_eq!(place.stale_companions(), [beside(&path, "-shm")]);
    }

    #[test]
    fn a_link_that_points_elsewhere_leaves_the_first_database_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = three_files(folder.path());
        let link: Arc<Path> = folder.path().join("link.db").into();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let place = Place::new(&link);
        place.note();
        assert_eq!(place.displaced(), None);

        fs::write(folder.path().join("other.db"), "").unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("other.db"), &link).unwrap();

        assert_eq!(place.displaced(), Some(Displaced::Replaced));
        assert_eq!(place.stale_companions(), [""; 0].map(PathBuf::from));
    }
}
