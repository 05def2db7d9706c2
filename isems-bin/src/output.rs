//! Results, on standard output.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{failure::Failure, telemetry};

/// Why a line of results could not be written, the first time.
static UNWRITTEN: Mutex<Option<Failure>> = Mutex::new(None);

/// Writes a line of results. That it cannot be written is no reason to stop
/// working: [`all_written`] tells in the end.
pub(crate) fn say(line: impl Display) {
    // What the log said before is seen before.
    telemetry::settle();
    let mut out = io::stdout().lock();
    if let Err(failure) = written(writeln!(out, "{line}").and_then(|()| out.flush())) {
        UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

/// Whether all results could be written.
///
/// # Errors
/// Why not, if not.
pub(crate) fn all_written() -> Result<(), Failure> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
}

/// What came of writing results. That nobody reads them to their end (`isems …
/// | head`) is nobody's mistake.
///
/// # Errors
/// If they are lost to somebody who wants them.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Unwritten(error)),
        _ => Ok(()),
    }
}

/// A number with the thing that is counted: `1 node`, `2 nodes`, `2 deliveries`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if number == 1 => format!("{number} {thing}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {thing}s"),
    }
}

/// A progress bar, if somebody is there to see it.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar over `length` of the things that `what` names.
    pub(crate) fn new(length: u64, what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let template = format!("{{bar:40}} {{pos}}/{{len}} {what} {{elapsed}}");
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(length).with_style(style))
    }

    /// So many are done, of so many.
    pub(crate) fn set(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
    }

    /// One more is done.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    /// Writes a line of results above the bar.
    pub(crate) fn say(&self, line: impl Display) {
        self.0.suspend(|| say(line));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_in_the_singular() {
        for (number, thing, expected) in [
            (1, "node", "1 node"),
            (0, "node", "0 nodes"),
            (1, "delivery", "1 delivery"),
            (2, "delivery", "2 deliveries"),
            (1, "day", "1 day"),
            (30, "day", "30 days"),
        ] {
            assert_eq!(counted(number, thing), expected);
        }
    }
}
