//! Asks nodes for their logs over HTTP, round by round.
//!
//! [`HttpPolling`] is a [`NodeSource`]. Each round asks every node once, a
//! bounded number of them at a time. A node gives one result per round: a
//! [`Delivery`] with its log (and, after a rotation, with what the compressed
//! old log still held before it), a delivery with an empty payload if there is
//! no news, or one error that names the node.
//!
//! What was read and confirmed is remembered as a [`ReadPosition`]: an
//! unchanged log is not sent again (`If-None-Match`), and the part of a log
//! that is known is marked as [`Delivery::known_prefix`].
//!
//! ```no_run
//! use std::{collections::BTreeMap, sync::Arc};
//! use isems_adapters::{SystemClock, http_polling::{HttpPolling, PollSettings, parse_addresses}};
//! use isems_core::NodeSource;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let nodes = parse_addresses("127.0.0.1:8080, http://127.0.0.1:8081/csv.log")
//!     .map_err(|mistakes| mistakes[0].clone())?;
//! let settings = PollSettings::one_round(nodes);
//! let mut source = HttpPolling::new(settings, &BTreeMap::new(), Arc::new(SystemClock))?;
//! while let Some(delivery) = source.next().await? {
//!     println!("{}: {} bytes", delivery.source, delivery.payload.len());
//!     source.confirm(delivery.receipt).await?; // once it is stored
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod client;
mod fetch;
mod lines;
mod node;
mod oddity;
mod old_log;
mod pace;
mod position;
mod rounds;
mod visit;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use isems_core::{
    BoxError, Clock, Delivery, MeasurementRepo, NodeSource, ReadPosition, Receipt, SourceError,
    SourceId,
};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use self::{
    client::Limits,
    node::{Node, Outcome},
    rounds::Rounds,
};

pub use self::{
    address::{AddressError, NodeAddress, parse_addresses},
    rounds::Schedule,
};

/// A year. Longer times make no sense and could overflow a moment.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Which nodes to ask, how often, and how long to wait for them.
#[derive(Clone, Debug)]
pub struct PollSettings {
    /// The nodes.
    pub nodes: Vec<NodeAddress>,
    /// How many are asked at the same time.
    pub concurrency: NonZeroUsize,
    /// A connection that brought less than 1 KB/s for this long is given up.
    /// Connecting may take a quarter of it, and the first byte another.
    pub timeout: Duration,
    /// From the beginning of a round to that of the next. One node may take
    /// this long in all, so that slow links can finish a long log.
    pub interval: Duration,
    /// Whether there is more than one round.
    pub schedule: Schedule,
    /// The most bytes of a log that are used, and as many of a compressed old
    /// log once it is unpacked.
    pub body_limit: u64,
}

impl PollSettings {
    /// [`concurrency`](Self::concurrency) unless set otherwise: 8.
    pub const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);
    /// [`timeout`](Self::timeout) unless set otherwise: 60 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
    /// [`interval`](Self::interval) unless set otherwise: 15 minutes.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(15);
    /// [`body_limit`](Self::body_limit) unless set otherwise: 2 MiB, more
    /// than four times a full log of 3,660 lines. Parsed it takes some ten times
    /// as much memory.
    pub const DEFAULT_BODY_LIMIT: u64 = 2 * 1024 * 1024;

    /// One round over these nodes, everything else by default.
    #[must_use]
    pub const fn one_round(nodes: Vec<NodeAddress>) -> Self {
        Self {
            nodes,
            concurrency: Self::DEFAULT_CONCURRENCY,
            timeout: Self::DEFAULT_TIMEOUT,
            interval: Self::DEFAULT_INTERVAL,
            schedule: Schedule::Once,
            body_limit: Self::DEFAULT_BODY_LIMIT,
        }
    }
}

/// The HTTP client could not be set up: for an `https://` node, because the
/// machine has no root certificates.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client (https:// nodes need the system's CA certificates)")]
pub struct SetupError {
    #[source]
    cause: BoxError,
}

/// Nodes that are asked for their logs.
///
/// Works only while [`next`](NodeSource::next) is called: each call starts
/// visits up to the bound and waits for one to end, so at most
/// [`concurrency`](PollSettings::concurrency) answers are in memory. Dropping
/// it aborts the visits.
pub struct HttpPolling {
    id: SourceId,
    sources: Vec<SourceId>,
    nodes: Vec<Node>,
    concurrency: usize,
    limits: Limits,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// Asked before each round how far the nodes were read.
    memory: Option<Arc<dyn MeasurementRepo>>,
    rounds: Rounds,
    /// Nodes of this round that were not visited yet.
    waiting: VecDeque<usize>,
    visits: JoinSet<Outcome>,
    /// Whom each visit is paid to.
    visited: HashMap<Id, usize>,
    receipts: u64,
}

