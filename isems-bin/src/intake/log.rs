//! What the log says of the intake.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use isems_core::{DeliveryReport, Note, SourceError, SourceId, Tally, wire::RejectReason};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    Observer,
    by_node::{self, ByNode},
};
use crate::output::counted;

/// Writes a line for each log that brought something or could not be read, and
/// one for each round of polling.
#[derive(Debug)]
pub(crate) struct RoundLog {
    per_round: usize,
    round: Sum,
    oddities: Oddities,
}

/// What came together, for one line.
#[derive(Debug, Default)]
struct Sum {
    heard: usize,
    failed: usize,
    tally: Tally,
}

impl RoundLog {
    /// For rounds of so many nodes, each of which answers or fails once.
    pub(crate) fn new(per_round: usize) -> Self {
        Self { per_round, round: Sum::default(), oddities: Oddities::default() }
    }

    fn end_of_round(&mut self) {
        if self.round.heard < self.per_round {
            return;
        }
        let Sum { heard, failed, tally } = mem::take(&mut self.round);
        info!(
            nodes = heard,
            failed,
            stored = tally.stored,
            duplicate = tally.duplicate,
            conflict = tally.conflict,
            expired = tally.expired,
            retimed = tally.retimed,
            rejected = tally.rejected_in_all(),
            "polling round: {} of {} read, {}",
            heard - failed,
            counted(heard as u64, "node"),
            in_words(&tally),
        );
    }
}

impl Observer for RoundLog {
    fn stored(&mut self, report: &DeliveryReport) {
        let DeliveryReport { source, tally, .. } = report;
        self.oddities.tell(report);
        if *tally == Tally::default() {
            debug!(%source, "{source}: nothing new");
        } else {
            tell_counts(report);
        }
        self.round.heard += 1;
        self.round.failed += usize::from(report.failure.is_some());
        self.round.tally.add(tally);
        self.end_of_round();
    }

    fn failed(&mut self, error: &SourceError) {
        let source = error.source_id();
        warn!(%source, "{source}: {}", error.describe());
        self.round.heard += 1;
        self.round.failed += 1;
        self.end_of_round();
    }
}

/// Writes a line a minute for a source that delivers all the time.
#[derive(Debug, Default)]
pub(crate) struct MinuteLog {
    source: Option<SourceId>,
    /// When the last line was written.
    since: Option<Instant>,
    minute: Sum,
    odd: ByNode,
    oddities: Oddities,
}

impl MinuteLog {
    const MINUTE: Duration = Duration::from_mins(1);

    /// Tells of what came since the last line, if anything did.
    fn tell(&mut self) {
        let Some(source) = self.source.as_ref().filter(|_| self.minute.heard > 0) else {
            return;
        };
        self.since = Some(Instant::now());
        let Sum { heard, tally, .. } = mem::take(&mut self.minute);
        info!(
            %source,
            messages = heard,
            stored = tally.stored,
            duplicate = tally.duplicate,
            conflict = tally.conflict,
            expired = tally.expired,
            retimed = tally.retimed,
            rejected = tally.rejected_in_all(),
            "{source}: {}: {}{}",
            counted(heard as u64, "message"),
            in_words(&tally),
            mem::take(&mut self.odd).in_words(),
        );
    }
}

impl Observer for MinuteLog {
    fn stored(&mut self, report: &DeliveryReport) {
        self.oddities.tell(report);
        self.minute.heard += 1;
        self.minute.tally.add(&report.tally);
        self.odd.add(&report.by_node);
        self.source.get_or_insert_with(|| report.source.clone());
        // The first message is told at once: somebody may be waiting for it.
        if self.due().is_none_or(|due| due <= Instant::now()) {
            self.tell();
        }
    }

    fn failed(&mut self, error: &SourceError) {
        // The adapter tells of its connection, more and better.
        let source = error.source_id();
        debug!(%source, "{source}: {}", error.describe());
    }

    fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| self.minute.heard > 0)?;
        Some(since + Self::MINUTE)
    }

    fn flush(&mut self) {
        self.tell();
    }
}

fn tell_counts(report: &DeliveryReport) {
    let DeliveryReport { source, tally, .. } = report;
    info!(
        %source,
        stored = tally.stored,
        duplicate = tally.duplicate,
        conflict = tally.conflict,
        expired = tally.expired,
        retimed = tally.retimed,
        rejected = tally.rejected_in_all(),
        "{source}: {}{}",
        in_words(tally),
        by_node::several(&report.by_node),
    );
}

/// Writes a line for each line of a node that could not be used, as long as
/// they are few, and one for each odd thing that is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oddities {
    said: BTreeSet<String>,
    clock_doubted: bool,
    /// Since when things of a kind are told of a source, and how many were.
    told: BTreeMap<(SourceId, Kind), (Instant, usize)>,
}

/// What whoever may publish can bring about without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RejectedLine,
    WrongClock,
}

impl Oddities {
    /// So many are remembered; nodes can be invented by whoever may publish.
    const REMEMBERED: usize = 1_000;

    /// So much of a kind is told of one source within a minute: whoever may
    /// publish must not fill the journal.
    const A_MINUTE: usize = 20;

    /// Says what is odd about a delivery.
    pub(crate) fn tell(&mut self, report: &DeliveryReport) {
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
        if !report.notes.iter().any(is_clock_doubt) {
            self.clock_doubted = false;
        }
    }

    /// Whether enough of this kind was told of this source within the minute;
    /// says so when that begins.
    fn is_too_much(&mut self, source: &SourceId, kind: Kind, now: Instant) -> bool {
        let minute = self.told.entry((source.clone(), kind)).or_insert((now, 0));
        if now - minute.0 >= MinuteLog::MINUTE {
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
            return !mem::replace(&mut self.clock_doubted, true);
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

/// The counts that are not zero, in words.
pub(crate) fn in_words(tally: &Tally) -> String {
    let mut parts = vec![format!("{} stored", tally.stored)];
    for (count, word) in [
        (tally.retimed, "of them re-timed"),
        (tally.duplicate, "known"),
        (tally.conflict, "in conflict with known ones"),
        (tally.expired, "older than what was pruned"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    for (reason, count) in &tally.rejected {
        parts.push(format!("{count} rejected ({reason})"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use isems_core::SourceKind;

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

    #[tokio::test(start_paused = true)]
    async fn what_came_after_a_line_is_due_a_minute_after_it() {
        let mut log = MinuteLog::default();
        let report = DeliveryReport {
            source: SourceId::new("mqtt://broker"),
            kind: SourceKind::Mqtt,
            tally: Tally::default(),
            by_node: BTreeMap::new(),
            nodes: Vec::new(),
            rejected: Vec::new(),
            failure: None,
            notes: Vec::new(),
        };
        let begin = Instant::now();
        log.stored(&report);
        assert_eq!(log.due(), None, "the first is told at once");
        tokio::time::advance(Duration::from_secs(20)).await;
        log.stored(&report);
        assert_eq!(log.due(), Some(begin + MinuteLog::MINUTE));
        log.flush();
        assert_eq!(log.due(), None);
    }

    #[test]
    fn a_tally_reads_alone_and_leaves_out_what_is_zero() {
        assert_eq!(in_words(&Tally::default()), "0 stored");
        let tally = Tally {
            stored: 12,
            duplicate: 3,
            conflict: 1,
            expired: 2,
            retimed: 5,
            rejected: [("field count".to_owned(), 4)].into(),
        };
        assert_eq!(
            in_words(&tally),
            "12 stored, 5 of them re-timed, 3 known, 1 in conflict with known ones, \
             2 older than what was pruned, 4 rejected (field count)"
        );
    }
}
