//! Whether our own clock can be trusted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::parsed::Parsed;
use crate::{
    ClockMarks, Delivery, NodeId, SourceId, SourceKind, Timestamp,
    clock_rule::{EARLIEST_POSSIBLE, Guess},
    time::{DAY, MINUTE},
};

/// Clocks that differ by no more than this agree, in seconds.
const AGREEMENT: u64 = 5 * MINUTE.unsigned_abs();

/// Opinions older than this count no more, in seconds.
const HEARD_WITHIN: u64 = 60 * MINUTE.unsigned_abs();

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
                    ahead.unsigned_abs(),
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

impl Doubt {
    /// Whether our clock seems to run ahead, or to have done so.
    pub(crate) const fn is_of_the_future(self) -> bool {
        match self {
            Self::BeforeBuild { .. } => false,
            Self::BeforeNewestArrival { .. } => true,
            Self::NodesDisagree { ahead, .. } => ahead < 0,
        }
    }
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

#[derive(Debug)]
pub(super) struct OwnClock {
    built: Timestamp,
    marks: Option<ClockMarks>,
    opinions: BTreeMap<Sender, Opinion>,
    /// When our clock was last set, by what it shows since.
    set_at: Option<Timestamp>,
    /// Our clock shows a time before the program was built, and the present
    /// seems to be ahead of it by so many seconds.
    unset_by: Option<i64>,
}

/// By how much the present seems to be ahead of our clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    seconds: i64,
    /// Most nodes say so.
    is_agreed: bool,
}

impl Ahead {
    /// The present, where our clock shows `now`.
    pub(super) fn of(self, now: Timestamp) -> Guess {
        Guess { present: now.plus(self.seconds), is_agreed: self.is_agreed }
    }
}

/// Who has a clock: an address, whatever nodes its log names; or a node at a
/// broker.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sender {
    Address(SourceId),
    Node(NodeId),
}

#[derive(Clone, Debug)]
struct Opinion {
    heard: Timestamp,
    /// The node whose clock it is; of an address, one that its log names.
    node: NodeId,
    /// By how many seconds the sender's clock is ahead of ours.
    ahead: i64,
    /// It shows the time that ours shows.
    agrees: bool,
}

impl OwnClock {
    pub(super) const fn new(built: Timestamp) -> Self {
        Self { built, marks: None, opinions: BTreeMap::new(), set_at: None, unset_by: None }
    }

    pub(super) const fn built(&self) -> Timestamp {
        self.built
    }

    pub(super) const fn knows_marks(&self) -> bool {
        self.marks.is_some()
    }

    pub(super) fn know_marks(&mut self, marks: ClockMarks) {
        self.marks = Some(marks);
    }

    pub(super) fn note_arrival(&mut self, arrival: Option<Timestamp>) {
        let marks = self.marks.get_or_insert_default();
        marks.newest_arrival = marks.newest_arrival.max(arrival);
    }

    /// Our clock was set and shows `now`: what was heard by what it showed
    /// before says nothing any more.
    pub(super) fn was_set(&mut self, now: Timestamp) {
        self.opinions.clear();
        self.set_at = Some(now);
        self.unset_by = None;
    }

