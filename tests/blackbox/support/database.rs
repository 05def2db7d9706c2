//! A database file in a folder that vanishes.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The place of a database; the file is there once the program made it.
#[derive(Debug)]
pub(crate) struct Database {
    folder: TempDir,
}

impl Database {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("isems-test-").tempdir().unwrap();
        Self { folder }
    }

    /// The folder that it lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("isems.db")
    }

    /// The value of `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("sqlite:///{}", self.path().display())
    }
}
