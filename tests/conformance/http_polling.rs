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

const LIMIT: u64 = 100_000;

/// A node whose log grows, perhaps with a dead one beside it.
struct World {
    node: FakeNode,
    dead: Option<FakeNode>,
    log: Vec<u8>,
    confirmed: Arc<Mutex<BTreeMap<SourceId, ReadPosition>>>,
}

impl World {
    async fn new() -> Self {
        Self {
            node: FakeNode::start().await,
            dead: None,
            log: Vec::new(),
            confirmed: Arc::default(),
        }
    }
}

#[async_trait]
impl SourceUnderTest for World {
    async fn offer(&mut self, payload: &[u8]) {
        self.log.extend_from_slice(payload);
        let length = self.log.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nETag: \"1-{length}\"\r\nContent-Length: {length}\r\n\r\n");
        self.node.answer(LOG, [head.as_bytes(), &self.log].concat());
    }

    async fn open(&mut self) -> Box<dyn NodeSource> {
        let mut nodes = self.node.address.to_string();
        if let Some(dead) = &self.dead {
            nodes = format!("{} {nodes}", dead.address);
        }
        let settings = PollSettings {
            timeout: Duration::from_secs(4),
            interval: Duration::from_millis(250),
            schedule: Schedule::Every,
            body_limit: LIMIT,
            ..PollSettings::one_round(parse_addresses(&nodes).unwrap())
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
        self.node.answer_once(LOG, vec![Act::Reset]);
    }

    async fn add_dead_node(&mut self) {
        let never = vec![Act::Rest(Duration::from_mins(10))];
        self.dead = Some(FakeNode::with_log(never).await);
    }

    async fn offer_too_much_then(&mut self, payload: &[u8]) {
        let mut endless = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
        endless.resize(usize::try_from(LIMIT).unwrap() + 1000, b'x');
        self.node.answer_once(LOG, endless);
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
