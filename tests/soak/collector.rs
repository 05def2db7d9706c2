//! The real binary, from one start to the next.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::counters::{Counters, lock};

/// How long a start may take, also while the database is locked.
const START_LIMIT: Duration = Duration::from_secs(40);

/// How long it may take to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What storing nothing is called in the log; expected while somebody else
/// holds the database.
const CANNOT_STORE: &str = "cannot store what nodes sent";

/// A process that is up and not yet told to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) number: usize,
    pub(crate) pid: u32,
    pub(crate) api: SocketAddr,
}

/// Tells everybody which process is up.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<Option<Life>>);

impl Presence {
    pub(crate) fn now(&self) -> Option<Life> {
        *lock(&self.0)
    }

    /// Whether this process is still up and not told to end.
    pub(crate) fn is_still(&self, life: Life) -> bool {
        self.now().is_some_and(|now| now.number == life.number)
    }

    fn set(&self, life: Option<Life>) {
        *lock(&self.0) = life;
    }
}

/// The collector, whichever process it is just now.
pub(crate) struct Collector {
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
    pub(crate) presence: Arc<Presence>,
    counters: Arc<Counters>,
    child: Option<Child>,
    starts: usize,
    /// The database was locked in this life.
    was_locked: bool,
}

impl Collector {
    pub(crate) fn new(
        folder: &Path,
        variables: Vec<(&'static str, String)>,
        counters: &Arc<Counters>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            variables,
            presence: Arc::default(),
            counters: Arc::clone(counters),
            child: None,
            starts: 0,
            was_locked: false,
        }
    }

    /// How often it was started.
    pub(crate) const fn starts(&self) -> usize {
        self.starts
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Somebody else holds the database now: complaints are in order.
    pub(crate) const fn note_lock(&mut self) {
        self.was_locked = true;
    }

    /// Starts `serve` and waits until the API listens.
    pub(crate) fn start(&mut self) {
        self.starts += 1;
        self.was_locked = false;
        let log = self.log_file();
        self.child = Some(self.command("serve", &log).spawn().unwrap());
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(api) = api_in(&log) {
                let pid = self.child.as_ref().map_or(0, Child::id);
                self.presence.set(Some(Life { number: self.starts, pid, api }));
                return;
            }
            if self.has_ended_unasked() {
                return;
            }
            assert!(Instant::now() < deadline, "no API: {}", log.display());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as power does.
    pub(crate) fn kill(&mut self) {
        if self.has_ended_unasked() {
            return;
        }
        self.presence.set(None);
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.signal() != Some(9) {
            self.counters.find(format!("killed, the collector ended with {status}"));
        }
        self.read_log();
    }

    /// Ends it with SIGTERM.
    pub(crate) fn stop(&mut self) {
        if self.has_ended_unasked() {
            return;
        }
        self.presence.set(None);
        let mut child = self.child.take().unwrap();
        signal(&child, "TERM");
        let status = end(&mut child, STOP_LIMIT);
        if status.and_then(|status| status.code()) != Some(0) {
            self.counters.find(format!(
                "within {STOP_LIMIT:?} of SIGTERM the collector ended with {status:?}, not with 0"
            ));
        }
        self.read_log();
    }

    /// Whether it ended by itself, which it never should.
    pub(crate) fn has_ended_unasked(&mut self) -> bool {
        let Some(child) = &mut self.child else { return true };
        let Some(status) = child.try_wait().unwrap() else { return false };
        self.child = None;
        self.presence.set(None);
        let log = self.log_file();
        self.counters
            .find(format!("the collector ended by itself with {status}; see {}", log.display()));
        self.read_log();
        true
    }

    /// Starts another command of the program on the same database and nodes.
    pub(crate) fn beside(&self, command: &str) -> Child {
        self.command(command, &self.folder.join(format!("{command}.log"))).spawn().unwrap()
    }

    fn command(&self, command: &str, log: &Path) -> Command {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_isems"));
        process
            .arg(command)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        process
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("collector-{}.log", self.starts))
    }

    /// Looks for what must not be in the log of a life that is over.
    fn read_log(&self) {
        let file = self.log_file();
        let log = fs::read(&file).unwrap_or_default();
        for line in String::from_utf8_lossy(&log).lines() {
            let is_bad = line.contains(" ERROR ")
                || line.contains("panicked")
                || line.contains("the task \"");
            let is_expected = self.was_locked && line.contains(CANNOT_STORE);
            if is_bad && !is_expected {
                self.counters.find(format!("in {}: {line}", file.display()));
            }
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn api_in(log: &Path) -> Option<SocketAddr> {
    const BEFORE: &str = "serving the API on http://";
    let log = fs::read_to_string(log).ok()?;
    let rest = &log[log.find(BEFORE)? + BEFORE.len()..];
    // Until the line is whole it may be cut within the port.
    let (line, _) = rest.split_once('\n')?;
    line.split_whitespace().next()?.parse().ok()
}

/// Sends a signal, by its name without `SIG`.
pub(crate) fn signal(child: &Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    // It may just have ended by itself, which shows in its exit code.
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
}

/// Waits for the end of a process; one that does not come is killed.
pub(crate) fn end(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}
