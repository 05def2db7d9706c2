//! Storing a batch: one transaction.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use isems_core::{
    Batch, BatchOrigin, ClockMarks, ClockRun, Measurement, NodeId, NodeUpdate, PartReport,
    SourcePart, StoreReport, Timestamp,
};
use sqlx::{SqliteConnection, SqlitePool};

use super::{
    accounts,
    connect::BEGIN,
    fault::Fault,
    hours::Hours,
    nodes::{self, NodeRow},
    rows::{self, Candidate},
    sources,
};

/// Stores a batch, or nothing of it.
pub(super) async fn store(writer: &SqlitePool, batch: &Batch) -> Result<StoreReport, Fault> {
    if batch.parts.is_empty() && batch.nodes.is_empty() {
        return Ok(StoreReport::default());
    }
    let mut transaction = writer.begin_with(BEGIN).await?;
    let mut writing = Writing {
        connection: &mut transaction,
        origin: batch.origin,
        known: HashMap::new(),
        runs: HashMap::new(),
        changed: BTreeSet::new(),
        hours: Hours::default(),
        arrival: None,
    };
    let report = writing.batch(batch).await?;
    transaction.commit().await?;
    Ok(report)
}

/// A batch on its way into the database.
struct Writing<'a> {
    connection: &'a mut SqliteConnection,
    origin: BatchOrigin,
    /// The nodes that were met so far.
    known: HashMap<NodeId, NodeRow>,
    /// The runs that nodes had before this batch, where it matters.
    runs: HashMap<i64, Vec<ClockRun>>,
    changed: BTreeSet<i64>,
    hours: Hours,
    arrival: Option<Timestamp>,
}

impl Writing<'_> {
    async fn batch(&mut self, batch: &Batch) -> Result<StoreReport, Fault> {
        self.check_versions(&batch.nodes).await?;
        let mut report = StoreReport::default();
        for part in &batch.parts {
            report.parts.push(self.part(part).await?);
        }
        for update in &batch.nodes {
            let node = self.node(&update.node).await?;
            nodes::replace_runs(self.connection, node.id, &update.runs).await?;
            self.changed.insert(node.id);
        }
        self.hours.write(self.connection, self.origin).await?;
        let marks = ClockMarks { newest_arrival: self.arrival, confirmed: batch.clock_confirmed };
        nodes::record_clock(self.connection, marks).await?;
        nodes::record_change(self.connection, &self.changed).await?;
        Ok(report)
    }

    async fn check_versions(&mut self, updates: &[NodeUpdate]) -> Result<(), Fault> {
        for update in updates {
            let found = nodes::find(self.connection, &update.node).await?;
            if found.map_or(0, |node| node.version) != update.expected {
                return Err(Fault::Stale(update.node.clone()));
            }
            if let Some(found) = found {
                self.known.insert(update.node.clone(), found);
            }
        }
        Ok(())
    }

    async fn part(&mut self, part: &SourcePart) -> Result<PartReport, sqlx::Error> {
        let mut report = PartReport::default();
        for chunk in part.rows.chunks(rows::CHUNK) {
            self.chunk(chunk, &mut report).await?;
        }
        if let Some(update) = &part.update {
            let source = sources::enter(self.connection, update, &report).await?;
            if let Some(name) = &update.node
                && let Some(node) = self.found(name).await?
            {
                let mut tally = update.tally.clone();
                tally.add(&report.into());
                accounts::enter(self.connection, source, node.id, &tally).await?;
            }
            self.arrived(update.arrival());
        }
        Ok(report)
    }

    async fn chunk(
        &mut self,
        chunk: &[Measurement],
        report: &mut PartReport,
    ) -> Result<(), sqlx::Error> {
        let mut candidates = Vec::with_capacity(chunk.len());
        for measurement in chunk {
            let node = self.node(&measurement.node).await?;
            let pruned = self.origin == BatchOrigin::Intake
                && node.pruned_until.is_some_and(|until| measurement.observed <= until)
                && self.may_repeat(node.id, measurement).await?;
            candidates.push(Candidate { node: node.id, measurement, pruned });
        }
        let new = rows::sort_out(self.connection, &candidates, report).await?;
        rows::insert(self.connection, &new).await?;
        for (node, measurement) in new {
            self.changed.insert(node);
            self.hours.add(node, measurement);
            self.arrived(measurement.received);
        }
        if self.hours.are_many() {
            self.hours.write(self.connection, self.origin).await?;
        }
        Ok(())
    }

    async fn may_repeat(&mut self, node: i64, row: &Measurement) -> Result<bool, sqlx::Error> {
        let runs = match self.runs.entry(node) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(nodes::load_runs(self.connection, node).await?),
        };
        Ok(ClockRun::may_repeat(runs, row))
    }

    /// The node of that name, created if need be: a row of an unknown node is
    /// always stored.
    async fn node(&mut self, name: &NodeId) -> Result<NodeRow, sqlx::Error> {
        if let Some(node) = self.found(name).await? {
            return Ok(node);
        }
        let node = nodes::create(self.connection, name).await?;
        self.known.insert(name.clone(), node);
        Ok(node)
    }

    /// The node of that name, if it is known.
    async fn found(&mut self, name: &NodeId) -> Result<Option<NodeRow>, sqlx::Error> {
        if let Some(node) = self.known.get(name) {
            return Ok(Some(*node));
        }
        let found = nodes::find(self.connection, name).await?;
        if let Some(node) = found {
            self.known.insert(name.clone(), node);
        }
        Ok(found)
    }

    fn arrived(&mut self, at: Option<Timestamp>) {
        self.arrival = self.arrival.max(at);
    }
}
