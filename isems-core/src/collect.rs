//! The write side: deliveries → measurements → repository → report.

mod desk;
mod own_clock;
mod parsed;
mod telemetry;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use desk::Desk;
pub use own_clock::Doubt;
use own_clock::OwnClock;
use parsed::Parsed;

use crate::{
    Basis, Batch, Delivery, MeasurementRepo, NodeId, NodeSource, RepoError, SourceError, SourceId,
    SourceKind, SourcePart, SourceUpdate, Tally, Timestamp, wire::Rejected,
};

/// So often a batch is judged anew because another writer was faster.
const ATTEMPTS: usize = 8;

/// So many nodes are remembered with the address that reports them.
const REMEMBERED_NODES: usize = 10_000;

/// Takes deliveries in: parses them, judges the clock of each node, and stores
/// what is new, exactly once.
pub struct Collector {
    repo: Arc<dyn MeasurementRepo>,
    own_clock: OwnClock,
    /// Which HTTP address reports a node.
    addresses: BTreeMap<NodeId, SourceId>,
    /// Nodes that several addresses report, as far as it was said.
    shared_nodes: BTreeSet<NodeId>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("own_clock", &self.own_clock).finish_non_exhaustive()
    }
}

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryReport {
    /// Where it came from.
    pub source: SourceId,
    /// The kind of that source.
    pub kind: SourceKind,
    /// Counts of its lines.
    pub tally: Tally,
    /// The nodes that it holds usable lines of, new or known.
    pub nodes: Vec<NodeId>,
    /// Examples of what could not be used.
    pub rejected: Vec<Rejected>,
    /// What an operator should know.
    pub notes: Vec<Note>,
}

/// Something odd about a delivery that does not keep it from being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Our own clock is doubted: nothing is corrected or refused by it.
    OwnClockDoubted(Doubt),
    /// A node's clock is wrong; its new lines are stored under this offset.
    NodeClockWrong {
        /// The node.
        node: NodeId,
        /// Observed minus reported, in seconds.
        offset: i64,
        /// Why the offset is believed.
        basis: Basis,
    },
    /// Two addresses report the same node id: two nodes have one name, or one
    /// node has two addresses.
    NodeAtTwoAddresses {
        /// The node.
        node: NodeId,
        /// The other address.
        other: SourceId,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnClockDoubted(doubt) => {
                write!(f, "the clock of this machine is doubted: {doubt}")
            }
            Self::NodeClockWrong { node, offset, basis } => write!(
                f,
                "the clock of {node} is wrong: its lines are stored {offset:+} s from what it reports ({})",
                basis.as_str()
            ),
            Self::NodeAtTwoAddresses { node, other } => {
                write!(
                    f,
                    "{node} is also reported by {other}: give each node a name of its own, or poll it once"
                )
            }
        }
    }
}

impl Collector {
    /// A collector that stores into `repo`. `built` is a moment at which the
    /// program existed already: a clock that shows an earlier one is doubted.
    #[must_use]
    pub fn new(repo: Arc<dyn MeasurementRepo>, built: Timestamp) -> Self {
        Self {
            repo,
            own_clock: OwnClock::new(built),
            addresses: BTreeMap::new(),
            shared_nodes: BTreeSet::new(),
        }
    }

