//! Results, on standard output.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{failure::Failure, telemetry};

/// A pause before a reader that may not be waited for is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Why a line of results could not be written, the first time.
static UNWRITTEN: Mutex<Option<Failure>> = Mutex::new(None);

/// Writes a line of results. That it cannot be written is no reason to stop
/// working: [`all_written`] tells in the end.
pub(crate) fn say(line: impl Display) {
    // What the log said before is seen before.
    telemetry::settle();
    let mut out = io::stdout().lock();
    let result = write_whole(&mut out, format!("{line}\n").as_bytes());
    if let Err(failure) = written(result) {
        UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

/// Writes a line to its end, however long that takes.
///
/// # Errors
/// If that is not possible.
pub(crate) fn write_whole(out: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = &line[written..],
            Err(error) => pause(error)?,
        }
    }
    while let Err(error) = out.flush() {
        pause(error)?;
    }
    Ok(())
}

/// Waits for a reader that is not there now: somebody who shares the stream
/// made it one that tells so.
fn pause(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock => {
            thread::sleep(RETRY);
            Ok(())
        }
        _ => Err(error),
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

    /// Takes a byte every other time, and lets go of it every third.
    #[derive(Default)]
    struct Awkward {
        asked: usize,
        buffered: usize,
        taken: Vec<u8>,
    }

    impl Awkward {
        fn is_willing(&mut self, nth: usize) -> io::Result<()> {
            self.asked += 1;
            let is_now = self.asked.is_multiple_of(nth);
            is_now.then_some(()).ok_or_else(|| ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Awkward {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_willing(2)?;
            self.taken.push(bytes[0]);
            self.buffered += 1;
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.is_willing(3)?;
            self.buffered = 0;
            Ok(())
        }
    }

    #[test]
    fn results_come_whole_to_a_reader_that_is_not_there_now() {
        let mut out = Awkward::default();
        write_whole(&mut out, b"result\n").unwrap();
        assert_eq!((&*out.taken, out.buffered), (&b"result\n"[..], 0));
    }

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