impl HttpPolling {
    /// Prepares rounds over the nodes; `positions` is what the repository
    /// remembers of them (and of others, which are ignored).
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(
        settings: PollSettings,
        positions: &BTreeMap<SourceId, ReadPosition>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let interval = settings.interval.min(LONGEST);
        let limits = Limits {
            timeout: settings.timeout.min(LONGEST),
            per_node: interval,
            body: settings.body_limit,
        };
        let with_tls = settings.nodes.iter().any(|node| node.url().scheme() == "https");
        let client = client::build(limits.connect(), with_tls)
            .map_err(|error| SetupError { cause: error.into() })?;
        let nodes: Vec<_> = settings
            .nodes
            .into_iter()
            .map(|address| {
                let position = positions.get(address.source_id());
                Node::new(address, position)
            })
            .collect();
        Ok(Self {
            id: SourceId::new("HTTP polling"),
            sources: nodes.iter().map(|node| node.id().clone()).collect(),
            nodes,
            concurrency: settings.concurrency.get(),
            limits,
            client,
            clock,
            memory: None,
            rounds: Rounds::new(settings.schedule, interval),
            waiting: VecDeque::new(),
            visits: JoinSet::new(),
            visited: HashMap::new(),
            receipts: 0,
        })
    }

    /// Begins each round where `repo` says that the nodes were read to, and not
    /// where this source was itself: if a backup was put in the database's
    /// place meanwhile, what it lacks is asked for again.
    #[must_use]
    pub fn following(self, repo: Arc<dyn MeasurementRepo>) -> Self {
        Self { memory: Some(repo), ..self }
    }

    /// The nodes, in the order of the settings.
    #[must_use]
    pub fn sources(&self) -> &[SourceId] {
        &self.sources
    }

    /// Starts visits of this round's nodes as long as there is room.
    fn start_visits(&mut self) {
        while self.visits.len() < self.concurrency
            && let Some(index) = self.waiting.pop_front()
        {
            let visit =
                self.nodes[index].visit(self.client.clone(), self.limits, Arc::clone(&self.clock));
            let task = self.visits.spawn(visit);
            self.visited.insert(task.id(), index);
        }
    }

    /// Takes the repository's word for how far the nodes were read.
    async fn recall(&mut self) {
        let Some(repo) = &self.memory else { return };
        match repo.read_positions().await {
            Ok(positions) => {
                for node in &mut self.nodes {
                    node.recall(positions.get(node.id()));
                }
            }
            // Whoever stores next says so; what is known here is as good.
            Err(error) => tracing::debug!(%error, "read positions are not known: {error}"),
        }
    }

    fn settle(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Result<Delivery, SourceError> {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let index = self.visited.remove(&task);
        let Some(node) = index.and_then(|index| self.nodes.get_mut(index)) else {
            return Err(SourceError::Unavailable {
                from: self.id.clone(),
                what: "a visit ended that was not begun".into(),
                cause: ended.err().map(Into::into),
            });
        };
        match ended {
            Ok((_, outcome)) => {
                self.receipts += 1;
                node.settle(outcome, Receipt(self.receipts))
            }
            Err(error) => Err(SourceError::Unavailable {
                from: node.id().clone(),
                what: "the visit failed within the collector".into(),
                cause: Some(error.into()),
            }),
        }
    }
}

impl fmt::Debug for HttpPolling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPolling")
            .field("sources", &self.sources)
            .field("limits", &self.limits)
            .field("rounds", &self.rounds)
            .field("waiting", &self.waiting.len())
            .field("visits", &self.visits.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl NodeSource for HttpPolling {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        loop {
            self.start_visits();
            // Cancel-safe: an outcome leaves the set only as this returns.
            if let Some(ended) = self.visits.join_next_with_id().await {
                return self.settle(ended).map(Some);
            }
            let Some(begin) = self.rounds.next(Instant::now()) else {
                return Ok(None);
            };
            sleep_until(begin).await;
            self.recall().await;
            self.rounds.begin(Instant::now());
            self.waiting.extend(0..self.nodes.len());
        }
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        for node in &mut self.nodes {
            if node.confirm(receipt) {
                break;
            }
        }
        Ok(())
    }
}
