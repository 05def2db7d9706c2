//! Which reported times to believe, and what to do with the others.
//!
//! Nodes have no battery-backed clock and often no NTP. We keep what was
//! reported, when it arrived, and what we believe (`observed`). The rule is
//! pure: it sees the lines of one node from one delivery, cut into stretches at
//! clock steps, and says for each new line of a stretch under which offset it
//! is to be stored. Which lines are known is looked up by the
//! [`Collector`](crate::Collector).

use std::ops::Range;

use crate::{Basis, ClockRun, Timestamp, time::DAY};

/// Before this no ISEMS node existed: 2016-01-01T00:00:00Z.
pub const EARLIEST_POSSIBLE: Timestamp = Timestamp::from_unix(1_451_606_400);

/// So far ahead of our own clock a node's may be, in seconds.
pub const TOLERATED_LEAD: i64 = 600;

/// A step back by more than this, in seconds, ends a stretch.
const STEP_BACK: i64 = 60;

/// The firmware's usual interval between two lines, in seconds.
const USUAL_INTERVAL: i64 = 61;

/// By so much `Date` may differ from a run's offset, in seconds.
const OFFSET_TOLERANCE: u64 = 60;

/// The same for lines that are believed as reported, in seconds; also the least
/// difference between `Date` and our clock that is corrected.
const CLOCK_TOLERANCE: u64 = 300;

/// What a delivery tells of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// When it arrived, by our own clock.
    pub(crate) arrival: Timestamp,
    /// The node's clock at that moment.
    pub(crate) sender_clock: Option<Timestamp>,
    /// Kept by a broker from some unknown time: never counted from arrival.
    pub(crate) retained: bool,
    /// Our own clock is doubted; then this is the best guess of the present.
    /// Nothing is corrected or refused by a doubted clock.
    pub(crate) doubted: Option<Guess>,
}

/// A guess of the present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess {
    pub(crate) present: Timestamp,
    /// Most nodes agree on it.
    pub(crate) is_agreed: bool,
}

impl Circumstances {
    /// Whether a node may have measured at `reported`. Old times are believed:
    /// logs can be stale, and messages can have waited in a broker.
    pub(crate) fn is_possible(&self, reported: Timestamp) -> bool {
        reported >= EARLIEST_POSSIBLE
            && (self.doubted.is_some() || reported <= self.arrival.plus(TOLERATED_LEAD))
    }

    /// By how much our clock is ahead of the node's.
    fn sender_offset(&self) -> Option<i64> {
        self.sender_clock.filter(|_| self.doubted.is_none()).map(|clock| self.arrival.since(clock))
    }
}

/// Cuts the reported times of one node into stretches at clock steps: forward
/// by more than a day, or back by more than 60 s.
pub(crate) fn stretches(reported: &[Timestamp]) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut begin = 0;
    for (index, pair) in reported.windows(2).enumerate() {
        let step = pair[1].since(pair[0]);
        if !(-STEP_BACK..=DAY).contains(&step) {
            cuts.push(begin..index + 1);
            begin = index + 1;
        }
    }
    if begin < reported.len() {
        cuts.push(begin..reported.len());
    }
    cuts
}

/// What follows a stretch in the same delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    /// The observed time of its first line.
    pub(crate) first_observed: Timestamp,
    /// Why that is believed.
    pub(crate) basis: Basis,
    /// Its median interval, in seconds.
    pub(crate) interval: Option<i64>,
}

impl Next {
    /// Whether a stretch whose last line was observed at `last` can lie before
    /// this: a log has no gaps of days. Tells the first line after a boot from
    /// that of another boot, which often looks the same.
    pub(crate) fn may_follow(&self, last: Timestamp) -> bool {
        self.first_observed.distance(last) <= DAY.unsigned_abs()
    }
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is stored already, under the run with this index.
    Known(usize),
    /// It continues the run with this index.
    Continues(usize),
    /// It begins a run, together with the other lines of this fate in its
    /// stretch.
    Begins { offset: i64, basis: Basis },
    /// Nothing can be said of its time.
    Refused,
}

