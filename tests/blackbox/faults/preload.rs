//! The library that stands between the collector and the system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use super::journal::Journal;
use crate::support::{Broker, Isems};

/// What the library needs to know, and where it leaves its journal.
#[derive(Debug)]
pub(crate) struct Preload {
    folder: TempDir,
}

/// A way in which a disk fails, as the system tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    errno: i32,
    /// Which calls fail, see `preload.c`.
    calls: &'static str,
}

impl Fault {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    const EPERM: i32 = 1;
    const EROFS: i32 = 30;

    /// No space is left on the device.
    pub(crate) const FULL: Self = Self { errno: Self::ENOSPC, calls: "w" };
    /// The file system was remounted read-only after an error.
    pub(crate) const READ_ONLY: Self = Self { errno: Self::EROFS, calls: "wto" };
    /// The disk does not take what is to be synced.
    pub(crate) const NO_SYNC: Self = Self { errno: Self::EIO, calls: "s" };
    /// Nothing fails; the database is moved to its name with `.moved` behind it
    /// once the next commit is synced, before that is over. Ends by itself.
    pub(crate) const MOVED_MEANWHILE: Self = Self { errno: Self::EPERM, calls: "m" };
    /// The disk is gone.
    pub(crate) const DEAD: Self = Self { errno: Self::EIO, calls: "wtrs" };
    /// The disk does not answer when it is read, and says nothing.
    pub(crate) const HANGING: Self = Self { errno: Self::EIO, calls: "h" };
    /// The disk does not answer when a file on it is opened, and says nothing.
    pub(crate) const OPENING_HANGS: Self = Self { errno: Self::EIO, calls: "p" };
}

impl Preload {
    /// Puts the library before the collector; nothing fails until it is asked to.
    pub(crate) fn before(isems: Isems, broker: Option<&Broker>) -> (Isems, Self) {
        let preload = Self { folder: tempfile::tempdir().unwrap() };
        let database = isems.database().path();
        let folder = fs::canonicalize(database.parent().unwrap()).unwrap();
        let database = folder.join(database.file_name().unwrap());
        let port = broker.map_or_else(String::new, |broker| {
            broker.address().rsplit(':').next().unwrap_or_default().to_owned()
        });
        let isems = isems
            .set("LD_PRELOAD", text(&library()))
            .set("PRELOAD_DATABASE", text(&database))
            .set("PRELOAD_FAULT", text(&preload.fault()))
            .set("PRELOAD_FOLDER", text(preload.folder.path()))
            .set("PRELOAD_PORT", &port);
        (isems, preload)
    }

    /// From now on the database's files fail like this.
    pub(crate) fn begin(&self, fault: Fault) {
        // Whole at once: the library reads it at any time.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, format!("{} {}", fault.errno, fault.calls)).unwrap();
        fs::rename(draft, self.fault()).unwrap();
    }

    /// From now on they work.
    pub(crate) fn end(&self) {
        fs::remove_file(self.fault()).unwrap();
    }

    /// What has happened until now.
    pub(crate) fn journal(&self) -> Journal {
        Journal::read(self.folder.path())
    }

    fn fault(&self) -> PathBuf {
        self.folder.path().join("fault")
    }
}

/// Builds it, once for all tests.
fn library() -> PathBuf {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/blackbox/faults/preload.c");
        let built = Command::new("cc")
            .args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("preload.so"))
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .output()
            .unwrap_or_else(|error| panic!("this test needs cc ({error}): apt-get install gcc"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        folder
    });
    folder.path().join("preload.so")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
