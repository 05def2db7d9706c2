//! Nodes that publish to an MQTT broker.
//!
//! ```text
//! broker ──PUBLISH──▶ Link (one rumqttc event loop per connection)
//!        ──▶ Session (a task of its own: connects, subscribes, tries again)
//!        ──▶ Inbox (bounded) ──▶ MqttSubscription::next
//! broker ◀──PUBACK── Link ◀── Inbox (knows what this connection still owes) ◀── confirm
//! ```
//!
//! Three rules carry the whole adapter:
//! - A message is acknowledged only when its receipt is confirmed. The broker
//!   keeps the session, so what was not acknowledged comes again.
//! - What waits in the inbox waits there over any number of connections: a broker
//!   that was killed has forgotten what came since it last saved. What comes
//!   again and still waits is not taken twice, but acknowledged when the first
//!   copy is confirmed.
//! - A receipt belongs to one connection. When that is gone the receipt means
//!   nothing, also if the broker has given its packet id to another message.
//!
//! MQTT asks for acknowledgements in the order of arrival; they are sent in the
//! order of confirmation instead, because one delivery that cannot be stored
//! must not bring all later ones back.

mod address;
mod backoff;
mod ending;
mod inbox;
mod link;
mod session;
mod settings;
mod tls;
mod topic;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use isems_core::{Clock, Delivery, NodeSource, Receipt, SourceError, SourceId};
use tokio::{runtime::Handle, task::JoinHandle};

pub use self::{
    address::{BrokerAddress, BrokerAddressError},
    settings::{MqttSettings, Protocol, ProtocolError},
    tls::check_authorities,
    topic::{TopicFilter, TopicFilterError, parse_filters},
};
use self::{inbox::Inbox, session::Session};

/// How long [`MqttSubscription::close`] waits for the broker to take the last
/// acknowledgements.
const GOODBYE_LIMIT: Duration = Duration::from_secs(3);

/// A persistent subscription at one broker, as a [`NodeSource`].
///
/// It connects in the background, reconnects for ever and says so in the log.
/// While the broker cannot be used, [`next`](NodeSource::next) gives one error
/// for the whole episode and then waits. Dropping the subscription cuts the
/// connection; [`close`](Self::close) ends it in good order.
pub struct MqttSubscription {
    source: SourceId,
    window: usize,
    inbox: Arc<Inbox>,
    task: JoinHandle<()>,
}

impl MqttSubscription {
    /// Starts connecting; must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`SourceError::Closed`] if the settings contradict each other or
    /// `MQTT_CA_FILE` cannot be used. That the broker is away is no error here.
    pub fn start(settings: MqttSettings, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let source = settings.broker.source_id();
        let closed = |what: String| SourceError::Closed { from: source.clone(), what, cause: None };
        settings.check().map_err(closed)?;
        let tls = tls::for_broker(&settings).map_err(closed)?;
        let runtime = Handle::try_current()
            .map_err(|_| closed("must be started inside a Tokio runtime".into()))?;

        let inbox = Arc::new(Inbox::new(source.clone()));
        let window = settings.protocol.window();
        let session = Session::new(settings, tls, source.clone(), Arc::clone(&inbox), clock);
        let task = runtime.spawn(session.run());
        Ok(Self { source, window, inbox, task })
    }

    /// So many deliveries can be unconfirmed before the broker sends no more:
    /// whoever collects deliveries before storing them must not wait for more.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Sends the acknowledgements that are still on their way and disconnects.
    /// The session stays with the broker, so what was not confirmed, and what
    /// nodes publish meanwhile, comes at the next start. Takes at most three
    /// seconds.
    pub async fn close(mut self) {
        // Without a connection nothing is owed to anybody.
        if self.inbox.close() && tokio::time::timeout(GOODBYE_LIMIT, &mut self.task).await.is_err()
        {
            tracing::warn!(
                broker = %self.source,
                "MQTT broker {} did not take the last acknowledgements in time; \
                 it will send those messages again",
                self.source,
            );
        }
    }
}

impl Drop for MqttSubscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for MqttSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttSubscription").field("source", &self.source).finish_non_exhaustive()
    }
}

#[async_trait]
impl NodeSource for MqttSubscription {
    fn id(&self) -> &SourceId {
        &self.source
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        self.inbox.next().await.map(Some)
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        self.inbox.confirm(receipt);
        Ok(())
    }
}