/// Whether other lines are stored already where the rule would put new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    Taken,
}

/// Whether the fates of a stretch rest on nothing but the look of its times:
/// its first line is where the newest run ended, or its times are possible. If
/// the place is [taken](Place::Taken) by other lines, it is another boot that
/// looks the same, and is to be decided anew.
pub(crate) fn is_guess(
    reported: &[Timestamp],
    fates: &[Fate],
    runs: &[ClockRun],
    next: Option<Next>,
) -> bool {
    match (next, fates.first()) {
        (None, Some(Fate::Continues(run))) => {
            fates.iter().all(|fate| *fate == Fate::Continues(*run))
                && reported.iter().any(|time| *time <= runs[*run].last_reported)
        }
        (Some(_), _) => fates.contains(&Fate::Begins { offset: 0, basis: Basis::Node }),
        _ => false,
    }
}

/// Decides the fate of each line of a stretch. `known` holds, for each line,
/// the run under which it is stored already; `next` is `None` for the last
/// stretch of a delivery. `runs` are the node's, the newest last.
pub(crate) fn decide(
    reported: &[Timestamp],
    known: &[Option<usize>],
    runs: &[ClockRun],
    next: Option<Next>,
    place: Place,
    circumstances: &Circumstances,
) -> Vec<Fate> {
    if circumstances.retained {
        return retained(reported, known, circumstances);
    }
    let trailing = known.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let trailing_run = match trailing {
        0 if place == Place::Taken => None,
        0 => continued(reported, runs, next),
        _ => known[trailing - 1],
    };
    let trailing_fate = trailing_run
        .filter(|run| fits(&runs[*run], reported, next, circumstances))
        .map_or_else(|| begin(reported, runs, next, place, circumstances), Fate::Continues);
    // A new line takes the run of the known line before it, else after it.
    let mut run = known.iter().find_map(|run| *run);
    let mut fates = Vec::with_capacity(reported.len());
    for (index, known) in known.iter().enumerate() {
        run = known.or(run);
        fates.push(match (known, run) {
            (Some(run), _) => Fate::Known(*run),
            (None, Some(run)) if index < trailing => Fate::Continues(run),
            (None, _) => trailing_fate,
        });
    }
    fates
}

/// The median of the intervals between lines, in seconds.
pub(crate) fn median_interval(reported: &[Timestamp]) -> Option<i64> {
    let mut intervals: Vec<i64> = reported.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    intervals.sort_unstable();
    intervals.get(intervals.len() / 2).copied().filter(|interval| *interval > 0)
}

fn retained(
    reported: &[Timestamp],
    known: &[Option<usize>],
    circumstances: &Circumstances,
) -> Vec<Fate> {
    let fate = |(reported, known): (&Timestamp, &Option<usize>)| match known {
        Some(run) => Fate::Known(*run),
        None if circumstances.is_possible(*reported) => {
            Fate::Begins { offset: 0, basis: Basis::Node }
        }
        None => Fate::Refused,
    };
    reported.iter().zip(known).map(fate).collect()
}

/// A last stretch without known lines continues the node's newest run if it
/// begins where that ended, or at most a day later.
fn continued(reported: &[Timestamp], runs: &[ClockRun], next: Option<Next>) -> Option<usize> {
    let newest = runs.len().checked_sub(1).filter(|_| next.is_none())?;
    let gap = reported.first()?.since(runs[newest].last_reported);
    (-STEP_BACK..=DAY).contains(&gap).then_some(newest)
}

