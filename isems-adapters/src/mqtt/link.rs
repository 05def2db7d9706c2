//! One connection to a broker, whatever version of MQTT it speaks.
//!
//! A link is used once: the client library keeps requests of a broken
//! connection and sends them in the next, where an acknowledgement could name
//! another message by then.

mod v311;
mod v5;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rustls::ClientConfig;

use super::{MqttSettings, Protocol, TopicFilter, ending::Ending};

/// The largest packet taken, in bytes. The firmware's messages have about 500.
const MAX_PACKET: u32 = 256 * 1024;
/// Requests that can wait to be sent. A broker can have 65,535 messages on
/// their way at once: an acknowledgement always finds room.
const REQUESTS: usize = 65_536 + 16;
/// How long connecting may take, name resolution and TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// The library keeps a table of this many messages of ours, and we send none.
const OUTGOING: u16 = 10;

/// How an acknowledgement names its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) packet_id: u16,
    /// Quality of service 2. We never ask for it, but an old session of the
    /// same client id may hold such messages.
    pub(super) exactly_once: bool,
}

/// A message as it came.
#[derive(Debug)]
pub(super) struct Message {
    /// `None`: not UTF-8.
    pub(super) topic: Option<String>,
    pub(super) payload: Vec<u8>,
    /// `None`: needs no acknowledgement (quality of service 0).
    pub(super) mark: Option<Mark>,
    pub(super) duplicate: bool,
    pub(super) retained: bool,
    /// Bytes on the wire.
    pub(super) size: usize,
}

/// What the broker says to one topic filter: whether every message will be
/// acknowledged, or why it refuses.
pub(super) type Granted = Result<bool, String>;

/// What can happen on a link.
#[derive(Debug)]
pub(super) enum Happening {
    /// The broker accepted us; `resumed` if it still had our session.
    Connected { resumed: bool },
    /// Its answer to the subscription, a filter each.
    Subscribed(Vec<Granted>),
    /// A message.
    Message(Message),
    /// Our farewell is out.
    Disconnected,
    /// Nothing that matters here.
    Other,
}

#[async_trait]
pub(super) trait Link: Send {
    /// Waits for the next happening; connects at first. Not cancel-safe: after
    /// an error, or when the future was dropped, the link is of no use.
    async fn poll(&mut self) -> Result<Happening, Ending>;
    /// Asks for these topics.
    fn subscribe(&self, filters: &[TopicFilter]) -> Result<(), Ending>;
    /// The other end of the link, for others.
    fn requests(&self) -> Arc<dyn Requests>;
    /// Messages that were read before the error that `poll` gave.
    fn leftovers(&mut self) -> Vec<Message>;
    /// Something happens at least this often.
    fn pulse(&self) -> Duration;
}

/// What can be asked of a link from outside its task. Requests are sent in the
/// order given; when the link is gone they vanish.
pub(super) trait Requests: Send + Sync {
    fn acknowledge(&self, mark: Mark);
    fn disconnect(&self);
}

/// A link to the broker of these settings, not yet connected. `fresh` tells
/// the broker to forget our session.
pub(super) fn new(
    settings: &MqttSettings,
    tls: Option<&Arc<ClientConfig>>,
    fresh: bool,
) -> Box<dyn Link> {
    match settings.protocol {
        Protocol::V5 => Box::new(v5::V5Link::new(settings, tls, fresh)),
        Protocol::V311 => Box::new(v311::V311Link::new(settings, tls, fresh)),
    }
}

fn transport(tls: Option<&Arc<ClientConfig>>) -> rumqttc::Transport {
    match tls {
        None => rumqttc::Transport::Tcp,
        Some(config) => {
            rumqttc::Transport::Tls(rumqttc::TlsConfiguration::Rustls(Arc::clone(config)))
        }
    }
}
