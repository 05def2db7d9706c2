//! SIGTERM and Ctrl-C: the first asks to end, the second insists.

use std::{io, process};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The exit code after a second signal, as shells use it for Ctrl-C.
const FORCED: i32 = 130;

/// Cancels `shutdown` at the first signal; at the second the process ends at
/// once.
///
/// # Errors
/// If the system refuses to tell us of signals.
pub(crate) fn watch(shutdown: CancellationToken) -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let signal = signals.next().await;
        info!(signal, "{signal}: ending, with everything in hand stored");
        shutdown.cancel();
        let signal = signals.next().await;
        warn!(signal, "{signal} again: ending at once");
        process::exit(FORCED);
    });
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
