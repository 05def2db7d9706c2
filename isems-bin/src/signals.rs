//! SIGTERM and Ctrl-C: the first asks to end, the second insists.

use std::{io, process, thread, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{failure::FAILED, telemetry};

/// The exit code after a second signal, as shells use it for Ctrl-C.
const FORCED: i32 = 130;

/// When the process ends after the first signal though something hangs for
/// which nothing else can help: a line of results that nobody reads, say. Of
/// the 10 seconds that are promised; more than all that may take its time takes
/// (8 s the tasks and the database, 1.2 s Sentry, 0.3 s the log, 0.2 s the rest).
const AT_THE_LATEST: Duration = Duration::from_millis(9_800);

/// Cancels `shutdown` at the first signal; at the second the process ends at
/// once, and some seconds after the first in any case.
///
/// # Errors
/// If the system refuses to tell us of signals.
pub(crate) fn watch(shutdown: CancellationToken) -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let signal = signals.next().await;
        end_at_the_latest();
        info!(signal, "{signal}: ending, with everything in hand stored");
        shutdown.cancel();
        let signal = signals.next().await;
        warn!(signal, "{signal} again: ending at once");
        end(FORCED);
    });
    Ok(())
}

fn end_at_the_latest() {
    let end_late = || {
        thread::sleep(AT_THE_LATEST);
        warn!("not ended in time: ending at once");
        end(FAILED.into());
    };
    // Without a thread the second signal is left.
    let _ = thread::Builder::new().name("end".to_owned()).spawn(end_late);
}

fn end(code: i32) -> ! {
    telemetry::settle();
    process::exit(code)
}

/// Where files may not become larger than the system was told (`ulimit -f`,
/// `LimitFSIZE=`), writing beyond fails, as on a full disk. By default it would
/// end the process without a word.
///
/// # Errors
/// If the system refuses to tell us of signals.
#[cfg(unix)]
pub(crate) fn outlive_the_file_size_limit() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // It stays caught when nobody listens any more.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) fn outlive_the_file_size_limit() -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
