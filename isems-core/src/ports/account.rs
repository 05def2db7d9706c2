//! What is counted of sources and of the rows that come from them.

use std::collections::BTreeMap;

use super::{ReadPosition, SourceId, SourceKind};
use crate::{NodeId, Timestamp};

/// What became of the rows of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartReport {
    /// New rows.
    pub stored: u64,
    /// Rows that were there with the same values (all fields of
    /// [`Sample`](crate::Sample)).
    pub duplicate: u64,
    /// Rows whose identity was there with other values, which stay.
    pub conflict: u64,
    /// Rows at or before the node's [`pruned_until`](crate::NodeState::pruned_until).
    pub expired: u64,
    /// Of the new rows, those whose basis is not [`Basis::Node`](crate::Basis::Node).
    pub retimed: u64,
}

impl From<PartReport> for Tally {
    fn from(rows: PartReport) -> Self {
        Self {
            stored: rows.stored,
            duplicate: rows.duplicate,
            conflict: rows.conflict,
            expired: rows.expired,
            retimed: rows.retimed,
            rejected: BTreeMap::new(),
        }
    }
}

/// Counts of what became of the lines of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// New measurements in the repository.
    pub stored: u64,
    /// Known measurements that came again with the same values.
    pub duplicate: u64,
    /// Known identities that came again with other values: the first stays.
    pub conflict: u64,
    /// Older than what was pruned: not stored.
    pub expired: u64,
    /// Of the stored ones, those whose observed time is not the reported one.
    pub retimed: u64,
    /// Lines and answers that could not be used, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.conflict += other.conflict;
        self.expired += other.expired;
        self.retimed += other.retimed;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
    }

    /// Lines and answers that could not be used, in all.
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// What became known of a source, stored with the rows that came from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUpdate {
    /// The source.
    pub source: SourceId,
    /// Its kind.
    pub kind: SourceKind,
    /// When: the arrival of the delivery, or the moment of the failure.
    pub at: Timestamp,
    /// `None`: it delivered. Else what went wrong, for people.
    pub error: Option<String>,
    /// Replaces the remembered position if set.
    pub position: Option<ReadPosition>,
    /// What was counted before the repository saw the rows. The repository
    /// adds what it counts itself.
    pub tally: Tally,
    /// Bytes over the network.
    pub bytes: u64,
    /// Seconds by which our clock is ahead of the node's, if it told.
    pub clock_offset: Option<i64>,
    /// The node that the counts and the rows belong to, if it is one: then they
    /// are also added to its account beneath this source, provided that the
    /// repository knows the node by then.
    pub node: Option<NodeId>,
}

impl SourceUpdate {
    /// When an answer came, if one did.
    #[must_use]
    pub fn arrival(&self) -> Option<Timestamp> {
        self.error.is_none().then_some(self.at)
    }
}

/// What is known of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSummary {
    /// The source.
    pub source: SourceId,
    /// Its kind.
    pub kind: SourceKind,
    /// The last delivery.
    pub last_success: Option<Timestamp>,
    /// The last failure and what it was.
    pub last_error: Option<(Timestamp, String)>,
    /// Counts since the source is known.
    pub tally: Tally,
    /// Seconds by which our clock was ahead of the node's when it last told.
    pub clock_offset: Option<i64>,
    /// Bytes over the network on the UTC day of the last contact.
    pub bytes_on_day: u64,
    /// That day, as its first moment.
    pub day: Timestamp,
    /// Counts of each node that told something through this source, as far as
    /// it is known which did; of very many, the first [`NODES`](Self::NODES) by
    /// their names.
    pub nodes: BTreeMap<NodeId, Tally>,
}

impl SourceSummary {
    /// The most nodes of one source that a summary names.
    pub const NODES: usize = 1_000;

    /// A source of which nothing is known yet.
    #[must_use]
    pub fn new(source: SourceId, kind: SourceKind) -> Self {
        Self {
            source,
            kind,
            last_success: None,
            last_error: None,
            tally: Tally::default(),
            clock_offset: None,
            bytes_on_day: 0,
            day: Timestamp::default(),
            nodes: BTreeMap::new(),
        }
    }

    /// The one rule of accounting, for every repository: adds what an update
    /// says and what became of its rows. Accounts of nodes are kept beside it.
    pub fn note(&mut self, update: &SourceUpdate, rows: &PartReport) {
        self.kind = update.kind;
        match &update.error {
            None => self.last_success = self.last_success.max(Some(update.at)),
            Some(what) => self.last_error = Some((update.at, what.clone())),
        }
        self.tally.add(&update.tally);
        self.tally.add(&(*rows).into());
        self.clock_offset = update.clock_offset.or(self.clock_offset);
        let day = update.at.start_of_day();
        if day > self.day {
            self.day = day;
            self.bytes_on_day = 0;
        }
        if day == self.day {
            self.bytes_on_day += update.bytes;
        }
    }

    /// Bytes over the network on the UTC day that `now` lies in.
    #[must_use]
    pub fn bytes_today(&self, now: Timestamp) -> u64 {
        if now.start_of_day() == self.day { self.bytes_on_day } else { 0 }
    }
}