    /// Remembers what a delivery says of its sender's clock. A node without a
    /// clock has no opinion; neither has one whose clock shows a time before
    /// the program was built, as those of a whole site do after a power cut.
    /// Without `Date`, a line can have waited for long, so being behind us is
    /// no opinion against us; being ahead is.
    pub(super) fn hear(&mut self, delivery: &Delivery, parsed: &Parsed, now: Timestamp) {
        let arrival = delivery.arrival;
        if self.set_at.is_some_and(|set| arrival < set) || arrival > now.plus(SLEW) {
            return;
        }
        let opinions = parsed.logs.iter().filter_map(|(node, lines)| {
            // The last line, since a clock can have fallen back.
            let newest = lines.last().map(|line| line.reported);
            let shown = match delivery.sender_clock {
                Some(clock) => Some(clock).filter(|clock| *clock >= self.built),
                None => newest.filter(|time| *time >= EARLIEST_POSSIBLE),
            };
            let ahead = shown?.since(arrival);
            let agrees = ahead.unsigned_abs() <= AGREEMENT;
            let ahead = if delivery.sender_clock.is_some() { ahead } else { ahead.max(0) };
            Some(Opinion { heard: arrival, node: node.clone(), ahead, agrees })
        });
        if delivery.kind == SourceKind::Http {
            // However many nodes it names, that is one clock.
            let nearest = opinions.min_by_key(|of| of.ahead.unsigned_abs());
            if let Some(opinion) = nearest {
                self.remember(Sender::Address(delivery.source.clone()), opinion);
            }
        } else {
            for opinion in opinions.collect::<Vec<_>>() {
                self.remember(Sender::Node(opinion.node.clone()), opinion);
            }
        }
    }

    fn remember(&mut self, sender: Sender, opinion: Opinion) {
        if self.opinions.len() < OPINIONS || self.opinions.contains_key(&sender) {
            self.opinions.insert(sender, opinion);
        }
    }

    /// By how much the present seems to be ahead of our clock, which shows `now`
    /// and is doubted. Rather too early than too late: a time in the
    /// future would make a node look alive for as long.
    pub(super) fn seems_ahead(&mut self, doubt: Doubt, now: Timestamp) -> Ahead {
        let (seconds, is_agreed) = match doubt {
            Doubt::BeforeBuild { built } => {
                let by = self.unset_by.get_or_insert_with(|| {
                    let marks = self.marks.unwrap_or_default();
                    let passed = marks.confirmed.or(marks.newest_arrival);
                    passed.map_or(built, |passed| passed.max(built)).since(now)
                });
                (*by, false)
            }
            // Perhaps it was the earlier clock that was wrong.
            Doubt::BeforeNewestArrival { .. } => (0, false),
            Doubt::NodesDisagree { ahead, .. } => (ahead, true),
        };
        Ahead { seconds, is_agreed }
    }

    /// Whether the clock that shows `now` is to be doubted.
    fn doubt(&mut self, now: Timestamp) -> Option<Doubt> {
        self.opinions.retain(|_, opinion| now.distance(opinion.heard) <= HEARD_WITHIN);
        if now < self.built {
            return Some(Doubt::BeforeBuild { built: self.built });
        }
        self.unset_by = None;
        let newest = self.marks.and_then(|marks| marks.newest_arrival);
        if let Some(newest) = newest.filter(|newest| now.plus(SLEW) < *newest) {
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
        // A node that is polled and publishes as well has one clock.
        let polled: BTreeSet<&NodeId> = (self.opinions.iter())
            .filter(|(sender, _)| matches!(sender, Sender::Address(_)))
            .map(|(_, opinion)| &opinion.node)
            .collect();
        let is_told_already =
            |sender: &Sender| matches!(sender, Sender::Node(node) if polled.contains(node));
        let opinions = self.opinions.iter().filter(|(sender, _)| !is_told_already(sender));
        let mut ahead: Vec<i64> = opinions.map(|(_, opinion)| opinion.ahead).collect();
        ahead.sort_unstable();
        let of = |first: usize| {
            ahead[first..].partition_point(|other| other.abs_diff(ahead[first]) <= AGREEMENT)
        };
        let (first, nodes) =
            (0..ahead.len()).map(|first| (first, of(first))).max_by_key(|(_, nodes)| *nodes)?;
        let middle = ahead[first + nodes / 2];
        let against_us = middle.unsigned_abs() > AGREEMENT;
        // A clock that is decades off is no clock.
        let plausible = middle.unsigned_abs() < 100 * 366 * DAY.unsigned_abs();
        (against_us && plausible && nodes >= 2 && nodes * 2 > ahead.len())
            .then_some(Doubt::NodesDisagree { nodes, ahead: middle })
    }
}
