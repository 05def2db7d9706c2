//! What is odd about deliveries, told as long as it is news.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use isems_core::{DeliveryReport, Note, SourceId, wire::RejectReason};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Whether our own clock is doubted, which is one matter for all intakes. Clones
/// are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnClock(Arc<AtomicBool>);

impl OwnClock {
    /// From now on it is or not; whether it was.
    fn is_doubted(&self, now: bool) -> bool {
        self.0.swap(now, Ordering::Relaxed)
    }
}

/// Writes a line for each line of a node that could not be used, as long as
/// they are few, and one for each odd thing that is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oddities {
    said: BTreeSet<String>,
    own_clock: OwnClock,
    /// Since when things of a kind are told of a source, and how many were.
    told: BTreeMap<(SourceId, Kind), (Instant, usize)>,
}

const MINUTE: Duration = Duration::from_mins(1);

/// What whoever may publish can bring about without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RejectedLine,
    WrongClock,
}

impl Oddities {
    /// Tells of our own clock only what was not told by others that share it.
    pub(super) fn sharing(own_clock: OwnClock) -> Self {
        Self { own_clock, ..Self::default() }
    }

    /// So many are remembered; nodes can be invented by whoever may publish.
    const REMEMBERED: usize = 1_000;

    /// So much of a kind is told of one source within a minute: whoever may
    /// publish must not fill the journal.
    const A_MINUTE: usize = 20;

    /// Says what is odd about a delivery.
    pub(crate) fn tell(&mut self, report: &DeliveryReport) {
        self.tell_rejected(report);
        self.tell_notes(report);
    }

    fn tell_rejected(&mut self, report: &DeliveryReport) {
        let source = &report.source;
        for rejected in &report.rejected {
            let (line, reason, excerpt) = (rejected.line, &rejected.reason, &rejected.excerpt);
            match reason {
                RejectReason::BootPlaceholder => {
                    debug!(%source, line, "{source}: line {line} dropped: {reason}");
                }
                // A note says it once for all of them.
                RejectReason::TooManyNewNodes => {
                    debug!(%source, "{source}: rejected: {reason}: {excerpt}");
                }
                _ if self.is_too_much(source, Kind::RejectedLine, Instant::now()) => {
                    debug!(%source, line, %reason, "{source}: line {line} rejected: {reason}");
                }
                _ => {
                    warn!(%source, line, %reason, "{source}: line {line} rejected: {reason}: {excerpt}");
                }
            }
        }
    }

    /// Says what is odd about a delivery, but for its lines.
    pub(super) fn tell_notes(&mut self, report: &DeliveryReport) {
        let source = &report.source;
        for note in &report.notes {
            match note {
                _ if !self.is_news(note) => {}
                // Every start of a node brings one: its clock is not set yet.
                Note::NodeClockWrong { .. }
                    if self.is_too_much(source, Kind::WrongClock, Instant::now()) =>
                {
                    debug!(%source, "{source}: {note}");
                }
                Note::NodeClockWrong { .. } => info!(%source, "{source}: {note}"),
                _ => warn!(%source, "{source}: {note}"),
            }
        }
        if !report.notes.iter().any(is_clock_doubt) && self.own_clock.is_doubted(false) {
            info!("the clock of this machine is not doubted any more");
        }
    }

    /// Whether enough of this kind was told of this source within the minute;
    /// says so when that begins.
    fn is_too_much(&mut self, source: &SourceId, kind: Kind, now: Instant) -> bool {
        let minute = self.told.entry((source.clone(), kind)).or_insert((now, 0));
        if now - minute.0 >= MINUTE {
            *minute = (now, 0);
        }
        minute.1 += 1;
        if minute.1 == Self::A_MINUTE + 1 {
            let what = match kind {
                Kind::RejectedLine => "rejected lines",
                Kind::WrongClock => "wrong clocks",
            };
            warn!(%source, "{source}: further {what} are counted, not told, for a minute");
        }
        minute.1 > Self::A_MINUTE
    }

    /// Whether it was not said before: a wrong clock stays wrong for months.
    fn is_news(&mut self, note: &Note) -> bool {
        if is_clock_doubt(note) {
            // The figures in it change all the time.
            return !self.own_clock.is_doubted(true);
        }
        if self.said.len() >= Self::REMEMBERED {
            self.said.clear();
        }
        self.said.insert(note.to_string())
    }
}

const fn is_clock_doubt(note: &Note) -> bool {
    matches!(note, Note::OwnClockDoubted(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_of_a_kind_is_told_of_each_source_within_a_minute() {
        let mut oddities = Oddities::default();
        let (one, other) = (SourceId::new("one"), SourceId::new("other"));
        let begin = Instant::now();
        let mut is_too_much = |source, kind, seconds| {
            oddities.is_too_much(source, kind, begin + Duration::from_secs(seconds))
        };
        for _ in 0..Oddities::A_MINUTE {
            assert!(!is_too_much(&one, Kind::RejectedLine, 0));
        }
        assert!(is_too_much(&one, Kind::RejectedLine, 59));
        assert!(!is_too_much(&one, Kind::WrongClock, 59));
        assert!(!is_too_much(&other, Kind::RejectedLine, 59));
        assert!(!is_too_much(&one, Kind::RejectedLine, 60));
    }
}
