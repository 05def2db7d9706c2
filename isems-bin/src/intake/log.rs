//! What the log says of the intake.

use std::{mem, time::Duration};

use isems_core::{DeliveryReport, SourceError, SourceId, Tally};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    Observer,
    by_node::{self, ByNode},
    failing::Failing,
    oddities::{Oddities, OwnClock},
};
use crate::{config::duration, output::counted};

/// Writes a line for each log that brought something, when one can be read no
/// more and when it can again, and one for each round of polling.
#[derive(Debug)]
pub(crate) struct RoundLog {
    per_round: usize,
    round: Sum,
    failing: Failing,
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
    pub(crate) fn new(per_round: usize, own_clock: OwnClock) -> Self {
        Self {
            per_round,
            round: Sum::default(),
            failing: Failing::default(),
            oddities: Oddities::sharing(own_clock),
        }
    }

    /// Says that a node that had failed is read again.
    fn tell_return(&mut self, source: &SourceId) {
        let now = Instant::now();
        if let Some((failures, since)) = self.failing.is_read(source) {
            let lasted = duration::show(Duration::from_secs((now - since).as_secs()));
            let counted = counted(failures, "failure");
            info!(%source, failures, "{source}: read again, after {counted} within {lasted}");
        }
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
        let is_known = if let Some(why) = &report.failure {
            !self.failing.fails(source, why, Instant::now())
        } else {
            self.tell_return(source);
            false
        };
        if is_known {
            debug!(%source, "{source}: as before, {}", in_words(tally));
            self.oddities.tell_notes(report);
        } else {
            self.oddities.tell(report);
            if *tally == Tally::default() {
                debug!(%source, "{source}: nothing new");
            } else {
                tell_counts(report);
            }
        }
        self.round.heard += 1;
        self.round.failed += usize::from(report.failure.is_some());
        self.round.tally.add(tally);
        self.end_of_round();
    }

    fn failed(&mut self, error: &SourceError) {
        let (source, why) = (error.source_id(), error.describe());
        if self.failing.fails(source, &why, Instant::now()) {
            warn!(%source, "{source}: {why}");
        } else {
            debug!(%source, "{source}: {why}");
        }
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

    /// Tells of our own clock what others that share it did not.
    pub(crate) fn new(own_clock: OwnClock) -> Self {
        Self { oddities: Oddities::sharing(own_clock), ..Self::default() }
    }

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
    use std::collections::BTreeMap;

    use isems_core::SourceKind;

    use super::*;

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
