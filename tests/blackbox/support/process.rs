//! The binary as a process.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{BufRead as _, BufReader, PipeReader, Read, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Database, SOON, eventually};

/// How to start the binary: in a clean environment, with its own database, an
/// API at a free port of the loopback interface, and no nodes.
#[derive(Debug)]
pub(crate) struct Isems {
    database: Arc<Database>,
    variables: BTreeMap<String, OsString>,
    limit: Option<String>,
}

impl Isems {
    /// With a database of its own.
    pub(crate) fn new() -> Self {
        Self::with_database(&Arc::new(Database::new()))
    }

    /// With a database that others use as well.
    pub(crate) fn with_database(database: &Arc<Database>) -> Self {
        Self { database: Arc::clone(database), variables: BTreeMap::new(), limit: None }
            .set("DATABASE_URL", &database.url())
            .set("ISEMS_LISTEN", "127.0.0.1:0")
    }

    /// Sets a variable.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a variable away again.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Lets it open only so many files and connections at once.
    pub(crate) fn open_files(self, limit: u32) -> Self {
        Self { limit: Some(format!("-n {limit}")), ..self }
    }

    /// Lets none of its files become larger; so much, or a little less.
    pub(crate) fn file_size(self, bytes: u32) -> Self {
        const BLOCK: u32 = 512;
        Self { limit: Some(format!("-f {}", bytes / BLOCK)), ..self }
    }

    /// Sets `ISEMS_ROUTER_IPS`.
    pub(crate) fn nodes<'a>(self, addresses: impl IntoIterator<Item = &'a super::Node>) -> Self {
        let list: Vec<String> = addresses.into_iter().map(super::Node::address).collect();
        self.set("ISEMS_ROUTER_IPS", &list.join(","))
    }

    /// The database.
    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut running = self.start(arguments);
        let status = running.wait(SOON * 3);
        running.outcome(status)
    }

    /// Runs a command to its end on a terminal; what it writes to both streams
    /// is in the results, as a terminal gets it.
    pub(crate) fn run_on_a_terminal(&self, arguments: &[&str]) -> Outcome {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let words: Vec<String> = [env!("CARGO_BIN_EXE_isems")]
            .iter()
            .chain(arguments)
            .map(|word| quoted(word))
            .collect();
        let output = Command::new("script")
            .args(["-q", "-e", "-c", &words.join(" "), "/dev/null"])
            .env_clear()
            .env("TERM", "xterm")
            .envs(&self.variables)
            .current_dir(self.database.folder())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("this test needs script ({error}): apt-get install bsdutils")
            });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.spawn(arguments, Stdio::piped(), Stdio::piped());
        let stdout = Text::collect(child.stdout.take().unwrap());
        let stderr = Text::collect(child.stderr.take().unwrap());
        Running { child, stdout, stderr, _database: Arc::clone(&self.database) }
    }

    /// Starts a command whose results go there.
    pub(crate) fn start_into(&self, arguments: &[&str], stdout: impl Into<Stdio>) -> Running {
        let mut child = self.spawn(arguments, stdout.into(), Stdio::piped());
        let stderr = Text::collect(child.stderr.take().unwrap());
        Running { child, stdout: Text::nothing(), stderr, _database: Arc::clone(&self.database) }
    }

    /// Starts a command whose standard error goes there.
    pub(crate) fn start_telling(&self, arguments: &[&str], stderr: impl Into<Stdio>) -> Running {
        let mut child = self.spawn(arguments, Stdio::piped(), stderr.into());
        let stdout = Text::collect(child.stdout.take().unwrap());
        Running { child, stdout, stderr: Text::nothing(), _database: Arc::clone(&self.database) }
    }

    fn spawn(&self, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Child {
        let nodes = self.variables.get("ISEMS_ROUTER_IPS");
        assert!(
            arguments.first() != Some(&"update-data") || nodes.is_some_and(|list| !list.is_empty()),
            "a test must not poll the default node"
        );
        let binary = env!("CARGO_BIN_EXE_isems");
        let mut command = match &self.limit {
            None => Command::new(binary),
            Some(limit) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        let started = command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.database.folder())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn();
        started.unwrap()
    }

    /// Starts `serve` and waits until the API listens and the database is open.
    pub(crate) fn serve(&self) -> Running {
        let running = self.serve_in_trouble();
        running.wait_for_log("measurements are kept in ");
        running
    }

    /// Starts `serve` and waits until the API listens; the database cannot be
    /// opened yet.
    pub(crate) fn serve_in_trouble(&self) -> Running {
        let running = self.start(&["serve"]);
        running.api();
        running
    }
}

