//! What a node believes the time to be.

use std::{collections::VecDeque, time::Instant};

use super::ledger::unix_now;
use crate::rng::Rng;

/// Whether a node knows the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It does, but for the first lines after some starts.
    Right,
    /// It counts the seconds since its start.
    Uptime,
    /// It believes something else, by so many seconds.
    Ahead(i64),
}

/// A node's clock from one start to the next.
#[derive(Debug)]
pub(crate) struct NodeClock {
    kind: Kind,
    started: Instant,
    unset: VecDeque<i64>,
    is_unset: bool,
    last: i64,
}

impl NodeClock {
    /// Seconds since 1970 that unset clocks show: nearly nothing, or the
    /// firmware's build date.
    const UNSET: [i64; 2] = [99, 1_534_377_600];

    /// A node that has been running for a while. (If all started at once with
    /// the same unset clock, ours would be doubted.)
    pub(crate) fn running(kind: Kind) -> Self {
        Self { kind, started: Instant::now(), unset: VecDeque::new(), is_unset: false, last: 0 }
    }

    /// A node starts.
    pub(crate) fn start(kind: Kind, rng: &mut Rng) -> Self {
        // By the clock rule a build date is believed where the rest is not.
        let choice: &[i64] = if kind == Kind::Right { &Self::UNSET } else { &Self::UNSET[..1] };
        let begin = rng.pick(choice);
        let lines = if kind == Kind::Uptime { 0 } else { rng.below(3) };
        let unset = (begin..).take(lines).collect();
        Self { unset, ..Self::running(kind) }
    }

    /// The time in the next line.
    pub(crate) fn next_line(&mut self) -> i64 {
        let unset = self.unset.pop_front();
        self.is_unset = unset.is_some();
        // No two lines of the same second.
        self.last = unset.unwrap_or_else(|| self.shown().max(self.last + 1));
        self.last
    }

    /// What it shows between two lines.
    pub(crate) fn now(&self) -> i64 {
        if self.is_unset || !self.unset.is_empty() { self.last } else { self.shown() }
    }

    /// Seconds since the start.
    pub(crate) fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn shown(&self) -> i64 {
        match self.kind {
            Kind::Right => unix_now(),
            Kind::Uptime => 5 + i64::try_from(self.uptime()).unwrap(),
            Kind::Ahead(seconds) => unix_now() + seconds,
        }
    }
}