/// Whether new lines at the end of a stretch may continue a run: they must not
/// lie in the future, and in the last stretch the node's clock must still have
/// the run's offset. While our clock is doubted, the future is what most nodes
/// take for it; what was guessed then must have been a good guess.
fn fits(
    run: &ClockRun,
    reported: &[Timestamp],
    next: Option<Next>,
    circumstances: &Circumstances,
) -> bool {
    let newest = newest(reported).plus(run.offset);
    if let Some(guess) = circumstances.doubted {
        return !guess.is_agreed || newest <= guess.present.plus(TOLERATED_LEAD);
    }
    if run.guessed && circumstances.arrival.distance(newest) > CLOCK_TOLERANCE {
        return false;
    }
    let tolerance = if run.offset == 0 { CLOCK_TOLERANCE } else { OFFSET_TOLERANCE };
    let agrees = circumstances.sender_offset().filter(|_| next.is_none()).is_none_or(|offset| {
        offset.abs_diff(run.offset) <= tolerance || was_set_since(reported, offset, circumstances)
    });
    newest <= circumstances.arrival.plus(TOLERATED_LEAD) && agrees
}

/// Whether the node's clock was set after these lines, so that they lie more
/// than a day behind it: a log has no gaps of days, and such lines follow those
/// of the run.
fn was_set_since(reported: &[Timestamp], offset: i64, circumstances: &Circumstances) -> bool {
    newest(reported).plus(offset).plus(DAY) < circumstances.arrival
}

/// Whether these lines were written before the node's clock was set: they lie
/// more than a day behind it and behind what the node was believed to report, as
/// the first line after a boot does that is read before the second.
fn was_unset(reported: &[Timestamp], runs: &[ClockRun], circumstances: &Circumstances) -> bool {
    let newest = newest(reported);
    let later = |run: &ClockRun| {
        run.offset == 0 && run.basis == Basis::Node && newest.plus(DAY) < run.last_reported
    };
    let is_behind = newest.plus(DAY) < circumstances.arrival;
    circumstances.sender_offset().is_some() && is_behind && runs.iter().any(later)
}

fn begin(
    reported: &[Timestamp],
    runs: &[ClockRun],
    next: Option<Next>,
    place: Place,
    circumstances: &Circumstances,
) -> Fate {
    let newest = newest(reported);
    let (offset, basis) = match next {
        None => match circumstances
            .sender_offset()
            .filter(|offset| offset.unsigned_abs() > CLOCK_TOLERANCE)
            // A line ahead of its own node's clock was written before that fell
            // back: no offset of it holds for the line.
            .filter(|offset| newest.plus(*offset) <= circumstances.arrival.plus(TOLERATED_LEAD))
            // One from before its node's clock was set at all has none either.
            .filter(|offset| newest.plus(*offset) >= EARLIEST_POSSIBLE)
        {
            Some(offset) => (offset, Basis::Corrected),
            None if circumstances.is_possible(newest)
                && !was_unset(reported, runs, circumstances) =>
            {
                (0, Basis::Node)
            }
            None => {
                let now =
                    circumstances.doubted.map_or(circumstances.arrival, |guess| guess.present);
                (of_its_own(now.since(newest), runs), Basis::Estimated)
            }
        },
        Some(next) => {
            let possible = reported.iter().all(|time| circumstances.is_possible(*time));
            if possible && next.basis != Basis::Node && place == Place::Free {
                (0, Basis::Node)
            } else {
                let interval =
                    median_interval(reported).or(next.interval).unwrap_or(USUAL_INTERVAL);
                let last = reported.last().copied().unwrap_or_default();
                (next.first_observed.since(last).saturating_sub(interval), Basis::Corrected)
            }
        }
    };
    Fate::Begins { offset, basis }
}

/// This offset, or the next smaller one that no run has. What is counted from
/// arrival is known to some seconds at best; but two boots that are counted from
/// the same arrival, as of a backlog, would take each other's places.
fn of_its_own(offset: i64, runs: &[ClockRun]) -> i64 {
    let is_taken = |offset: i64| runs.iter().any(|run| run.offset == offset);
    let step = |offset: i64| if is_taken(offset) { offset.saturating_sub(1) } else { offset };
    runs.iter().fold(offset, |offset, _| step(offset))
}

/// Within a stretch times may step back a little.
fn newest(reported: &[Timestamp]) -> Timestamp {
    reported.iter().copied().max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