/// What a command left behind.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The last line of the results.
    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    /// Asserts the exit code, showing what the program said.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// A process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Text,
    stderr: Text,
    _database: Arc<Database>,
}

impl Running {
    /// Where the API is: `http://ADDRESS:PORT`, without a slash.
    pub(crate) fn api(&self) -> String {
        const BEFORE: &str = "serving the API on ";
        let line = self.wait_for_log(BEFORE);
        let begin = line.find(BEFORE).unwrap() + BEFORE.len();
        line[begin..].split_whitespace().next().unwrap().to_owned()
    }

    /// Waits for the first line of the log that contains `part`.
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        self.stderr.wait_for(part)
    }

    /// Waits for the first line of the results that contains `part`.
    pub(crate) fn wait_for_result(&self, part: &str) -> String {
        self.stdout.wait_for(part)
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.so_far()
    }

    /// The log to its end, of a process that has ended.
    pub(crate) fn whole_log(&self) -> String {
        self.stderr.all()
    }

    /// Reads on what a reader of standard error had left unread.
    pub(crate) fn read_log(&mut self, left: PipeReader) {
        self.stderr = Text::collect(left);
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(status.success(), "kill -{name}");
    }

    /// Ends it as power does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it does not come within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running after {limit:?}; its log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end with SIGTERM and waits the ten seconds that it has.
    pub(crate) fn stop(mut self) -> Outcome {
        self.signal("TERM");
        let status = self.wait(Duration::from_secs(10));
        self.outcome(status)
    }

    fn outcome(&mut self, status: ExitStatus) -> Outcome {
        Outcome { code: status.code(), stdout: self.stdout.all(), stderr: self.stderr.all() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that is full: whoever writes into it waits for somebody who reads.
pub(crate) fn full_pipe() -> (PipeReader, std::io::PipeWriter) {
    const ROOM: usize = 65_536;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut filling = vec![b' '; ROOM];
    filling[ROOM - 1] = b'\n';
    writer.write_all(&filling).unwrap();
    (reader, writer)
}

/// What a process writes, collected as it comes.
#[derive(Debug)]
struct Text {
    lines: Arc<Mutex<Vec<String>>>,
    over: mpsc::Receiver<()>,
    _reader: JoinHandle<()>,
}

impl Text {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&lines);
        let (at_the_end, over) = mpsc::channel();
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                lock(&collected).push(line);
            }
            drop(at_the_end);
        });
        Self { lines, over, _reader: reader }
    }

    /// Of what is not collected.
    fn nothing() -> Self {
        Self::collect(std::io::empty())
    }

    fn wait_for(&self, part: &str) -> String {
        let what = format!("a line with {part:?}");
        eventually(&what, || {
            let lines = lock(&self.lines);
            let found = lines.iter().find(|line| line.contains(part)).cloned();
            assert!(
                found.is_some() || !self.is_over(),
                "it ended without {what}:\n{}",
                lines.join("\n")
            );
            found
        })
    }

    fn is_over(&self) -> bool {
        matches!(self.over.try_recv(), Err(mpsc::TryRecvError::Disconnected))
    }

    fn so_far(&self) -> String {
        lock(&self.lines).join("\n")
    }

    /// Everything, once the process has ended.
    fn all(&self) -> String {
        let waited = self.over.recv_timeout(SOON);
        assert_eq!(waited, Err(RecvTimeoutError::Disconnected));
        self.so_far()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
