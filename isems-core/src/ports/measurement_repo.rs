//! The port behind which measurements are kept.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{
    BoxError, PartReport, ReadPosition, SourceId, SourceSummary, SourceUpdate,
    lookup::{self, Identity},
    pages::Pages,
};
use crate::{
    Basis, Bucket, Buckets, HOUR, Measurement, NodeId, Reported, RetentionPolicy,
    StoredMeasurement, Timestamp,
};

/// Why a repository could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// It cannot be reached or is in use by somebody else; try again later.
    #[error("the measurement store is unavailable: {what}")]
    Unavailable {
        /// What happened, for people.
        what: String,
        /// The cause beneath.
        #[source]
        cause: Option<BoxError>,
    },
    /// It is not open yet. Whoever opens it tells people why and goes on trying.
    #[error("the measurement store is not open yet")]
    Opening,
    /// There is no room left.
    #[error("the measurement store is full: {what}")]
    Full {
        /// What happened, for people.
        what: String,
        /// The cause beneath.
        #[source]
        cause: Option<BoxError>,
    },
    /// It can be read but not written.
    #[error("the measurement store is read-only: {what}")]
    ReadOnly {
        /// What happened, for people.
        what: String,
        /// The cause beneath.
        #[source]
        cause: Option<BoxError>,
    },
    /// What it holds is damaged.
    #[error("the measurement store is damaged: {what}")]
    Corrupt {
        /// What happened, for people.
        what: String,
        /// The cause beneath.
        #[source]
        cause: Option<BoxError>,
    },
    /// It holds something that this program must not touch: another program's
    /// data, or a newer version's.
    #[error("{what}")]
    Foreign {
        /// What it is and what to do, for people.
        what: String,
    },
    /// Somebody else changed a node since its [`NodeState`] was read. Nothing
    /// was stored: read the state again and judge anew.
    #[error("node {node} was changed by another writer")]
    Stale {
        /// The node.
        node: NodeId,
    },
}

/// A series of lines of a node under one clock offset: observed = reported +
/// offset. An offset once given never changes (domain rules, "Clocks", 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRun {
    /// Seconds to add to a reported time.
    pub offset: i64,
    /// Why the offset is believed.
    pub basis: Basis,
    /// The earliest reported time under this offset.
    pub first_reported: Timestamp,
    /// The latest reported time under this offset.
    pub last_reported: Timestamp,
    /// The offset counts from a guess of the present, since our own clock was
    /// doubted: no line continues it once our clock is not.
    pub guessed: bool,
}

impl ClockRun {
    /// How many runs of a node are remembered, the newest.
    pub const KEPT: usize = 64;

    /// Whether a measurement may be told for the second time, by the runs that
    /// its node had before: a line within the reported range of a run may.
    /// Telemetry may not; of a node without runs (it was imported) anything.
    #[must_use]
    pub fn may_repeat(runs: &[Self], row: &Measurement) -> bool {
        let Reported::Time(reported) = row.reported else { return false };
        let offset = row.observed.since(reported);
        let within = |run: &Self| {
            run.offset == offset && (run.first_reported..=run.last_reported).contains(&reported)
        };
        runs.is_empty() || runs.iter().any(within)
    }
}

/// Counts the changes that writers made to a node; 0 for an unknown node.
pub type NodeVersion = u64;

/// A stored telemetry message, for recognising it when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTelemetry {
    /// When it was observed, which for telemetry is its arrival.
    pub observed: Timestamp,
    /// The hash of its payload.
    pub fingerprint: i64,
}

impl KnownTelemetry {
    /// How many messages of a node are remembered, the last.
    pub const KEPT: usize = 32;
}

/// What the clock rule must know of a node before it judges new lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// The node's version, to be handed back in [`NodeUpdate::expected`].
    pub version: NodeVersion,
    /// The newest [`ClockRun::KEPT`] runs, oldest first.
    pub runs: Vec<ClockRun>,
    /// The [`KnownTelemetry::KEPT`] telemetry messages that were stored last, the
    /// last first. Many can be observed in one second, and our clock can be set
    /// back: it is the order of storing that counts, as in [`StoredMeasurement::id`].
    pub telemetry: Vec<KnownTelemetry>,
    /// Measurements observed at or before this were pruned; such ones are not
    /// stored again if they [may repeat](ClockRun::may_repeat).
    pub pruned_until: Option<Timestamp>,
}

/// The new state of a node, stored with the rows that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUpdate {
    /// The node.
    pub node: NodeId,
    /// The version at which its state was read.
    pub expected: NodeVersion,
    /// Its runs from now on, oldest first, at most [`ClockRun::KEPT`].
    pub runs: Vec<ClockRun>,
}

