//! The write side: deliveries → measurements → repository → report.

mod desk;
mod judged;
mod look_ups;
mod new_nodes;
mod own_clock;
mod parsed;
mod parts;
mod report;
mod shared;
mod stored;
mod telemetry;
mod used_runs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    sync::Arc,
};

use desk::Desk;
use look_ups::LookUps;
use new_nodes::NewNodes;
use own_clock::{Ahead, OwnClock};
pub use own_clock::{ClockTrust, Doubt};
use parsed::Parsed;
pub use report::{DeliveryReport, Note};

use crate::{
    Batch, Delivery, MeasurementRepo, NodeId, NodeSource, RepoError, SourceError, SourceId,
    SourceKind, SourcePart, SourceUpdate, Tally, Timestamp, yield_now::yield_now,
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
    new_nodes: NewNodes,
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

impl Collector {
    /// So many nodes may come up within an hour unless
    /// [another limit](Self::with_new_nodes_per_hour) is set.
    pub const NEW_NODES_PER_HOUR: usize = 1_000;

    /// A collector that stores into `repo`. `built` is a moment at which the
    /// program existed already: a clock that shows an earlier one is doubted.
    #[must_use]
    pub fn new(repo: Arc<dyn MeasurementRepo>, built: Timestamp) -> Self {
        Self {
            repo,
            own_clock: OwnClock::new(built),
            new_nodes: NewNodes::at_most(Self::NEW_NODES_PER_HOUR),
            addresses: BTreeMap::new(),
            shared_nodes: BTreeSet::new(),
        }
    }

    /// Accepts at most `limit` new nodes within an hour. What others of them
    /// send is rejected, so that invented names fill neither memory nor disk.
    #[must_use]
    pub fn with_new_nodes_per_hour(mut self, limit: usize) -> Self {
        self.new_nodes = NewNodes::at_most(limit);
        self
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
        self.know_clock_marks().await?;
        let mut parsed = self.parse(deliveries).await?;
        for (delivery, parsed) in deliveries.iter().zip(&parsed) {
            self.own_clock.hear(delivery, parsed, now);
        }
        let trust = self.own_clock.trust(now);
        let doubt = trust.doubt().map(|doubt| (doubt, self.own_clock.seems_ahead(doubt, now)));
        self.new_nodes.forget_old(now);
        let mut attempts = 1;
        let (batch, judged, new_nodes, stored) = loop {
            let (mut batch, judged, new_nodes) = self.judge(deliveries, parsed, doubt).await?;
            batch.clock_confirmed = Some(now).filter(|_| trust == ClockTrust::Confirmed);
            match self.repo.store(&batch).await {
                Ok(stored) => break (batch, judged, new_nodes, stored),
                // Another writer changed a node in between: judge anew.
                Err(RepoError::Stale { .. }) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
            }
            // Not kept: a long log takes much memory.
            drop((batch, judged));
            parsed = self.parse(deliveries).await?;
        };
        self.new_nodes.admit(new_nodes);
        self.own_clock.note_arrival(deliveries.iter().map(|delivery| delivery.arrival).max());
        let mut parts = batch.parts.iter().zip(stored.parts);
        let mut reports = Vec::with_capacity(deliveries.len());
        for (mut report, its_parts) in judged {
            for (part, counts) in parts.by_ref().take(its_parts) {
                let node = part.update.as_ref().and_then(|update| update.node.as_ref());
                report.count(node, &counts.into());
            }
            self.note_addresses(&mut report);
            reports.push(report);
        }
        Ok(reports)
    }

    /// How far our own clock, which shows `now`, can be relied on, by what was
    /// heard of nodes until now.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub async fn clock_trust(&mut self, now: Timestamp) -> Result<ClockTrust, RepoError> {
        self.know_clock_marks().await?;
        Ok(self.own_clock.trust(now))
    }

    /// To be called when our own clock was set, by hand or by NTP, and shows
    /// `now`: what nodes said against it before then counts no more.
    pub fn clock_was_set(&mut self, now: Timestamp) {
        self.own_clock.was_set(now);
    }

    /// A moment that has passed, whatever our own clock shows: the program was
    /// built by then, or our clock showed it and a node confirmed it.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub async fn surely_passed(&self) -> Result<Timestamp, RepoError> {
        let confirmed = self.repo.clock_marks().await?.confirmed;
        Ok(confirmed.map_or(self.own_clock.built(), |moment| moment.max(self.own_clock.built())))
    }

    async fn know_clock_marks(&mut self) -> Result<(), RepoError> {
        if !self.own_clock.knows_marks() {
            self.own_clock.know_marks(self.repo.clock_marks().await?);
        }
        Ok(())
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
            node: None,
        };
        let part = SourcePart { update: Some(update), rows: Vec::new() };
        self.repo.store(&Batch { parts: vec![part], ..Batch::default() }).await.map(drop)
    }

    /// Takes in everything that a source has until it is over, one delivery at
    /// a time; failures on the way are noted and handed to `on_failure`. Others
    /// can run between any two, so that the future can be dropped by a timeout.
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
            // Neither source nor repository may ever have to wait.
            yield_now().await;
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

    /// Reads deliveries beyond what they held before, if that is still there.
    async fn parse(&self, deliveries: &[Delivery]) -> Result<Vec<Parsed>, RepoError> {
        let mut desk =
            Desk::new(&*self.repo, None, &self.new_nodes, LookUps::among(deliveries.len()));
        let mut all = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let parsed = Parsed::of(delivery);
            let holds = match parsed.context() {
                Some((node, line)) => desk.holds(node, line).await?,
                None => true,
            };
            all.push(if holds { parsed } else { Parsed::whole(delivery) });
        }
        Ok(all)
    }

    /// Judges all deliveries by the present state of their nodes. Each has a
    /// report, without what is to be stored, and a number of parts of the batch.
    async fn judge(
        &self,
        deliveries: &[Delivery],
        parsed: Vec<Parsed>,
        doubt: Option<(Doubt, Ahead)>,
    ) -> Result<(Batch, Vec<(DeliveryReport, usize)>, BTreeMap<NodeId, Timestamp>), RepoError> {
        let ahead = doubt.map(|(_, ahead)| ahead);
        let mut desk =
            Desk::new(&*self.repo, ahead, &self.new_nodes, LookUps::among(deliveries.len()));
        let mut batch = Batch::default();
        let mut reports = Vec::with_capacity(deliveries.len());
        for (delivery, mut parsed) in deliveries.iter().zip(parsed) {
            let (named, failure) = (parsed.nodes(), parsed.failure(delivery));
            let mut all_rejected = mem::take(&mut parsed.rejected);
            let mut judged = desk.judge(delivery, parsed).await?;
            let mut notes = mem::take(&mut judged.notes);
            notes.extend(doubt.map(|(doubt, _)| Note::OwnClockDoubted(doubt)));
            all_rejected.append(&mut judged.rejected);
            let parts = parts::of(delivery, failure.as_deref(), judged);
            let mut report = DeliveryReport {
                source: delivery.source.clone(),
                kind: delivery.kind,
                tally: Tally::default(),
                by_node: BTreeMap::new(),
                nodes: named,
                rejected: all_rejected,
                failure,
                notes,
            };
            for update in parts.iter().filter_map(|part| part.update.as_ref()) {
                report.count(update.node.as_ref(), &update.tally);
            }
            reports.push((report, parts.len()));
            batch.parts.extend(parts);
        }
        let new_nodes;
        (batch.nodes, new_nodes) = desk.into_updates();
        Ok((batch, reports, new_nodes))
    }

    fn note_addresses(&mut self, report: &mut DeliveryReport) {
        if report.kind != SourceKind::Http {
            return;
        }
        if self.addresses.len() > REMEMBERED_NODES {
            self.addresses.clear();
            self.shared_nodes.clear();
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
