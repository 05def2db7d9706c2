//! Whether our own clock can be trusted.

use std::{collections::BTreeMap, fmt};

use super::parsed::Parsed;
use crate::{
    Delivery, NodeId, Timestamp,
    clock_rule::EARLIEST_POSSIBLE,
    time::{DAY, MINUTE},
};

/// Clocks that differ by no more than this agree, in seconds.
const AGREEMENT: i64 = 5 * MINUTE;

/// Opinions older than this count no more, in seconds.
const HEARD_WITHIN: i64 = 60 * MINUTE;

/// A clock may be set back by so many seconds without being doubted (NTP).
const SLEW: i64 = MINUTE;

/// The memory that opinions may take: so many nodes.
const OPINIONS: usize = 10_000;

/// Why our own clock is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// It shows a time before the program was built.
    BeforeBuild {
        /// When the program was built.
        built: Timestamp,
    },
    /// It shows a time before the newest stored arrival.
    BeforeNewestArrival {
        /// The newest stored arrival.
        newest: Timestamp,
    },
    /// Most nodes of the last hour agree with each other and not with us.
    NodesDisagree {
        /// How many agree.
        nodes: usize,
        /// By how many seconds their clocks are ahead of ours.
        ahead: i64,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeBuild { .. } => {
                f.write_str("it shows a time before this program was built")
            }
            Self::BeforeNewestArrival { .. } => {
                f.write_str("it shows a time before that of measurements already received")
            }
            Self::NodesDisagree { nodes, ahead } => {
                write!(
                    f,
                    "{nodes} nodes agree that it is {} s {}",
                    ahead.abs(),
                    if *ahead > 0 { "slow" } else { "fast" }
                )
            }
        }
    }
}

/// How far our own clock can be relied on, where that decides what is lost for
/// ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockTrust {
    /// A node that was heard within the hour shows the same time.
    Confirmed,
    /// Nothing speaks against it, and no node for it.
    Unconfirmed,
    /// It is doubted.
    Doubted(Doubt),
}

impl ClockTrust {
    /// Why it is doubted, if it is.
    pub(super) const fn doubt(self) -> Option<Doubt> {
        match self {
            Self::Doubted(doubt) => Some(doubt),
            Self::Confirmed | Self::Unconfirmed => None,
        }
    }
}

impl Doubt {
    /// The best guess of the present, where our clock shows `now`. Rather too
    /// early than too late: a time in the future would make a node look alive
    /// for as long.
    pub(super) fn best_guess(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::BeforeBuild { built } => *built,
            // Perhaps it was the earlier clock that was wrong.
            Self::BeforeNewestArrival { .. } => now,
            Self::NodesDisagree { ahead, .. } => now.plus(*ahead),
        }
    }
}

#[derive(Debug)]
pub(super) struct OwnClock {
    built: Timestamp,
    newest_arrival: Option<Timestamp>,
    opinions: BTreeMap<NodeId, Opinion>,
}

#[derive(Debug)]
struct Opinion {
    heard: Timestamp,
    /// By how many seconds the node's clock is ahead of ours.
    ahead: i64,
    /// It shows the time that ours shows.
    agrees: bool,
}

impl OwnClock {
    pub(super) const fn new(built: Timestamp) -> Self {
        Self { built, newest_arrival: None, opinions: BTreeMap::new() }
    }

    pub(super) const fn built(&self) -> Timestamp {
        self.built
    }

    pub(super) const fn newest_arrival(&self) -> Option<Timestamp> {
        self.newest_arrival
    }

    pub(super) fn note_arrival(&mut self, arrival: Option<Timestamp>) {
        self.newest_arrival = self.newest_arrival.max(arrival);
    }

    /// Remembers what a delivery says of its node's clock. A node without a
    /// clock has no opinion; neither has one whose clock shows a time before
    /// the program was built, as those of a whole site do after a power cut.
    /// Without `Date`, a line can have waited for long, so being behind us is
    /// no opinion against us; being ahead is.
    pub(super) fn hear(&mut self, delivery: &Delivery, parsed: &Parsed) {
        let arrival = delivery.arrival;
        for (node, lines) in &parsed.logs {
            // The last line, since a clock can have fallen back.
            let newest = lines.last().map(|line| line.reported);
            let shown = match delivery.sender_clock {
                Some(clock) => Some(clock).filter(|clock| *clock >= self.built),
                None => newest.filter(|time| *time >= EARLIEST_POSSIBLE),
            };
            let Some(shown) = shown else { continue };
            let ahead = shown.since(arrival);
            let agrees = ahead.abs() <= AGREEMENT;
            let ahead = if delivery.sender_clock.is_some() { ahead } else { ahead.max(0) };
            if self.opinions.len() < OPINIONS || self.opinions.contains_key(node) {
                self.opinions.insert(node.clone(), Opinion { heard: arrival, ahead, agrees });
            }
        }
    }

    /// Whether the clock that shows `now` is to be doubted.
    fn doubt(&mut self, now: Timestamp) -> Option<Doubt> {
        self.opinions.retain(|_, opinion| now.since(opinion.heard).abs() <= HEARD_WITHIN);
        if now < self.built {
            return Some(Doubt::BeforeBuild { built: self.built });
        }
        if let Some(newest) = self.newest_arrival.filter(|newest| now.plus(SLEW) < *newest) {
            return Some(Doubt::BeforeNewestArrival { newest });
        }
        self.disagreement()
    }

    /// How far the clock that shows `now` is to be relied on.
    pub(super) fn trust(&mut self, now: Timestamp) -> ClockTrust {
        match self.doubt(now) {
            Some(doubt) => ClockTrust::Doubted(doubt),
            None if self.opinions.values().any(|opinion| opinion.agrees) => ClockTrust::Confirmed,
            None => ClockTrust::Unconfirmed,
        }
    }

    fn disagreement(&self) -> Option<Doubt> {
        let mut ahead: Vec<i64> = self.opinions.values().map(|opinion| opinion.ahead).collect();
        ahead.sort_unstable();
        let of = |first: usize| {
            ahead[first..].partition_point(|other| other.saturating_sub(ahead[first]) <= AGREEMENT)
        };
        let (first, nodes) =
            (0..ahead.len()).map(|first| (first, of(first))).max_by_key(|(_, nodes)| *nodes)?;
        let middle = ahead[first + nodes / 2];
        let against_us = middle.abs() > AGREEMENT;
        // A clock that is decades off is no clock.
        let plausible = middle.abs() < 100 * 366 * DAY;
        (against_us && plausible && nodes >= 2 && nodes * 2 > ahead.len())
            .then_some(Doubt::NodesDisagree { nodes, ahead: middle })
    }
}
