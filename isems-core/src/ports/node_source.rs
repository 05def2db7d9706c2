//! The port through which deliveries of nodes come in.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::BoxError;
use crate::Timestamp;

/// Names one place that data comes from: a node's address or a broker, as an
/// operator would recognise it. Holds no credentials: it is shown and logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// A source by its name, for example `http://10.0.0.1/ISEMS/ffopenmppt.log`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The kind of a source, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A node that is polled over HTTP.
    Http,
    /// A broker that nodes publish to.
    Mqtt,
    /// Anything else that someone plugs in.
    Other,
}

impl SourceKind {
    /// The word of the API: `http`, `mqtt` or `other`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Mqtt => "mqtt",
            Self::Other => "other",
        }
    }

    /// The kind that [`as_str`](Self::as_str) gave this word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "http" => Self::Http,
            "mqtt" => Self::Mqtt,
            _ => Self::Other,
        }
    }
}

/// How far a source was read, in the words of its adapter (for HTTP: `ETag` and
/// digest of the log's beginning). The repository keeps it with the rows that
/// it speaks of; nobody else looks inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPosition(pub String);

/// An adapter's own mark on a delivery, handed back by
/// [`NodeSource::confirm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub u64);

/// What the bytes of a delivery are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Lines of 18 or 19 fields ([`wire::csv_log`](crate::wire::csv_log)).
    CsvLog,
    /// One JSON object without node id and time
    /// ([`wire::telemetry_json`](crate::wire::telemetry_json)).
    TelemetryJson,
    /// A router's status file ([`wire::status_json`](crate::wire::status_json)).
    StatusJson,
}

/// How the bytes of a delivery end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A message that is whole by the protocol's promise: its last line counts.
    Whole,
    /// A growing log, read to the end of the answer: its last line counts if
    /// it is terminated or visibly complete.
    Log,
    /// An answer that stopped early: only lines up to the last newline count,
    /// and the source is read again from its old position.
    Cut,
}

/// What one source handed over at one moment: raw bytes, and all that the
/// domain needs to judge them.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where it comes from.
    pub source: SourceId,
    /// The kind of that source.
    pub kind: SourceKind,
    /// What the bytes are.
    pub format: Format,
    /// The bytes. Empty: an answer without news.
    pub payload: Vec<u8>,
    /// So many bytes at the beginning are, byte for byte, what a delivery that
    /// was confirmed held before; they end with a line. They are not looked at
    /// again and not counted again.
    pub known_prefix: usize,
    /// How the bytes end.
    pub framing: Framing,
    /// MQTT: the topic. For CSV it must agree with the payload.
    pub topic: Option<String>,
    /// The node that the sender's address names. Formats whose bytes name none
    /// (telemetry JSON) are believed to be of it; what cannot be read at all is
    /// counted for it.
    pub node: Option<String>,
    /// When the answer's head or the message reached us.
    pub arrival: Timestamp,
    /// The sender's own clock at that moment, if it told (`Date` header).
    pub sender_clock: Option<Timestamp>,
    /// The transport says that it may have delivered this before (MQTT `DUP`).
    pub redelivered: bool,
    /// The broker kept this from some unknown time (MQTT `RETAIN`).
    pub retained: bool,
    /// Bytes that crossed the network for this, as far as known.
    pub bytes: u64,
    /// What to remember of the source once this is stored.
    pub position: Option<ReadPosition>,
    /// Comes back in [`NodeSource::confirm`].
    pub receipt: Receipt,
}

/// Why a source could not deliver. None of these is the end of the source
/// unless it says so: the caller notes it and calls [`NodeSource::next`] again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It could not be reached, or the link broke. It will be tried again.
    #[error("{from}: {what}")]
    Unavailable {
        /// The source.
        from: SourceId,
        /// What happened, for people.
        what: String,
        /// The cause beneath.
        #[source]
        cause: Option<BoxError>,
    },
    /// It answered too slowly.
    #[error("{from}: {what}")]
    TimedOut {
        /// The source.
        from: SourceId,
        /// What took how long, for people.
        what: String,
    },
    /// It answered, but not with data.
    #[error("{from}: {what}")]
    Refused {
        /// The source.
        from: SourceId,
        /// What it answered, for people.
        what: String,
    },
    /// It sent more than the limit.
    #[error("{from}: sent more than {limit} bytes")]
    TooLarge {
        /// The source.
        from: SourceId,
        /// The limit in bytes.
        limit: u64,
    },
    /// The source is over and cannot be used again.
    #[error("{from}: {what}")]
    Closed {
        /// The source.
        from: SourceId,
        /// Why, for people.
        what: String,
        /// The cause beneath.
        #[source]
        cause: Option<BoxError>,
    },
}

impl SourceError {
    /// The source that failed.
    #[must_use]
    pub fn source_id(&self) -> &SourceId {
        match self {
            Self::Unavailable { from, .. }
            | Self::TimedOut { from, .. }
            | Self::Refused { from, .. }
            | Self::TooLarge { from, .. }
            | Self::Closed { from, .. } => from,
        }
    }

    /// What happened without the source's name, with the causes beneath.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = match self {
            Self::Unavailable { what, .. }
            | Self::TimedOut { what, .. }
            | Self::Refused { what, .. }
            | Self::Closed { what, .. } => what.clone(),
            Self::TooLarge { limit, .. } => format!("sent more than {limit} bytes"),
        };
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let line = error.to_string();
            // Many libraries repeat the cause in their own words.
            if !text.contains(&line) {
                text = format!("{text}: {line}");
            }
            cause = error.source();
        }
        text
    }

    /// Whether the source can be used no more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// Something that hands over what nodes measured.
///
/// # What an implementer guarantees
/// - Payloads are byte-exact and bounded in size.
/// - [`next`](Self::next) is cancel-safe: dropping its future loses no
///   delivery.
/// - One dead node delays nobody else; its failure is one `Err`, and the next
///   call goes on.
/// - It pauses between its failures: what cannot work yet is tried again after
///   a while, within [`next`](Self::next). The caller calls again at once, so a
///   source that fails at once for ever keeps a whole core busy with it.
/// - A delivery that is never confirmed comes again, after a reconnect or in
///   the next round. It is not acknowledged to the node or broker before
///   [`confirm`](Self::confirm).
/// - It does not wait for confirmations: callers store several deliveries
///   together. When it does stop for want of them, at least two are out.
/// - A receipt confirms its own delivery and no other, whichever came first.
/// - Memory is bounded: without calls to `next`, reading stops.
///
/// # What a caller guarantees
/// - It confirms a receipt only when what the delivery held is durable, each at
///   most once, in any order.
///
/// `isems_core::testing::source_suite` (feature `testing`) holds a source
/// against all of this.
#[async_trait]
pub trait NodeSource: Send {
    /// The source as a whole; its deliveries may name finer ones.
    fn id(&self) -> &SourceId;

    /// Waits for the next delivery. `None`: the source is over (a single round
    /// is complete).
    ///
    /// # Errors
    /// See [`SourceError`]; call again unless it [is final](SourceError::is_final).
    async fn next(&mut self) -> Result<Option<Delivery>, SourceError>;

    /// Says that what the delivery with this receipt held is durable now. A
    /// receipt of an earlier connection is ignored.
    ///
    /// # Errors
    /// If the source cannot be told; the delivery may then come again, which
    /// the repository recognises.
    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError>;
}