/// The rows of one delivery, with what it says of its source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePart {
    /// `None` if the rows come from no source that is kept account of (an
    /// import).
    pub update: Option<SourceUpdate>,
    /// The measurements, in any order; several nodes may be among them.
    pub rows: Vec<Measurement>,
}

/// Where the rows of a batch come from, which decides what pruning means for
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchOrigin {
    /// Nodes: rows at or before [`NodeState::pruned_until`] that
    /// [may repeat](ClockRun::may_repeat) are counted as expired and not stored.
    /// What is told for the first time always is, however our clock erred.
    #[default]
    Intake,
    /// An operator's import: all rows are stored.
    Import,
}

/// What belongs together and is stored together, or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Deliveries in the order of their arrival.
    pub parts: Vec<SourcePart>,
    /// The nodes whose clock runs the batch was judged by. Rows of nodes that
    /// are not named here are stored without a check of the version.
    pub nodes: Vec<NodeUpdate>,
    /// Where the rows come from.
    pub origin: BatchOrigin,
    /// The present moment by our own clock, if a node shows the same.
    pub clock_confirmed: Option<Timestamp>,
}

/// What a repository remembers of our own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockMarks {
    /// The latest arrival of any measurement, or of any answer that a
    /// [`SourceUpdate`] tells of, by which a clock that was set back is
    /// noticed. A failure is no arrival.
    pub newest_arrival: Option<Timestamp>,
    /// The latest [`Batch::clock_confirmed`] of all that was stored: a moment
    /// that has passed whatever our clock shows later.
    pub confirmed: Option<Timestamp>,
}

/// What became of a batch: a report per part, in the same order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// One for each part.
    pub parts: Vec<PartReport>,
}

/// Which part of a node's history, by observed time, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryRange {
    /// The earliest observed time, or no bound.
    pub from: Option<Timestamp>,
    /// The latest observed time, or no bound.
    pub until: Option<Timestamp>,
}

impl HistoryRange {
    /// Everything.
    pub const ALL: Self = Self { from: None, until: None };

    /// Whether a measurement observed at `time` is in the range.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.until.is_none_or(|until| time <= until)
    }
}

/// Whether pruning removes or only says what it would remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneMode {
    /// Count, change nothing.
    DryRun,
    /// Remove.
    Apply,
}

/// What pruning removed of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePrune {
    /// The node.
    pub node: NodeId,
    /// Removed as [`Removal::TooMany`](crate::Removal::TooMany).
    pub too_many: u64,
    /// Removed as [`Removal::TooOld`](crate::Removal::TooOld).
    pub too_old: u64,
}

/// What pruning removed: an entry for each node that lost something, sorted by
/// node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Nodes that lost measurements.
    pub nodes: Vec<NodePrune>,
}

impl PruneReport {
    /// Removed measurements in all.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.nodes.iter().map(|n| n.too_many + n.too_old).sum()
    }
}

/// The reading side of a repository: all that the API ever gets.
///
/// # What an implementer guarantees
/// - What [`MeasurementRepo::store`] reported as stored is seen by every read
///   that begins afterwards.
/// - Absence is an empty result, never an error.
/// - The order *newest first* is by descending observed time, then by
///   descending [`Reported::key`](crate::Reported::key).
#[async_trait]
pub trait MeasurementReader: Send + Sync {
    /// The newest measurement of each node whose newest observed time is later
    /// than `active_since` (`None`: of all nodes), sorted by node id (bytewise).
    /// Takes time by the number of nodes, not of measurements.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError>;

