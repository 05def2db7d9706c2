//! A router: it appends to a log in RAM, which a web server serves, rotates it,
//! and loses all of it when it restarts.

use std::{
    collections::HashMap,
    io::Write as _,
    ops::Range,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    clock::{Kind, NodeClock},
    ledger::{Ledger, unix_now},
    sample::Sample,
};
use crate::{
    counters::{Counters, lock},
    rng::Rng,
};

/// A router must be up for so many seconds before it restarts. By the clock
/// rule two starts within a minute can look like one.
pub(super) const LEAST_UPTIME: u64 = 90;

/// From one [`tick`](Router::tick) to the next.
const TICK: Duration = Duration::from_secs(1);

/// How long a router hangs before its watchdog restarts it.
const HANGS: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(12));

/// A log is rotated at so many lines, on a slow router earlier. (In truth it is
/// at 3,660, after two and a half days.)
const ROTATES_AT: (usize, usize) = (20, 110);

/// How long rotation and start take.
const WITHOUT_LOG: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// What a router is, apart from its web server.
#[derive(Debug)]
pub(crate) struct Router {
    pub(super) name: String,
    kind: Kind,
    ledger: Arc<Ledger>,
    counters: Arc<Counters>,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) rng: Rng,
    pub(super) clock: NodeClock,
    pub(super) log: Option<LogFile>,
    pub(super) old: Option<OldFile>,
    /// The measurements that a file held, by its `ETag`.
    told: HashMap<String, Range<usize>>,
    files: u64,
    rotates_at: usize,
    /// Seconds from one line to the next.
    interval: usize,
    silent_until: Instant,
    pub(super) hangs: bool,
}

/// A log, whose measurements have numbers without a gap.
#[derive(Debug)]
pub(super) struct LogFile {
    file: u64,
    first: usize,
    pub(super) text: Vec<u8>,
    /// Where each line ends.
    pub(super) ends: Vec<usize>,
}

/// A compressed log.
#[derive(Debug)]
pub(super) struct OldFile {
    pub(super) packed: Vec<u8>,
    pub(super) tag: String,
    numbers: Range<usize>,
}

impl Router {
    pub(super) fn new(
        name: &str,
        kind: Kind,
        seed: u64,
        ledger: &Arc<Ledger>,
        counters: &Arc<Counters>,
    ) -> Self {
        let mut rng = Rng::new(seed, name);
        let state = State {
            clock: NodeClock::running(kind),
            log: None,
            old: None,
            told: HashMap::new(),
            files: 0,
            rotates_at: rng.range(60, 240),
            interval: 1,
            silent_until: Instant::now(),
            hangs: false,
            rng,
        };
        Self {
            name: name.to_owned(),
            kind,
            ledger: Arc::clone(ledger),
            counters: Arc::clone(counters),
            state: Mutex::new(state),
        }
    }

    /// It writes a line so seldom that not every poll finds a new one.
    pub(super) fn slow(self) -> Self {
        const INTERVAL: usize = 5;
        let mut state = lock(&self.state);
        state.interval = INTERVAL;
        state.rotates_at /= INTERVAL;
        drop(state);
        self
    }

    /// It has been running for long: its log holds so many lines, one a minute,
    /// and neither is rotated nor lost.
    pub(super) fn with_past(self, lines: usize) -> Self {
        let now = unix_now();
        let mut state = lock(&self.state);
        for line in 0..lines {
            let time = now - 61 * i64::try_from(lines - line).unwrap();
            let number = self.ledger.measured_at(&self.name, Some(time), time);
            state.append(number, &Sample::of(&self.name, number).line(&self.name, time));
        }
        state.rotates_at = usize::MAX;
        drop(state);
        self
    }

    /// A second passes; in a storm it may restart.
    pub(super) fn tick(&self, storm: bool) {
        let state = &mut *lock(&self.state);
        if Instant::now() < state.silent_until {
            return;
        }
        if state.hangs {
            self.counters.count("router restarts (log and old log emptied)");
            state.hangs = false;
            state.log = None;
            state.old = None;
            state.draw_rotation();
            state.is_silent_for(WITHOUT_LOG);
            state.clock = NodeClock::start(self.kind, &mut state.rng);
            return;
        }
        let keeps_all = state.rotates_at == usize::MAX;
        let is_due = state.clock.uptime() >= LEAST_UPTIME && state.rng.percent(3 * state.interval);
        if storm && is_due && !keeps_all {
            state.hangs = true;
            state.is_silent_for(HANGS);
            return;
        }
        if let Some(log) = state.log.take_if(|log| log.ends.len() >= state.rotates_at) {
            self.counters.count("log rotations");
            state.old = Some(log.compress());
            state.rotates_at = state.rng.range(60, 240) / state.interval;
            state.is_silent_for(WITHOUT_LOG);
            return;
        }
        let reported = state.clock.next_line();
        let number = self.ledger.measure(&self.name, Some(reported));
        state.append(number, &Sample::of(&self.name, number).line(&self.name, reported));
        let interval = u64::try_from(state.interval).unwrap();
        state.silent_until =
            Instant::now() + Duration::from_secs(interval).saturating_sub(TICK / 2);
    }

    /// The collector says that it has what this `ETag` stood for.
    pub(super) fn note_known(&self, state: &State, tag: &str) {
        if let Some(numbers) = state.told.get(tag) {
            self.ledger.owe(&self.name, numbers.clone());
        }
    }

    /// Nothing changes any more: all that is there can be read, so it is owed.
    pub(super) fn owe_what_is_served(&self) {
        let state = lock(&self.state);
        let log = state.log.as_ref().map(|log| log.numbers(log.ends.len()));
        let old = state.old.as_ref().map(|old| old.numbers.clone());
        self.ledger.owe(&self.name, log.into_iter().chain(old).flatten());
    }
}

impl State {
    fn append(&mut self, number: usize, line: &str) {
        let log = self.log.get_or_insert_with(|| {
            self.files += 1;
            LogFile { file: self.files, first: number, text: Vec::new(), ends: Vec::new() }
        });
        log.text.extend(line.as_bytes());
        log.text.push(b'\n');
        log.ends.push(log.text.len());
    }

    fn draw_rotation(&mut self) {
        self.rotates_at = self.rng.range(ROTATES_AT.0, ROTATES_AT.1) / self.interval;
    }

    fn is_silent_for(&mut self, times: (Duration, Duration)) {
        self.silent_until = Instant::now() + self.rng.duration(times);
    }

    /// The `ETag` of the log's first `length` bytes, which is remembered.
    pub(super) fn tag(&mut self, length: usize) -> String {
        let Some(log) = &self.log else { return String::new() };
        let tag = format!("\"{:x}-{length:x}\"", log.file);
        let lines = log.ends.partition_point(|end| *end <= length);
        self.told.insert(tag.clone(), log.numbers(lines));
        tag
    }

    /// The `ETag` of the old log, which is remembered.
    pub(super) fn old_tag(&mut self) -> String {
        let Some(old) = &self.old else { return String::new() };
        self.told.insert(old.tag.clone(), old.numbers.clone());
        old.tag.clone()
    }
}

impl LogFile {
    fn numbers(&self, lines: usize) -> Range<usize> {
        self.first..self.first + lines
    }

    fn compress(&self) -> OldFile {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.text).unwrap();
        OldFile {
            packed: encoder.finish().unwrap(),
            tag: format!("\"{:x}-gz\"", self.file),
            numbers: self.numbers(self.ends.len()),
        }
    }
}
