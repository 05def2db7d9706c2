//! What a client that comes back has missed, some of it at a time.

use isems_core::{RowId, StoredMeasurement, Timestamp};

use super::changes::{Told, highest};

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
    /// What was missed by a client that has seen everything up to `last`.
    pub(super) fn since(last: RowId, newest: &[StoredMeasurement]) -> Self {
        // An id that was never given is one of another database.
        let high = if last > highest(newest) { 0 } else { last };
        let seen = newest.iter().filter(|row| row.id <= high).max_by_key(|row| row.id);
        Self { high, then: seen.and_then(|row| row.measurement.received), since: None }
    }

    /// Writes the next piece: nodes with newer measurements than were seen, and
    /// those whose state is another by time alone. `false`: there is more.
    pub(super) fn write_some(
        &mut self,
        newest: &[StoredMeasurement],
        told: &Told<'_>,
        text: &mut Vec<u8>,
    ) -> serde_json::Result<bool> {
        let mut missed: Vec<_> = newest.iter().filter(|row| self.lacks(row, told)).collect();
        missed.sort_unstable_by_key(|row| row.id);
        // What is told anew does not count: it must not be put off for ever.
        let again = |row: &&StoredMeasurement| self.since.is_some_and(|s| row.id <= s.upto);
        let most = missed.partition_point(again) + PIECE;
        let is_all = missed.len() <= most;
        missed.truncate(most);
        let upto = missed.last().map(|row| row.id).into_iter().chain(self.since.map(|s| s.upto));
        if let Some(upto) = upto.max() {
            self.since = Some(Since { upto, looked: told.now });
        }
        told.write(&missed, &mut self.high, text)?;
        Ok(is_all)
    }

    fn lacks(&self, row: &StoredMeasurement, told: &Told<'_>) -> bool {
        match self.since {
            Some(since) if row.id <= since.upto => told.is_altered(row, since.looked),
            _ if row.id > self.high => true,
            _ => told.is_altered(row, self.then.unwrap_or(row.measurement.observed)),
        }
    }
}
