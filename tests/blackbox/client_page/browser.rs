//! A real browser that opens a page, waits for its script, and tells what
//! became of it.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a page may take, start of the browser included.
const LIMIT: Duration = Duration::from_mins(2);

/// Only this computer can be reached, and nothing but the page is asked for.
const SWITCHES: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    // Time of the page's own: it stands still while an answer is awaited, and
    // is over as soon as there is nothing left to do.
    "--virtual-time-budget=60000",
    "--timeout=110000",
    "--dump-dom",
];

/// What a page has become when its script is done, as HTML.
///
/// # Panics
/// If there is no browser, or if it takes too long.
pub(super) fn page_at(url: &str) -> String {
    let profile = tempfile::Builder::new().prefix("isems-browser-").tempdir().unwrap();
    let log = profile.path().join("log");
    let child = Command::new(program())
        .args(SWITCHES)
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .arg(url)
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "this test needs the browser Chromium ({error}): \
                 apt-get install --no-install-recommends chromium, or set CHROMIUM"
            )
        });
    let mut browser = Browser(child);
    let mut pipe = browser.0.stdout.take().unwrap();
    let page = thread::spawn(move || {
        let mut page = String::new();
        pipe.read_to_string(&mut page).map(|_| page)
    });
    let status = browser.wait();
    let log = || fs::read_to_string(&log).unwrap_or_default();
    assert!(status.is_some_and(|status| status.success()), "{url}: {status:?}\n{}", log());
    page.join().unwrap().unwrap()
}

/// `CHROMIUM`, or what there is in `PATH`.
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
fn program() -> OsString {
    let named = env::var_os("CHROMIUM").filter(|named| !named.is_empty());
    named.unwrap_or_else(|| {
        let folders = env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &&str| env::split_paths(&folders).any(|at| at.join(name).exists());
        let found = ["chromium", "chromium-browser"].into_iter().find(is_there);
        found.unwrap_or("chromium").into()
    })
}

/// Killed when dropped.
struct Browser(Child);

impl Browser {
    /// How it ended, if it did in time.
    fn wait(&mut self) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has ended already, in most cases.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
