//! The books that a repository keeps beside its rows.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    Basis, Batch, BatchOrigin, Bucket, ClockMarks, ClockRun, HOUR, HistoryRange, KnownTelemetry,
    Measurement, NodeId, NodeState, NodeVersion, PartReport, ReadPosition, RepoError, Reported,
    SourceId, SourceSummary, StoreReport, StoredMeasurement, Tally, Timestamp, roll_up,
};

/// Node states, sources and read positions in memory, by the rules of the port.
/// A repository that keeps its rows in a plain map needs nothing else;
/// [`MemoryRepo`](crate::MemoryRepo) is one.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    nodes: BTreeMap<NodeId, Page>,
    sources: BTreeMap<SourceId, (SourceSummary, Option<ReadPosition>)>,
    accounts: BTreeMap<SourceId, BTreeMap<NodeId, Tally>>,
    clock_marks: ClockMarks,
    last_version: NodeVersion,
}

#[derive(Clone, Debug, Default)]
struct Page {
    version: NodeVersion,
    hours: BTreeMap<Timestamp, Bucket>,
    /// Hours from which measurements were pruned.
    closed: BTreeSet<Timestamp>,
    runs: Vec<ClockRun>,
    pruned_until: Option<Timestamp>,
}

impl Page {
    fn roll_up(&mut self, row: &Measurement, origin: BatchOrigin) {
        let hour = row.observed.floor_to(HOUR);
        // What an import brings back may have been counted before it was pruned.
        if origin == BatchOrigin::Intake || !self.closed.contains(&hour) {
            self.hours.entry(hour).or_insert_with(|| Bucket::empty(hour)).add(&row.sample);
        }
    }
}

/// What a shelf of rows says when a row is put on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Its identity was free, and it is there now.
    Inserted,
    /// Its identity is taken by a row with the same values.
    Same,
    /// Its identity is taken by a row with other values, which stays.
    Different,
    /// Its identity is free, and it was not to be put there.
    Withheld,
}

impl Ledger {
    /// Books a batch. `put` places one row; with `false` it only looks.
    ///
    /// # Errors
    /// [`RepoError::Stale`] if a node has changed since its state was read;
    /// then nothing is booked and nothing was put.
    pub fn book(
        &mut self,
        batch: &Batch,
        mut put: impl FnMut(&Measurement, bool) -> Put,
    ) -> Result<StoreReport, RepoError> {
        for update in &batch.nodes {
            if self.nodes.get(&update.node).map_or(0, |page| page.version) != update.expected {
                return Err(RepoError::Stale { node: update.node.clone() });
            }
        }
        let mut marks = self.clock_marks;
        marks.confirmed = marks.confirmed.max(batch.clock_confirmed);
        let mut report = StoreReport::default();
        for part in &batch.parts {
            let mut counts = PartReport::default();
            for row in &part.rows {
                let page = self.touch(&row.node);
                let expired = page.pruned_until.is_some_and(|until| row.observed <= until)
                    && ClockRun::may_repeat(&page.runs, row);
                match put(row, batch.origin == BatchOrigin::Import || !expired) {
                    Put::Inserted => {
                        self.touch(&row.node).roll_up(row, batch.origin);
                        counts.stored += 1;
                        counts.retimed += u64::from(row.basis != Basis::Node);
                        marks.newest_arrival = marks.newest_arrival.max(row.received);
                    }
                    Put::Same => counts.duplicate += 1,
                    Put::Different => counts.conflict += 1,
                    Put::Withheld => counts.expired += 1,
                }
            }
            if let Some(update) = &part.update {
                let new = || (SourceSummary::new(update.source.clone(), update.kind), None);
                let (summary, position) =
                    self.sources.entry(update.source.clone()).or_insert_with(new);
                summary.note(update, &counts);
                *position = update.position.clone().or(position.take());
                marks.newest_arrival = marks.newest_arrival.max(update.arrival());
                if let Some(node) =
                    update.node.as_ref().filter(|node| self.nodes.contains_key(node))
                {
                    let accounts = self.accounts.entry(update.source.clone()).or_default();
                    let account = accounts.entry(node.clone()).or_default();
                    account.add(&update.tally);
                    account.add(&counts.into());
                }
            }
            report.parts.push(counts);
        }
        for update in &batch.nodes {
            self.touch(&update.node).runs.clone_from(&update.runs);
        }
        self.clock_marks = marks;
        Ok(report)
    }

