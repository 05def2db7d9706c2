//! HTTP polling, as its port wants it.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use isems_adapters::http_polling::{HttpPolling, PollSettings, Schedule, parse_addresses};
use isems_core::{
    Delivery, NodeSource, ReadPosition, Receipt, SourceError, SourceId, Timestamp,
    testing::{
        ManualClock,
        source_suite::{CASES, SourceUnderTest},
    },
};

use fake_node::{Act, FakeNode, LOG};

#[expect(dead_code, reason = "the adapter's own tests need more of it")]
#[path = "../adapters/http_polling/fake_node.rs"]
mod fake_node;

use crate::broken_sources::{COMMON, is_caught};

const LIMIT: usize = 100_000;

/// Two nodes whose logs grow, perhaps with a dead one beside them.
struct World {
    nodes: [GrowingLog; 2],
    dead: Option<FakeNode>,
    confirmed: Arc<Mutex<BTreeMap<SourceId, ReadPosition>>>,
}

impl World {
    async fn new() -> Self {
        let nodes = [GrowingLog::empty().await, GrowingLog::empty().await];
        Self { nodes, dead: None, confirmed: Arc::default() }
    }
}

struct GrowingLog {
    node: FakeNode,
    log: Vec<u8>,
}

impl GrowingLog {
    async fn empty() -> Self {
        let mut log = Self { node: FakeNode::start().await, log: Vec::new() };
        log.grow(b"");
        log
    }

    fn grow(&mut self, lines: &[u8]) {
        self.log.extend_from_slice(lines);
        let length = self.log.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nETag: \"1-{length}\"\r\nContent-Length: {length}\r\n\r\n");
        self.node.answer(LOG, [head.as_bytes(), &self.log].concat());
    }
}

#[async_trait]
impl SourceUnderTest for World {
    fn max_payload(&self) -> usize {
        LIMIT
    }

    async fn offer(&mut self, payload: &[u8]) {
        self.nodes[0].grow(payload);
    }

    async fn offer_from_another_node(&mut self, payload: &[u8]) {
        self.nodes[1].grow(payload);
    }

    async fn open(&mut self) -> Box<dyn NodeSource> {
        let nodes = self.dead.iter().chain(self.nodes.iter().map(|log| &log.node));
        let nodes: Vec<_> = nodes.map(|node| node.address.to_string()).collect();
        let settings = PollSettings {
            timeout: Duration::from_secs(4),
            interval: Duration::from_millis(250),
            schedule: Schedule::Every,
            body_limit: LIMIT as u64,
            ..PollSettings::one_round(parse_addresses(&nodes.join(" ")).unwrap())
        };
        let clock = ManualClock::at(Timestamp::from_unix(1_748_769_100));
        let positions = self.confirmed.lock().unwrap().clone();
        Box::new(Remembering {
            source: HttpPolling::new(settings, &positions, Arc::new(clock)).unwrap(),
            confirmed: Arc::clone(&self.confirmed),
            pending: BTreeMap::new(),
        })
    }

    async fn break_link(&mut self) {
        for log in &self.nodes {
            log.node.answer_once(LOG, vec![Act::Reset]);
        }
    }

    async fn add_dead_node(&mut self) {
        let never = vec![Act::Rest(Duration::from_mins(10))];
        self.dead = Some(FakeNode::with_log(never).await);
    }

    async fn offer_too_much_then(&mut self, too_much: &[u8], payload: &[u8]) {
        let endless = [b"HTTP/1.0 200 OK\r\n\r\n", too_much].concat();
        self.nodes[0].node.answer_once(LOG, endless);
        self.offer(payload).await;
    }
}

/// Keeps the positions of what was confirmed, as a repository does.
struct Remembering {
    source: HttpPolling,
    confirmed: Arc<Mutex<BTreeMap<SourceId, ReadPosition>>>,
    pending: BTreeMap<Receipt, (SourceId, ReadPosition)>,
}

#[async_trait]
impl NodeSource for Remembering {
    fn id(&self) -> &SourceId {
        self.source.id()
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        let next = self.source.next().await;
        if let Ok(Some(delivery)) = &next
            && let Some(position) = &delivery.position
        {
            let remembered = (delivery.source.clone(), position.clone());
            self.pending.insert(delivery.receipt, remembered);
        }
        next
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        let remembered = self.pending.remove(&receipt);
        self.confirmed.lock().unwrap().extend(remembered);
        self.source.confirm(receipt).await
    }
}

#[tokio::test]
async fn http_polling_conforms() {
    for case in CASES {
        let mut world = World::new().await;
        let run = tokio::time::timeout(Duration::from_secs(30), case.run(&mut world));
        run.await.unwrap_or_else(|_| panic!("{case:?} does not end"));
    }
}

#[tokio::test]
async fn the_suite_catches_http_polling_that_breaks_its_port() {
    for (flaw, case, words) in COMMON {
        is_caught(World::new().await, flaw, case, words).await;
    }
}
