//! Results, on standard output.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Writes a line of results. That nobody reads it (`isems … | head`) is no
/// reason to stop working.
pub(crate) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A number with the thing that is counted: `1 node`, `2 nodes`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
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