    /// Books that measurements of a node were pruned, which were observed at
    /// these times.
    pub fn note_pruned(&mut self, node: &NodeId, observed: impl IntoIterator<Item = Timestamp>) {
        let page = self.touch(node);
        for time in observed {
            page.pruned_until = page.pruned_until.max(Some(time));
            page.closed.insert(time.floor_to(HOUR));
        }
    }

    /// The newest observed time of which measurements of a node were pruned.
    #[must_use]
    pub fn pruned_until(&self, node: &NodeId) -> Option<Timestamp> {
        self.nodes.get(node)?.pruned_until
    }

    /// The rollups of a node whose hours begin within `range`, oldest first.
    #[must_use]
    pub fn rollups(&self, node: &NodeId, range: HistoryRange) -> Vec<Bucket> {
        let hours = self.nodes.get(node).into_iter().flat_map(|page| page.hours.values());
        hours.filter(|hour| range.contains(hour.begin)).cloned().collect()
    }

    /// Makes the rollups of a node anew from its `measurements`; the hours from
    /// which some were pruned keep theirs.
    pub fn rebuild_rollups<'a>(
        &mut self,
        node: &NodeId,
        measurements: impl IntoIterator<Item = &'a Measurement>,
    ) {
        if !self.nodes.contains_key(node) {
            return;
        }
        let page = self.touch(node);
        for hour in roll_up(measurements, HOUR) {
            if !page.closed.contains(&hour.begin) {
                page.hours.insert(hour.begin, hour);
            }
        }
    }

    /// Removes the page of a node and its accounts.
    pub fn forget(&mut self, node: &NodeId) {
        self.nodes.remove(node);
        for accounts in self.accounts.values_mut() {
            accounts.remove(node);
        }
    }

    /// The state of a node that has these `rows`, in any order.
    pub fn state<'a>(
        &self,
        node: &NodeId,
        rows: impl Iterator<Item = &'a StoredMeasurement>,
    ) -> NodeState {
        let Some(page) = self.nodes.get(node) else {
            return NodeState::default();
        };
        let mut telemetry: Vec<_> = rows
            .filter_map(|StoredMeasurement { id, measurement }| match measurement.reported {
                Reported::Fingerprint(fingerprint) => {
                    Some((*id, KnownTelemetry { observed: measurement.observed, fingerprint }))
                }
                Reported::Time(_) => None,
            })
            .collect();
        telemetry.sort_unstable_by_key(|(id, _)| Reverse(*id));
        telemetry.truncate(KnownTelemetry::KEPT);
        NodeState {
            version: page.version,
            runs: page.runs.clone(),
            telemetry: telemetry.into_iter().map(|(_, known)| known).collect(),
            pruned_until: page.pruned_until,
        }
    }

    /// The nodes that were ever heard, sorted.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    /// What is known of each source, sorted by id.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceSummary> {
        let summary = |(id, (summary, _)): (&SourceId, &(SourceSummary, _))| {
            let accounts = self.accounts.get(id).into_iter().flatten().take(SourceSummary::NODES);
            let nodes = accounts.map(|(node, tally)| (node.clone(), tally.clone())).collect();
            SourceSummary { nodes, ..summary.clone() }
        };
        self.sources.iter().map(summary).collect()
    }

    /// How far each source was read.
    #[must_use]
    pub fn read_positions(&self) -> BTreeMap<SourceId, ReadPosition> {
        let known = self
            .sources
            .iter()
            .filter_map(|(id, (_, position))| Some((id.clone(), position.clone()?)));
        known.collect()
    }

    /// What is remembered of our own clock.
    #[must_use]
    pub const fn clock_marks(&self) -> ClockMarks {
        self.clock_marks
    }

    /// The page of a node, with a version that it never had before.
    fn touch(&mut self, node: &NodeId) -> &mut Page {
        self.last_version += 1;
        let page = self.nodes.entry(node.clone()).or_default();
        page.version = self.last_version;
        page
    }
}