    /// [`latest`](Self::latest) in pages: at most `limit` of it, those of the nodes
    /// whose id comes after `after` (bytewise; empty: from the first on). The
    /// default reads all of it; an adapter should read no more than the page.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn latest_page(
        &self,
        after: &str,
        limit: usize,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let mut page = self.latest(active_since).await?;
        page.retain(|row| row.measurement.node.as_str() > after);
        page.truncate(limit);
        Ok(page)
    }

    /// Shows [`latest`](Self::latest) one by one, all as of one moment. An adapter
    /// should not hold them all at once, which the default does.
    ///
    /// # Errors
    /// See [`RepoError`]; some may have been shown by then.
    async fn each_latest(
        &self,
        active_since: Option<Timestamp>,
        show: &mut (dyn FnMut(StoredMeasurement) + Send),
    ) -> Result<(), RepoError> {
        self.latest(active_since).await?.into_iter().for_each(show);
        Ok(())
    }

    /// At most `limit` measurements of a node within `range`, newest first.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError>;

    /// Those of these measurements of a node that are stored, in any order. They
    /// may lie years apart. The default walks through the history between
    /// those that lie close together; an adapter with an index looks each up.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn find(
        &self,
        node: &NodeId,
        wanted: &[Identity],
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        lookup::in_history(self, node, wanted).await
    }

    /// The rollups of a node whose hours begin within `range`, oldest first:
    /// one [`Bucket`] for each UTC hour in which measurements were ever stored.
    /// Each equals [`roll_up`](crate::roll_up) over all measurements that were
    /// stored in that hour, also those that were pruned since.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError>;

    /// A node's history in buckets of `step` seconds, oldest first; a span
    /// without measurements has none. If the step is whole hours, they are made
    /// of the rollups of the hours that begin within `range`, so they also know
    /// what was pruned; else of the measurements within `range`. An adapter whose
    /// rollups are many should not hold them all at once, as the default does.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn buckets(
        &self,
        node: &NodeId,
        range: HistoryRange,
        step: i64,
    ) -> Result<Vec<Bucket>, RepoError> {
        if step % HOUR != 0 {
            return Pages::of(range).into_buckets(self, node, step).await;
        }
        let mut buckets = Buckets::of(step);
        for hour in self.rollups(node, range).await? {
            buckets.merge(&hour);
        }
        Ok(buckets.into_sorted())
    }

    /// [`NodeState::pruned_until`]: up to here [`history`](Self::history) is
    /// incomplete and only the rollups know everything. The default knows of no
    /// pruning: a repository whose [`prune`](MeasurementRepo::prune) removes
    /// anything overrides it (the conformance suite prunes, and looks). It fits
    /// a reader that has no such repository behind it.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn pruned_until(&self, _node: &NodeId) -> Result<Option<Timestamp>, RepoError> {
        Ok(None)
    }

    /// What is known of every source, sorted by id.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError>;
}

/// Keeps measurements: each exactly once.
///
/// # What an implementer guarantees
/// - [`store`](Self::store) is one transaction: all of the batch or nothing,
///   also across a crash. When it returns, the batch is durable.
/// - It is idempotent: a measurement whose (`node`, `observed`, `reported`) is
///   known is not stored again. Equal [`Sample`](crate::Sample)s are
///   duplicates, others conflicts. This also holds within one batch.
/// - A batch whose [`NodeUpdate::expected`] is not the node's present version
///   fails as [`RepoError::Stale`]. A batch that names a node in
///   [`Batch::nodes`] or stores a row of it raises its version; any two states
///   that differ have different versions. (So a re-poll that brings nothing
///   new should not name the node.)
/// - Numbers and texts come back exactly as they were stored.
/// - Several writers may be at work, also from other processes.
/// - The rollups of the hours of new measurements are kept in the same
///   transaction: each new measurement is added to its hour, except those that
///   an import ([`BatchOrigin::Import`]) brings for an hour from which
///   measurements were pruned, since they may have been counted before.
#[async_trait]
pub trait MeasurementRepo: MeasurementReader {
    /// Stores a batch.
    ///
    /// # Errors
    /// See [`RepoError`]; nothing of the batch is stored then.
    async fn store(&self, batch: &Batch) -> Result<StoreReport, RepoError>;

    /// What the clock rule must know of a node; the default for an unknown one.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn node_state(&self, node: &NodeId) -> Result<NodeState, RepoError>;

    /// What is remembered of our own clock.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn clock_marks(&self) -> Result<ClockMarks, RepoError>;

    /// How far each source was read.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>, RepoError>;

    /// Applies a retention policy exactly as
    /// [`RetentionPolicy::judge`] says, with ranks in the order of the history,
    /// and raises [`NodeState::pruned_until`] of each node to the newest
    /// observed time that was removed. Bounded in memory, and in small
    /// transactions, so that intake goes on meanwhile.
    ///
    /// # Errors
    /// See [`RepoError`]; what was removed until then stays removed.
    async fn prune(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        mode: PruneMode,
    ) -> Result<PruneReport, RepoError>;

    /// Makes the rollups of a node anew from the measurements that are there,
    /// for data from before rollups were kept. Hours from which measurements
    /// were pruned keep theirs. The conformance suite sees that it does so only
    /// if `RepoUnderTest::spoil_rollups` is there to spoil some.
    ///
    /// # Errors
    /// See [`RepoError`].
    async fn rebuild_rollups(&self, node: &NodeId) -> Result<(), RepoError>;

    /// Removes a node and all that is known of it; returns the number of its
    /// measurements (0 if unknown). Read positions of sources stay. A part of
    /// it that was cut short left the node as [`prune`](Self::prune) could have:
    /// the rollups of all measurements that are still there are complete.
    ///
    /// # Errors
    /// See [`RepoError`]; what was removed until then stays removed.
    async fn forget(&self, node: &NodeId) -> Result<u64, RepoError>;
}
