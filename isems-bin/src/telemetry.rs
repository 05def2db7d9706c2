//! The log on standard error, and Sentry.

mod lines;
mod scrub;
mod sentry_options;
mod transport;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Write as _,
    io::{self, IsTerminal as _},
    panic,
    sync::Arc,
    thread,
    time::Duration,
};

use sentry::integrations::tracing::{BreadcrumbLayer, ErrorLayer};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, filter_fn},
    fmt::{
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use self::{lines::Lines, sentry_options::sentry_options, transport::Reports};
use crate::{
    config::{LogFormat, LogSettings, Settings},
    output::counted,
};

/// All that this process writes to standard error, but for progress bars.
static LINES: Lines = Lines::new();

/// How long the end waits for a reader that takes nothing.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long if it was asked for, and must come in time.
const URGENT: Duration = Duration::from_millis(300);

/// How long others wait for it, so that what was said first is seen first.
const IN_ORDER: Duration = Duration::from_millis(100);

/// Sees to it that nobody waits for whoever reads standard error, and that
/// panics are told there the same way. Sentry adds itself to that, so it is
/// started after this.
pub(crate) fn start_lines(format: LogFormat) {
    let about_lost = match format {
        LogFormat::Text => lost_as_text,
        LogFormat::Json => lost_as_json,
    };
    LINES.start(io::stderr(), about_lost);
    panic::set_hook(Box::new(|told| {
        let thread = thread::current();
        let mut text = format!("thread '{}' {told}", thread.name().unwrap_or("without a name"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            // Writing to a String does not fail.
            let _ = write!(text, "\nstack backtrace:\n{trace}");
        }
        tell(&text);
        // It may be the end.
        LINES.drain(LAST_LINES, || true);
    }));
}

/// Writes a line to standard error that is not one of the log.
pub(crate) fn tell(line: &str) {
    LINES.push(format!("{line}\n").into_bytes());
}

/// Waits a moment until what was said on standard error can be seen, unless
/// nobody looks.
pub(crate) fn settle() {
    if !LINES.is_stuck() {
        LINES.drain(IN_ORDER, || true);
    }
}

/// Waits until all is written, as long as somebody reads; no longer than a
/// second if nobody does, and a moment if the end `is_urgent`.
pub(crate) fn finish(is_urgent: impl Fn() -> bool) {
    let patience = if is_urgent() { URGENT } else { LAST_LINES };
    LINES.drain(patience, is_urgent);
}

/// Starts reporting to Sentry if a DSN is set. What is returned must live as
/// long as errors are to be reported: it sends what is left when it goes.
///
/// # Errors
/// If the machine has no root certificates, which an `https://` DSN needs.
pub(crate) fn start_sentry(
    settings: &Settings,
) -> Result<Option<sentry::ClientInitGuard>, reqwest::Error> {
    let (Some(dsn), Some(mut options)) = (&settings.sentry.dsn, sentry_options(settings)) else {
        return Ok(None);
    };
    options.transport = Some(Arc::new(Reports::to(dsn)?));
    Ok(Some(sentry::init(options)))
}

/// Starts the log: lines on standard error, errors to Sentry if that is on.
pub(crate) fn start_log(settings: &LogSettings) {
    // The filter was validated with the settings.
    let filter = EnvFilter::builder().parse_lossy(&settings.filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Line);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        // Whatever the log leaves out, errors are reported, with the warnings
        // that led to them; the rest stays here.
        .with(BreadcrumbLayer::new().with_filter(filter_fn(|of| *of.level() == Level::WARN)))
        .with(ErrorLayer::new().with_filter(LevelFilter::ERROR))
        .init();
}

/// Takes what is a line of the log: the layer writes each at once.
struct Line;

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tells of lost lines, which no filter leaves out.
fn lost_as_text(lost: u64) -> Vec<u8> {
    format!("{}  WARN isems::telemetry: {} lost={lost}\n", time(), lost_in_words(lost)).into_bytes()
}

fn lost_as_json(lost: u64) -> Vec<u8> {
    let line = serde_json::json!({
        "timestamp": time(),
        "level": "WARN",
        "message": lost_in_words(lost),
        "lost": lost,
        "target": "isems::telemetry",
    });
    format!("{line}\n").into_bytes()
}

fn lost_in_words(lost: u64) -> String {
    let was = if lost == 1 { "was" } else { "were" };
    format!("{} {was} lost, as nobody read them", counted(lost, "log line"))
}

/// The present as the other lines have it.
fn time() -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_as_other_lines_are() {
        let text = String::from_utf8(lost_as_text(1)).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{text}");
        assert_eq!(
            rest,
            " WARN isems::telemetry: 1 log line was lost, as nobody read them lost=1\n"
        );
        let json = String::from_utf8(lost_as_json(12)).unwrap();
        assert!(json.ends_with("}\n"), "{json}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["message"], "12 log lines were lost, as nobody read them");
        assert_eq!((&json["level"], &json["lost"]), (&"WARN".into(), &12.into()));
    }
}
