//! What is known of one node between its visits.

use std::{collections::VecDeque, future::Future, sync::Arc};

use isems_core::{
    Clock, Delivery, Format, ReadPosition, Receipt, SourceError, SourceId, SourceKind,
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    address::NodeAddress,
    client::Limits,
    fetch::Fetcher,
    oddity::Oddity,
    position::Position,
    visit::{Parcel, Visit},
};

/// How many unconfirmed deliveries of a node are remembered. More than one is
/// rare: a store that took longer than a round.
const UNCONFIRMED: usize = 8;

/// A node, its confirmed position, and those that wait for confirmation.
pub(super) struct Node {
    address: NodeAddress,
    position: Position,
    confirmed: Option<Receipt>,
    unconfirmed: VecDeque<(Receipt, Position)>,
    /// What was strange in the last visit that brought something.
    oddities: Vec<Oddity>,
}

/// What a visit of a node came to.
pub(super) struct Outcome {
    result: Result<Parcel, SourceError>,
    oddities: Vec<Oddity>,
}

impl Node {
    pub(super) fn new(address: NodeAddress, stored: Option<&ReadPosition>) -> Self {
        let mut node = Self {
            address,
            position: Position::default(),
            confirmed: None,
            unconfirmed: VecDeque::new(),
            oddities: Vec::new(),
        };
        node.recall(stored);
        node
    }

    /// Goes on from the position that the repository has of it.
    pub(super) fn recall(&mut self, stored: Option<&ReadPosition>) {
        let position = stored.map(|stored| {
            Position::from_stored(stored).unwrap_or_else(|| {
                warn!(
                    node = %self.address,
                    "what was remembered of this node cannot be read; its log is read anew"
                );
                Position::default()
            })
        });
        self.position = position.unwrap_or_default();
    }

    pub(super) const fn id(&self) -> &SourceId {
        self.address.source_id()
    }

    /// Asks the node, from its confirmed position.
    pub(super) fn visit(
        &self,
        client: reqwest::Client,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> impl Future<Output = Outcome> + Send + use<> {
        let address = self.address.clone();
        let position = self.position.clone();
        async move {
            let mut visit = Visit {
                fetcher: Fetcher {
                    client: &client,
                    limits: &limits,
                    clock: &*clock,
                    deadline: Instant::now() + limits.per_node,
                },
                url: address.url(),
                from: address.source_id(),
                position,
                oddities: Vec::new(),
                wire: 0,
            };
            let result = visit.run().await;
            Outcome { result, oddities: visit.oddities }
        }
    }

    /// Makes a delivery of what a visit brought.
    pub(super) fn settle(
        &mut self,
        outcome: Outcome,
        receipt: Receipt,
    ) -> Result<Delivery, SourceError> {
        self.tell(&outcome.oddities);
        let parcel = outcome.result?;
        self.oddities = outcome.oddities;
        let position = parcel.position.as_ref().map(Position::to_stored);
        if let Some(position) = parcel.position {
            if self.unconfirmed.len() == UNCONFIRMED {
                self.unconfirmed.pop_front();
            }
            self.unconfirmed.push_back((receipt, position));
        }
        Ok(Delivery {
            source: self.id().clone(),
            kind: SourceKind::Http,
            format: Format::CsvLog,
            payload: parcel.payload,
            known_prefix: parcel.known_prefix,
            framing: parcel.framing,
            topic: None,
            node: None,
            arrival: parcel.arrival,
            sender_clock: parcel.sender_clock,
            redelivered: false,
            retained: false,
            bytes: parcel.wire,
            position,
            receipt,
        })
    }

    /// Makes a position count; says whether the receipt is one of this node.
    pub(super) fn confirm(&mut self, receipt: Receipt) -> bool {
        let Some(at) = self.unconfirmed.iter().position(|(of, _)| *of == receipt) else {
            return false;
        };
        // Whatever the order of confirmation, the newest position counts.
        if let Some((_, position)) = self.unconfirmed.remove(at)
            && self.confirmed.is_none_or(|newest| newest < receipt)
        {
            self.position = position;
            self.confirmed = Some(receipt);
        }
        true
    }

    /// Warns of what was not so in the last visit.
    fn tell(&self, oddities: &[Oddity]) {
        for oddity in oddities {
            if self.oddities.iter().any(|known| known.is_like(oddity)) {
                debug!(node = %self.address, "{oddity}");
            } else {
                warn!(node = %self.address, "{oddity}");
            }
        }
    }
}