    /// Stores what deliveries hold, in one transaction, and reports on each, in
    /// their order. When this returns `Ok`, it is durable and the receipts may
    /// be confirmed. `now` is the present moment by our own clock.
    ///
    /// # Errors
    /// If the repository cannot store; then nothing of the deliveries is
    /// stored, and the call may be repeated.
    pub async fn ingest(
        &mut self,
        deliveries: &[Delivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveryReport>, RepoError> {
        if self.own_clock.newest_arrival().is_none() {
            self.own_clock.note_arrival(self.repo.newest_arrival().await?);
        }
        let parsed: Vec<Parsed> = deliveries.iter().map(Parsed::of).collect();
        for (delivery, parsed) in deliveries.iter().zip(&parsed) {
            self.own_clock.hear(delivery, parsed);
        }
        let doubt = self.own_clock.doubt(now);
        let mut attempts = 1;
        let (mut reports, stored) = loop {
            let (batch, reports) = self.judge(deliveries, &parsed, doubt).await?;
            match self.repo.store(&batch).await {
                Ok(stored) => break (reports, stored),
                // Another writer changed a node in between: judge anew.
                Err(RepoError::Stale { .. }) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
            }
        };
        self.own_clock.note_arrival(deliveries.iter().map(|delivery| delivery.arrival).max());
        for (report, counts) in reports.iter_mut().zip(stored.parts) {
            report.tally.add(&counts.into());
            self.note_addresses(report);
        }
        Ok(reports)
    }

    /// Remembers that a source failed.
    ///
    /// # Errors
    /// If the repository cannot store.
    pub async fn note_failure(
        &mut self,
        error: &SourceError,
        kind: SourceKind,
        at: Timestamp,
    ) -> Result<(), RepoError> {
        let update = SourceUpdate {
            source: error.source_id().clone(),
            kind,
            at,
            error: Some(error.describe()),
            position: None,
            tally: Tally::default(),
            bytes: 0,
            clock_offset: None,
        };
        let part = SourcePart { update: Some(update), rows: Vec::new() };
        self.repo.store(&Batch { parts: vec![part], ..Batch::default() }).await.map(drop)
    }

    /// Takes in everything that a source has until it is over, one delivery at
    /// a time; failures on the way are noted and handed to `on_failure`.
    /// Programs that share transactions among deliveries call
    /// [`ingest`](Self::ingest) themselves.
    ///
    /// # Errors
    /// If the repository cannot store; what was not confirmed comes again.
    pub async fn drain(
        &mut self,
        source: &mut dyn NodeSource,
        clock: &dyn crate::Clock,
        mut on_failure: impl FnMut(SourceError) + Send,
    ) -> Result<Tally, RepoError> {
        let mut tally = Tally::default();
        let mut kind = SourceKind::Other;
        loop {
            match source.next().await {
                Ok(Some(delivery)) => {
                    kind = delivery.kind;
                    let receipt = delivery.receipt;
                    for report in self.ingest(&[delivery], clock.now()).await? {
                        tally.add(&report.tally);
                    }
                    if let Err(error) = source.confirm(receipt).await {
                        on_failure(error);
                    }
                }
                Ok(None) => return Ok(tally),
                Err(error) => {
                    self.note_failure(&error, kind, clock.now()).await?;
                    let over = error.is_final();
                    on_failure(error);
                    if over {
                        return Ok(tally);
                    }
                }
            }
        }
    }

    /// Judges all deliveries by the present state of their nodes.
    async fn judge(
        &self,
        deliveries: &[Delivery],
        parsed: &[Parsed],
        doubt: Option<Doubt>,
    ) -> Result<(Batch, Vec<DeliveryReport>), RepoError> {
        let mut desk = Desk::new(&*self.repo, doubt);
        let mut batch = Batch::default();
        let mut reports = Vec::with_capacity(deliveries.len());
        for (delivery, parsed) in deliveries.iter().zip(parsed) {
            let judged = desk.judge(delivery, parsed).await?;
            let mut notes = judged.notes;
            notes.extend(doubt.map(Note::OwnClockDoubted));
            batch.parts.push(SourcePart {
                update: Some(SourceUpdate {
                    source: delivery.source.clone(),
                    kind: delivery.kind,
                    at: delivery.arrival,
                    error: None,
                    position: delivery.position.clone(),
                    tally: judged.tally.clone(),
                    bytes: delivery.bytes,
                    clock_offset: delivery.sender_clock.map(|clock| delivery.arrival.since(clock)),
                }),
                rows: judged.rows,
            });
            reports.push(DeliveryReport {
                source: delivery.source.clone(),
                kind: delivery.kind,
                tally: judged.tally,
                nodes: parsed.nodes(),
                rejected: parsed.rejected.iter().cloned().chain(judged.rejected).collect(),
                notes,
            });
        }
        batch.nodes = desk.into_updates();
        Ok((batch, reports))
    }

    fn note_addresses(&mut self, report: &mut DeliveryReport) {
        if report.kind != SourceKind::Http {
            return;
        }
        if self.addresses.len() > REMEMBERED_NODES {
            self.addresses.clear();
        }
        for node in &report.nodes {
            let known = self.addresses.entry(node.clone()).or_insert_with(|| report.source.clone());
            if *known != report.source && self.shared_nodes.insert(node.clone()) {
                report
                    .notes
                    .push(Note::NodeAtTwoAddresses { node: node.clone(), other: known.clone() });
            }
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
