//! Lines on their way to standard error.
//!
//! Whoever reads it may stop reading: a paused `less`, Ctrl-S, a journal that
//! hangs. One thread waits for that reader, so that nobody else has to.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::output::write_whole;

/// What may wait to be written, in bytes: several thousand lines.
const MOST: usize = 1 << 20;

/// What a line takes beside its bytes, about.
const OF_EACH: usize = 64;

/// So often somebody who waits looks whether that is still worth it.
const LOOK: Duration = Duration::from_millis(20);

/// Lines in their order, within bounds. What finds no room is lost and counted,
/// and one line in its place tells how many were.
#[derive(Debug)]
pub(super) struct Lines {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    /// What those take.
    bytes: usize,
    /// How many lines found no room, and that was not told yet.
    lost: u64,
    /// Tells how many lines were lost; `None` as long as no thread writes.
    about_lost: Option<fn(u64) -> Vec<u8>>,
    /// Whether the thread has a line in hand.
    is_writing: bool,
    /// How many lines were written.
    written: u64,
    /// How many had been when a wait was in vain.
    stuck_at: Option<u64>,
}

impl Lines {
    /// Without a thread: who brings a line writes it.
    pub(super) const fn new() -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            bytes: 0,
            lost: 0,
            about_lost: None,
            is_writing: false,
            written: 0,
            stuck_at: None,
        };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// Starts the thread that writes to `out`. Without it (no thread is to be
    /// had) all goes on, but waits for the reader.
    pub(super) fn start(
        &'static self,
        mut out: impl Write + Send + 'static,
        about_lost: fn(u64) -> Vec<u8>,
    ) {
        self.lock().about_lost = Some(about_lost);
        let writer = move || {
            loop {
                give(&mut out, &self.next());
            }
        };
        if thread::Builder::new().name("log".to_owned()).spawn(writer).is_err() {
            self.lock().about_lost = None;
        }
    }

    /// Takes a line, line end and all, or several that belong together.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut queue = self.lock();
        let Some(about_lost) = queue.about_lost else {
            drop(queue);
            give(&mut io::stderr(), &line);
            return;
        };
        // A gap ends when there is room for more than a line: else there would
        // be many of them.
        let room = if queue.lost == 0 { MOST } else { MOST / 2 };
        if queue.bytes + cost(&line) > room {
            queue.lost += 1;
            return;
        }
        if queue.lost > 0 {
            let told = about_lost(queue.lost);
            queue.lost = 0;
            queue.add(told);
        }
        queue.add(line);
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits until all is written: as long as no longer than `patience` passes
    /// without a line being taken, and no longer than `patience` in all if the
    /// wait `is_urgent`.
    pub(super) fn drain(&self, patience: Duration, is_urgent: impl Fn() -> bool) {
        let begun = Instant::now();
        let mut queue = self.lock();
        let (mut written, mut since) = (queue.written, begun);
        while !queue.is_idle() {
            if queue.written != written {
                (written, since) = (queue.written, Instant::now());
            }
            let from = if is_urgent() { begun } else { since };
            if from.elapsed() >= patience {
                queue.stuck_at = Some(queue.written);
                return;
            }
            let waited = self.changed.wait_timeout(queue, LOOK);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether nothing was written since somebody waited for it in vain.
    pub(super) fn is_stuck(&self) -> bool {
        let queue = self.lock();
        queue.stuck_at == Some(queue.written)
    }

    /// The next line to write, when there is one.
    fn next(&self) -> Vec<u8> {
        let mut queue = self.lock();
        if queue.is_writing {
            queue.written += 1;
            queue.is_writing = false;
        }
        loop {
            if let Some(line) = queue.next() {
                queue.is_writing = true;
                return line;
            }
            self.changed.notify_all();
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn add(&mut self, line: Vec<u8>) {
        self.bytes += cost(&line);
        self.waiting.push_back(line);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(line) = self.waiting.pop_front() {
            self.bytes -= cost(&line);
            return Some(line);
        }
        let about_lost = self.about_lost.filter(|_| self.lost > 0)?;
        let told = about_lost(self.lost);
        self.lost = 0;
        Some(told)
    }

    /// Whether nothing is left to write.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0 && !self.is_writing
    }
}

/// A line that cannot be written is given up: nobody is left to tell.
fn give(out: &mut impl Write, line: &[u8]) {
    let _ = write_whole(out, line);
}

fn cost(line: &[u8]) -> usize {
    line.len() + OF_EACH
}

#[cfg(test)]
mod tests;
