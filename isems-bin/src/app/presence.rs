//! Other collectors on the same database: allowed, but worth a warning.
//!
//! A collector that runs on holds the lock of a file beside the database, which
//! the system takes back however the collector ends. Nothing depends on it: where
//! there can be no such file, there is no warning.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Somebody else may have ended: so often it is asked.
const AGAIN: Duration = Duration::from_mins(1);

/// A collector's mark beside its database.
#[derive(Debug)]
pub(crate) struct Presence {
    mark: PathBuf,
    held: Option<File>,
}

impl Presence {
    /// Makes this collector known to others that open the same database; warns
    /// if another is there already.
    pub(crate) fn announce(database: &Path) -> Self {
        let mut presence = Self { mark: mark_of(database), held: None };
        presence.take(|other| warn_of(other, database));
        presence
    }

    /// Warns if a collector that runs on has opened the same database.
    pub(crate) fn look(database: &Path) {
        drop(Self::announce(database));
    }

    /// Keeps the mark until `stop` is asked for; takes it over from a collector
    /// that ends meanwhile.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(AGAIN) => {}
            }
            if self.held.is_none() {
                self.take(|_known| {});
            }
        }
    }

    /// Takes the mark if nobody has it; else tells of who has it.
    fn take(&mut self, other: impl FnOnce(Option<u32>)) {
        let mark = self.mark.display();
        let mut file = match open(&self.mark) {
            Ok(file) => file,
            Err(error) => {
                debug!(%mark, %error, "other collectors go unnoticed: no {mark}: {error}");
                return;
            }
        };
        match file.try_lock() {
            Ok(()) => {
                let named = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                if let Err(error) = named {
                    debug!(%mark, %error, "{mark} does not name this process: {error}");
                }
                self.held = Some(file);
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Where a lock keeps others from reading, nobody is named.
                let _ = file.read_to_string(&mut text);
                other(text.trim().parse().ok());
            }
            Err(std::fs::TryLockError::Error(error)) => {
                debug!(%mark, %error, "other collectors go unnoticed: {error}");
            }
        }
    }
}

fn mark_of(database: &Path) -> PathBuf {
    let mut mark = OsString::from(database);
    mark.push("-collector");
    mark.into()
}

/// Another user's mark can be looked at only.
fn open(mark: &Path) -> std::io::Result<File> {
    let both = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(mark);
    both.or_else(|error| File::open(mark).map_err(|_| error))
}

fn warn_of(process: Option<u32>, database: &Path) {
    let database = database.display();
    let process = process.map_or_else(String::new, |id| format!(" (process {id})"));
    warn!(
        %database,
        "another collector{process} writes to {database}: that is allowed, each measurement is \
         stored once; if it is not meant, end one of them"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mark_is_taken_over_from_a_collector_that_ended() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("isems.db");
        let first = Presence::announce(&database);
        let second = Presence::announce(&database);
        assert!(first.held.is_some() && second.held.is_none());

        let kept = tokio::spawn(second.keep(CancellationToken::new()));
        sleep(AGAIN * 2).await;
        drop(first);
        sleep(AGAIN * 2).await;

        assert!(Presence::announce(&database).held.is_none(), "the second has it now");
        kept.abort();
    }

    #[test]
    fn without_a_mark_there_is_no_warning_and_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let presence = Presence::announce(&folder.path().join("missing").join("isems.db"));
        assert!(presence.held.is_none());
    }
}
