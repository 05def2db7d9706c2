//! Other collectors on the same database: allowed, but worth a warning.
//!
//! A collector that runs on holds the lock of a file beside the database, which
//! the system takes back however the collector ends. Nothing depends on it: where
//! there can be no such file, there is no warning. What has its name and is none
//! is somebody else's, and is left as it is.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Somebody else may have ended: so often it is asked.
const AGAIN: Duration = Duration::from_mins(1);

/// A mark holds the digits of a process's number, which are no more.
const LONGEST: usize = 20;

/// A collector's mark beside its database.
#[derive(Debug)]
pub(crate) struct Presence {
    mark: PathBuf,
    held: Option<File>,
}

/// Why a mark could not be taken.
#[derive(Debug)]
enum Untaken {
    /// Another collector has it: this process, if it can be read.
    ByAnother(Option<u32>),
    /// What is there is no mark, but this.
    NoMark(&'static str),
    Failed(io::Error),
}

impl Presence {
    /// Makes this collector known to others that open the same database; warns
    /// if another is there already, or something that is no mark.
    pub(crate) fn announce(database: &Path) -> Self {
        let mut presence = Self { mark: mark_of(database), held: None };
        let mark = presence.mark.display().to_string();
        match presence.take() {
            Ok(()) => {}
            Err(Untaken::ByAnother(process)) => warn_of(process, database),
            Err(Untaken::NoMark(what)) => warn!(
                %mark,
                "{mark} is {what} and no mark of a collector: it is left as it is, and other \
                 collectors on this database go unnoticed; move it away, or name another database"
            ),
            Err(Untaken::Failed(error)) => {
                debug!(%mark, %error, "other collectors go unnoticed: no {mark}: {error}");
            }
        }
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
                // Why it cannot be taken was told at the start.
                let _ = self.take();
            }
        }
    }

    /// Takes the mark if nobody has it.
    fn take(&mut self) -> Result<(), Untaken> {
        let mut file = open(&self.mark)?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(Untaken::Failed(error)),
        };
        let named = named(&file)?;
        if !locked {
            return Err(Untaken::ByAnother(named.parse().ok()));
        }
        let renamed = file.set_len(0).and_then(|()| file.rewind());
        if let Err(error) = renamed.and_then(|()| write!(file, "{}", std::process::id())) {
            let mark = self.mark.display();
            debug!(%mark, %error, "{mark} does not name this process: {error}");
        }
        self.held = Some(file);
        Ok(())
    }
}

impl From<io::Error> for Untaken {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Beside the file that is meant, links resolved, where SQLite keeps its log:
/// others may use another link, or none.
fn mark_of(database: &Path) -> PathBuf {
    let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut mark = OsString::from(real);
    mark.push("-collector");
    mark.into()
}

/// Opens a mark, or makes one. Another user's can be looked at only.
fn open(mark: &Path) -> Result<File, Untaken> {
    let both = options().write(true).create(true).open(mark);
    match both.or_else(|error| options().open(mark).map_err(|_| error)) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(Untaken::NoMark("no regular file")),
        Err(error) => Err(match mark.symlink_metadata() {
            Ok(there) if there.is_symlink() => Untaken::NoMark("a symbolic link"),
            Ok(there) if !there.is_file() => Untaken::NoMark("no regular file"),
            _ => Untaken::Failed(error),
        }),
    }
}

/// Nothing is reached through a link, and a pipe of that name is not waited for.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// The process that a mark names, in digits; nothing if it was only just made.
fn named(mark: &File) -> Result<String, Untaken> {
    let mut digits = String::new();
    let read = mark.take(LONGEST as u64 + 1).read_to_string(&mut digits);
    match read {
        Ok(length) if length <= LONGEST && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(digits)
        }
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(Untaken::Failed(error)),
        _ => Err(Untaken::NoMark("somebody else's file")),
    }
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
    use std::os::unix::fs::symlink;

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

    /// The place of a mark, and the database it is of.
    fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("isems.db");
        let mark = mark_of(&database);
        (folder, database, mark)
    }

    #[test]
    fn what_is_no_mark_is_left_byte_for_byte() {
        for foreign in ["my notes", "12a", "12 34", "12\n", "-1", "123456789012345678901"] {
            let (_folder, database, mark) = place();
            std::fs::write(&mark, foreign).unwrap();

            let presence = Presence::announce(&database);

            assert!(presence.held.is_none(), "{foreign:?}");
            assert_eq!(std::fs::read_to_string(&mark).unwrap(), foreign);
            assert!(File::open(&mark).unwrap().try_lock().is_ok(), "{foreign:?} is not locked");
        }
    }

    #[test]
    fn an_old_mark_is_written_anew() {
        for old in ["", "7", "12345678901234567890"] {
            let (_folder, database, mark) = place();
            std::fs::write(&mark, old).unwrap();

            let presence = Presence::announce(&database);

            assert!(presence.held.is_some(), "{old:?}");
            let named = std::fs::read_to_string(&mark).unwrap();
            assert_eq!(named, std::process::id().to_string(), "after {old:?}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        for held in ["4711", "my notes"] {
            let (folder, database, mark) = place();
            let target = folder.path().join("target");
            std::fs::write(&target, held).unwrap();
            symlink(&target, &mark).unwrap();

            let presence = Presence::announce(&database);

            assert!(presence.held.is_none());
            assert_eq!(std::fs::read_to_string(&target).unwrap(), held);
        }
        let (folder, database, mark) = place();
        let target = folder.path().join("nothing yet");
        symlink(&target, &mark).unwrap();
        assert!(Presence::announce(&database).held.is_none());
        assert!(!target.exists(), "nothing is created through a link");
    }

    /// Ends within bounded time, or panics.
    fn ends<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(what()));
        end.recv_timeout(Duration::from_secs(20)).expect("it does not hang")
    }

    fn make_pipe(at: &Path) {
        let made = std::process::Command::new("mkfifo").arg(at).status().unwrap();
        assert!(made.success());
    }

    #[test]
    fn the_operator_is_told_of_what_is_no_file_too() {
        for make in [
            |at: &Path| std::fs::create_dir(at).unwrap(),
            |at: &Path| symlink("nowhere", at).unwrap(),
            |at: &Path| drop(std::os::unix::net::UnixListener::bind(at).unwrap()),
            make_pipe,
        ] {
            let (_folder, _, mark) = place();
            make(&mark);
            let taken = Presence { mark, held: None }.take();
            assert!(matches!(taken, Err(Untaken::NoMark(_))), "{taken:?}");
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let (_folder, database, mark) = place();
        make_pipe(&mark);
        // Also if somebody holds its lock, who would be read from.
        let mut both = OpenOptions::new();
        let other = both.read(true).write(true).open(&mark).unwrap();
        other.lock().unwrap();

        let presence = ends(move || Presence::announce(&database));
        assert!(presence.held.is_none());

        // Nor where it may only be read: opening it would wait for a writer.
        drop(other);
        assert!(ends(move || options().open(mark)).is_ok());
    }
}
