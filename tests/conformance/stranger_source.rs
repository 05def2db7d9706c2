//! What a stranger writes who needs a source of their own: a gateway that keeps
//! each message until it is told that it may forget it, and the world in which
//! the suite looks at it. If this grows, the port asks too much.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use isems_core::{
    Delivery, Format, Framing, NodeSource, Receipt, SourceError, SourceId, SourceKind, Timestamp,
    testing::source_suite::{CASES, SourceUnderTest},
};
use tokio::{sync::Notify, time::timeout};

// The stranger's source begins here,
const LIMIT: usize = 4_096;

/// The far side: it would be a radio, or a serial line.
#[derive(Clone, Default)]
pub(crate) struct Gateway(Arc<(Mutex<Kept>, Notify)>);

#[derive(Default)]
struct Kept {
    messages: BTreeMap<u64, Vec<u8>>,
    newest: u64,
    /// How often the link to it was made.
    links: u64,
}

impl Gateway {
    fn change(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept());
        self.0.1.notify_one();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.0.lock().expect("nobody panics with it in hand")
    }
}

/// Our side of the link.
pub(crate) struct GatewaySource {
    id: SourceId,
    gateway: Gateway,
    limit: usize,
    /// What this link has handed over already, and which link that is.
    read_to: u64,
    link: u64,
}

impl GatewaySource {
    pub(crate) fn open(gateway: &Gateway, limit: usize) -> Self {
        let id = SourceId::new("gateway");
        Self { id, gateway: gateway.clone(), limit, read_to: 0, link: 0 }
    }

    /// The next message; over a new link all begins anew with the oldest.
    fn take(&mut self) -> Option<Result<Delivery, SourceError>> {
        let mut kept = self.gateway.kept();
        if self.link != kept.links {
            (self.link, self.read_to) = (kept.links, 0);
        }
        let (number, payload) = kept.messages.range(self.read_to + 1..).next()?;
        let (number, payload) = (*number, payload.clone());
        self.read_to = number;
        if payload.len() > self.limit {
            // It can never be stored, and would come again for ever.
            kept.messages.remove(&number);
            let (from, limit) = (self.id.clone(), self.limit as u64);
            return Some(Err(SourceError::TooLarge { from, limit }));
        }
        Some(Ok(Delivery {
            source: self.id.clone(),
            kind: SourceKind::Other,
            format: Format::CsvLog,
            bytes: payload.len() as u64,
            payload,
            known_prefix: 0,
            framing: Framing::Whole,
            topic: None,
            node: None,
            arrival: Timestamp::from_unix(1_748_769_100),
            sender_clock: None,
            redelivered: false,
            retained: false,
            position: None,
            receipt: Receipt(number),
        }))
    }
}

#[async_trait]
impl NodeSource for GatewaySource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        loop {
            // Taken and returned in one step: nothing is lost if this is dropped.
            if let Some(taken) = self.take() {
                return taken.map(Some);
            }
            self.gateway.0.1.notified().await;
        }
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        self.gateway.kept().messages.remove(&receipt.0);
        Ok(())
    }
}
// and ends here.

/// The world that the suite needs; one side of the gateway is in our hands.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) gateway: Gateway,
}

#[async_trait]
impl SourceUnderTest for World {
    fn max_payload(&self) -> usize {
        LIMIT
    }

    async fn offer(&mut self, payload: &[u8]) {
        self.gateway.change(|kept| {
            kept.newest += 1;
            kept.messages.insert(kept.newest, payload.to_vec());
        });
    }

    // All nodes are heard through the one gateway: each message has a receipt of
    // its own anyway, so that the default of `offer_from_another_node` fits.

    async fn open(&mut self) -> Box<dyn NodeSource> {
        Box::new(GatewaySource::open(&self.gateway, LIMIT))
    }

    async fn break_link(&mut self) {
        self.gateway.change(|kept| kept.links += 1);
    }

    async fn add_dead_node(&mut self) {
        // It would send nothing to the gateway, which nobody notices.
    }

    async fn offer_too_much_then(&mut self, too_much: &[u8], payload: &[u8]) {
        self.offer(too_much).await;
        self.offer(payload).await;
    }
}

#[tokio::test]
async fn a_strangers_source_conforms() {
    for case in CASES {
        let run = timeout(Duration::from_secs(30), case.run(&mut World::default())).await;
        run.unwrap_or_else(|_| panic!("{case:?} does not end"));
    }
}

#[test]
fn it_takes_under_a_hundred_lines() {
    let code = include_str!("stranger_source.rs");
    let begin = code.find("// The stranger's source begins").expect("the beginning is marked");
    let end = code.find("// and ends here").expect("the end is marked");
    let lines = code[begin..end].lines().count();
    assert!(lines < 100, "{lines} lines");
}
