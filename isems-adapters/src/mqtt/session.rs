//! The connection's task: connects, subscribes, hands over, tries again.

mod diary;

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use isems_core::{Clock, Delivery, Framing, Receipt, SourceError, SourceId, SourceKind};
use rustls::ClientConfig;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{Instant, timeout},
};

use self::diary::{Advice, Diary};
use super::{
    BrokerAddress, MqttSettings,
    backoff::Backoff,
    ending::{Ending, EndingKind},
    inbox::Inbox,
    link::{self, Granted, Happening, Link, Message, Requests},
    topic::route,
};

/// So long a broker has to take a connection, if it is still there.
const STILL_THERE: Duration = Duration::from_secs(2);
/// So long it keeps one, if it goes on.
const GOES_ON: Duration = Duration::from_millis(500);

/// Everything that outlives a single connection.
pub(super) struct Session {
    settings: MqttSettings,
    tls: Option<Arc<ClientConfig>>,
    source: SourceId,
    inbox: Arc<Inbox>,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    diary: Diary,
    ignored: u64,
}

/// Tells the collector when the task is gone, however that came.
struct EndGuard(Arc<Inbox>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Session {
    pub(super) fn new(
        settings: MqttSettings,
        tls: Option<Arc<ClientConfig>>,
        source: SourceId,
        inbox: Arc<Inbox>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            backoff: Backoff::new(settings.retry_min, settings.retry_max),
            diary: Diary::new(source.clone(), &settings),
            settings,
            tls,
            source,
            inbox,
            clock,
            ignored: 0,
        }
    }

    /// Runs until [`Inbox::close`] or until it is aborted.
    pub(super) async fn run(mut self) {
        let _guard = EndGuard(Arc::clone(&self.inbox));
        loop {
            let ending = self.hold_link().await;
            self.inbox.detach();
            if self.inbox.is_closing() {
                return;
            }
            let now = Instant::now();
            let goes_on =
                self.diary.was_thrown_out(ending.kind, now) && goes_on(&self.settings.broker).await;
            let lost = self.diary.lost(ending, goes_on, now);
            if let Some(trouble) = lost.trouble {
                self.inbox.report(trouble);
            }
            // Two clients with one id throw each other out after a pause: they
            // must not take that for success, or they never slow down.
            if lost.held.is_some_and(|held| held >= self.settings.retry_max) {
                self.backoff.reset();
            }
            // Not cryptography: any spread will do.
            let dice = RandomState::new().hash_one(0);
            #[expect(clippy::cast_possible_truncation, reason = "any 32 of the bits will do")]
            tokio::time::sleep(self.backoff.pause(dice as u32)).await;
            if lost.advice == Advice::DropSession {
                self.inbox.keep_all();
                if let Err(ending) = self.drop_session().await {
                    tracing::debug!(broker = %self.source, ?ending, "session not dropped");
                }
            }
        }
    }

    /// One connection from beginning to end.
    async fn hold_link(&mut self) -> Ending {
        let mut link = link::new(&self.settings, self.tls.as_ref(), false);
        let requests = link.requests();
        loop {
            let happening = match poll(link.as_mut()).await {
                Ok(happening) => happening,
                Err(ending) => {
                    self.inbox.detach();
                    for message in link.leftovers() {
                        let kept = message.mark.is_some();
                        if let Some(delivery) = self.delivery(message) {
                            self.inbox.leave(delivery, kept);
                        }
                    }
                    return ending;
                }
            };
            match happening {
                Happening::Connected { resumed } => {
                    self.inbox.attach(Arc::clone(&requests), resumed);
                    if let Err(ending) = link.subscribe(&self.settings.topics) {
                        return ending;
                    }
                    self.diary.connected(resumed, Instant::now());
                }
                Happening::Subscribed(answers) => {
                    if let Err(ending) = self.subscribed(&answers) {
                        return ending;
                    }
                }
                Happening::Message(message) => self.take(message, requests.as_ref()).await,
                // Behind our farewell the broker hangs up: only then has it
                // read the acknowledgements before it.
                Happening::Disconnected | Happening::Other => {}
            }
        }
    }

    /// Makes the broker forget our session and what it holds for us.
    async fn drop_session(&self) -> Result<(), Ending> {
        let mut link = link::new(&self.settings, self.tls.as_ref(), true);
        let requests = link.requests();
        let mut left = false;
        loop {
            match poll(link.as_mut()).await {
                Ok(Happening::Connected { .. }) => requests.disconnect(),
                Ok(Happening::Disconnected) => left = true,
                Ok(_) => {}
                Err(_) if left => return Ok(()),
                Err(ending) => return Err(ending),
            }
        }
    }

    /// Judges the broker's answer to the subscription. It is an ending only if
    /// every topic is refused: the others go on.
    fn subscribed(&mut self, answers: &[Granted]) -> Result<(), Ending> {
        let mut refused = Vec::new();
        for (topic, answer) in self.settings.topics.iter().zip(answers) {
            match answer {
                Ok(true) => {}
                Ok(false) => tracing::warn!(
                    broker = %self.source,
                    %topic,
                    "MQTT broker {} gives topic {topic} only with quality of service 0: \
                     messages can be lost",
                    self.source,
                ),
                Err(reason) => refused.push(format!("{topic} ({reason})")),
            }
        }
        if refused.is_empty() {
            self.diary.subscribed();
            return Ok(());
        }
        let what = format!(
            "the broker refuses the subscription to {}: check MQTT_TOPICS and the \
             broker's access rules",
            refused.join(", "),
        );
        if refused.len() == self.settings.topics.len() {
            return Err(Ending::new(EndingKind::Refused, what));
        }
        tracing::error!(broker = %self.source, "MQTT broker {}: {what}", self.source);
        self.inbox.report(SourceError::Refused { from: self.source.clone(), what });
        self.diary.subscribed();
        Ok(())
    }

    /// Hands a message over, or acknowledges it at once if it is none of ours.
    async fn take(&mut self, message: Message, requests: &dyn Requests) {
        let mark = message.mark;
        match self.delivery(message) {
            Some(delivery) => self.inbox.offer(delivery, mark).await,
            None => {
                if let Some(mark) = mark {
                    requests.acknowledge(mark);
                }
            }
        }
    }

    /// The message as a delivery; `None` if its topic does not concern us.
    fn delivery(&mut self, message: Message) -> Option<Delivery> {
        let Some((topic, route)) = message
            .topic
            .as_deref()
            .and_then(|topic| Some((topic, route(&self.settings.topics, topic)?)))
        else {
            self.ignored += 1;
            tracing::debug!(
                broker = %self.source,
                topic = message.topic.as_deref().unwrap_or("(not UTF-8)"),
                ignored = self.ignored,
                "ignored a message of MQTT broker {}: its topic ends neither in csvlog \
                 nor in data.json",
                self.source,
            );
            return None;
        };
        Some(Delivery {
            source: self.source.clone(),
            kind: SourceKind::Mqtt,
            format: route.format,
            topic: Some(topic.to_owned()),
            node: route.node,
            payload: message.payload,
            known_prefix: 0,
            framing: Framing::Whole,
            arrival: self.clock.now(),
            sender_clock: None,
            redelivered: message.duplicate,
            retained: message.retained,
            bytes: message.size as u64,
            position: None,
            // Given by the inbox.
            receipt: Receipt(0),
        })
    }
}

/// Polls with a limit: a library that hangs must not hang us.
async fn poll(link: &mut dyn Link) -> Result<Happening, Ending> {
    let limit = link.pulse().saturating_mul(2);
    timeout(limit, link.poll()).await.unwrap_or_else(|_| Err(Ending::no_answer()))
}

/// Whether a broker that closed our connection goes on without us: it takes
/// another one, and waits for what that has to say. What is taken in the name of
/// one that is being ended, or is gone behind a proxy, is closed at once.
async fn goes_on(broker: &BrokerAddress) -> bool {
    let attempt = TcpStream::connect((broker.host(), broker.port()));
    match timeout(STILL_THERE, attempt).await {
        Ok(Ok(mut connection)) => timeout(GOES_ON, connection.read_u8()).await.is_err(),
        _ => false,
    }
}
