//! The connections to the file that has the database's name, whichever it is.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use isems_core::RepoError;
use tokio::{
    sync::{Notify, RwLock, RwLockReadGuard},
    time::sleep,
};

use super::{
    fault::Fault,
    reader::SqliteReader,
    writer::{Writer, followed},
};

/// The connections of a repository.
#[derive(Debug)]
pub(super) struct Files {
    writer: RwLock<Writer>,
    reader: SqliteReader,
    path: Arc<Path>,
}

impl Files {
    /// Opens a file that was prepared.
    pub(super) async fn open(path: &Arc<Path>) -> Result<Self, RepoError> {
        let writer = Writer::open(path).await?;
        let reader = SqliteReader::new(path, writer.place()).await;
        Ok(Self { writer: RwLock::new(writer), reader, path: Arc::clone(path) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// For the repository itself.
    pub(super) fn reader(&self) -> SqliteReader {
        self.reader.clone()
    }

    /// Rung by readers that find the file displaced.
    pub(super) fn bell(&self) -> Arc<Notify> {
        self.reader.bell()
    }

    /// The writing connection, whatever became of its file.
    pub(super) async fn writer(&self) -> RwLockReadGuard<'_, Writer> {
        self.writer.read().await
    }

    /// Makes sure that what is read now is in the file that has the name.
    pub(super) async fn look(&self) -> Result<(), RepoError> {
        self.begin().await.map(drop)
    }

    /// Begins to write into the file that has the name.
    pub(super) async fn begin(&self) -> Result<RwLockReadGuard<'_, Writer>, RepoError> {
        let writer = self.writer.read().await;
        if writer.displaced().is_none() {
            return Ok(writer);
        }
        drop(writer);
        Err(self.follow().await)
    }

    /// Ends what [`begin`](Self::begin) began: what was written counts only if
    /// the file still has the name.
    pub(super) async fn end<T>(
        &self,
        writer: RwLockReadGuard<'_, Writer>,
        result: Result<T, impl Into<Fault>>,
    ) -> Result<T, RepoError> {
        if writer.displaced().is_some() {
            drop(writer);
            return Err(self.follow().await);
        }
        result.map_err(|fault| {
            let fault = fault.into();
            if fault.leaves_connection_suspect() {
                writer.suspect();
            }
            self.failed(fault)
        })
    }

    /// Turns to the file that has the name now. What was to be written has to
    /// be judged anew by what that file holds, so this is always an error.
    async fn follow(&self) -> RepoError {
        match self.try_follow().await {
            Ok(Some(told)) | Err(told) => told,
            Ok(None) => RepoError::Unavailable {
                what: format!("{} was replaced just now", self.path.display()),
                cause: None,
            },
        }
    }

    /// Turns to the file that has the name now, if it is another; then what to
    /// tell people.
    async fn try_follow(&self) -> Result<Option<RepoError>, RepoError> {
        let mut writer = self.writer.write().await;
        let Some(displaced) = writer.displaced() else { return Ok(None) };
        let found = writer.follow(&self.reader.readers, &self.path).await?;
        Ok(Some(followed(&self.path, displaced, found)))
    }

    pub(super) fn failed(&self, fault: impl Into<Fault>) -> RepoError {
        fault.into().at(&self.path)
    }
}

/// Turns to another file when reads find that there is one: where only the API
/// runs, nothing else would. Ends with the repository.
pub(super) async fn follow_readers(files: Weak<Files>, bell: Arc<Notify>) {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        bell.notified().await;
        let Some(files) = files.upgrade() else { return };
        match files.try_follow().await {
            Ok(Some(told)) => tracing::error!("{told}"),
            Ok(None) => {}
            // Whoever writes says so; reads go on with the old file.
            Err(error) => tracing::debug!(%error, "another database cannot be read: {error}"),
        }
        drop(files);
        sleep(PAUSE).await;
    }
}
