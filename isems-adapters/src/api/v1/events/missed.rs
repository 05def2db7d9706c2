//! What a client that comes back has missed, some of it at a time.

use isems_core::{RowId, StoredMeasurement, Timestamp};

use super::{changes::Told, lowest::Lowest};

/// So many nodes are told of at once: what waits for a client that does not
/// read is bounded.
const PIECE: usize = 200;

/// How far a client has caught up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    /// The highest id that it has seen.
    high: RowId,
    /// When that reached the collector, as far as is known: it was told of
    /// states until then at least.
    then: Option<Timestamp>,
    /// What it was told since it came back.
    since: Option<Since>,
}

/// The nodes up to this id were told of as they were at this time.
#[derive(Clone, Copy, Debug)]
struct Since {
    upto: RowId,
    looked: Timestamp,
}

impl Missed {
    /// So many more than can be told of at once tell whether there are more.
    pub(super) const KEPT: usize = 2 * PIECE + 1;

    /// What was missed by a client that has seen everything up to `last`: all of
    /// it if that id was never given, and so is one of another database.
    pub(super) fn since(last: RowId, seen: &SeenLast) -> Self {
        let is_ours = last <= seen.highest;
        let received = seen.last.and_then(|(_, received)| received);
        Self {
            high: if is_ours { last } else { 0 },
            then: received.filter(|_| is_ours),
            since: None,
        }
    }

    /// Whether a client is to be told of a node: it has a newer measurement than
    /// was seen, or its state is another by time alone.
    pub(super) fn lacks(&self, row: &StoredMeasurement, told: &Told<'_>) -> bool {
        match self.since {
            Some(since) if row.id <= since.upto => told.is_altered(row, since.looked),
            _ if row.id > self.high => true,
            _ => told.is_altered(row, self.then.unwrap_or(row.measurement.observed)),
        }
    }

    /// Writes the next piece of what is lacking, of which the lowest
    /// [`KEPT`](Self::KEPT) are given. `false`: there is more.
    pub(super) fn write_some(
        &mut self,
        lacking: Lowest,
        told: &Told<'_>,
        text: &mut Vec<u8>,
    ) -> serde_json::Result<bool> {
        // What is told anew does not count, or it could be put off for ever;
        // up to as many again, so that a piece is bounded.
        let again = self.since.map_or(0, |since| lacking.count_upto(since.upto));
        let (missed, is_all) = lacking.first(again.min(PIECE) + PIECE);
        let last = missed.last().map(|row| row.id);
        let told_before = self.since.map(|since| since.upto);
        // What is left of those that were told before counts as not told.
        let upto = if is_all { last.max(told_before) } else { last };
        if let Some(upto) = upto {
            self.since = Some(Since { upto, looked: told.now });
        }
        told.write(&missed, &mut self.high, text)?;
        Ok(is_all)
    }
}

/// What is known of the last event that a client saw.
#[derive(Debug, Default)]
pub(super) struct SeenLast {
    highest: RowId,
    /// The newest of what it has seen, and when that reached the collector.
    last: Option<(RowId, Option<Timestamp>)>,
}

impl SeenLast {
    /// Looks for it among all nodes, one by one.
    pub(super) fn see(&mut self, last: RowId, row: &StoredMeasurement) {
        self.highest = self.highest.max(row.id);
        if row.id <= last && self.last.is_none_or(|(id, _)| id < row.id) {
            self.last = Some((row.id, row.measurement.received));
        }
    }
}
