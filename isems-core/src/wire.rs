//! What nodes send: bytes in, [`Reading`]s and [`Rejected`] lines out.
//!
//! A bad line is data, not an error: it is counted, its neighbours are kept,
//! and no bytes make a parser panic.

pub mod csv_log;
mod json;
mod number;
pub mod status_json;
pub mod telemetry_json;
mod text;
mod topic;

use std::fmt;

pub use topic::csv_topic_names;

use crate::{NodeId, NodeIdError, Sample, Timestamp};

/// One line that a node sent, with the time it claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Who says it.
    pub node: NodeId,
    /// The time in the line, right or wrong.
    pub reported: Timestamp,
    /// The values.
    pub sample: Sample,
}

/// Why a line, or a whole answer, could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// Neither 18 nor 19 fields; a `;` in a name makes 20.
    #[error("has {0} fields instead of 18 or 19")]
    FieldCount(usize),
    /// Field 1 cannot name a node.
    #[error("the node id {0}")]
    NodeId(#[from] NodeIdError),
    /// Field 3 is not a whole number of seconds from 0.
    #[error("the timestamp is not a whole number of seconds")]
    Timestamp,
    /// The named field is not a number.
    #[error("{0} is not a number")]
    Number(&'static str),
    /// The named text field holds something else.
    #[error("{0} is not a text")]
    Text(&'static str),
    /// Field 19 is not one to four hex digits.
    #[error("the status is not a hexadecimal number of up to four digits")]
    Status,
    /// Nothing in the answer looks like a line of a log (HTML, an error page).
    #[error("the answer is not a log")]
    NotALog,
    /// Not the JSON object that was expected.
    #[error("not usable JSON: {0}")]
    Json(String),
    /// The MQTT topic names another node than the payload.
    #[error("the topic does not name this node")]
    NodeMismatch,
    /// A retained message of unknown age without a usable time.
    #[error("retained by the broker, and without a usable time")]
    Retained,
    /// More nodes than are accepted in an hour came up; this one is not
    /// accepted.
    #[error("too many new nodes within an hour")]
    TooManyNewNodes,
    /// More nodes than a single log is believed to hold.
    #[error("the log names too many nodes")]
    TooManyNodes,
    /// `NODE;1;0;` and zeros: what a node sends before its first measurement.
    #[error("a placeholder from before the first measurement")]
    BootPlaceholder,
}

impl RejectReason {
    /// The word under which such lines are counted.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::FieldCount(_) => "field count",
            Self::NodeId(_) => "node id",
            Self::Timestamp => "timestamp",
            Self::Number(field) | Self::Text(field) => field,
            Self::Status => "status",
            Self::NotALog => "not a log",
            Self::Json(_) => "not JSON",
            Self::NodeMismatch => "node mismatch",
            Self::Retained => "retained",
            Self::TooManyNewNodes => "too many new nodes",
            Self::TooManyNodes => "too many nodes",
            Self::BootPlaceholder => "boot placeholder",
        }
    }
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number in the payload, from 1; 0 if it has none.
    pub line: usize,
    /// Why.
    pub reason: RejectReason,
    /// Its beginning, for people: at most [`Rejected::EXCERPT`] characters,
    /// control characters escaped.
    pub excerpt: String,
}

impl Rejected {
    /// The length of an excerpt, in characters.
    pub const EXCERPT: usize = 120;

    pub(crate) fn new(line: usize, reason: RejectReason, bytes: &[u8]) -> Self {
        // Four bytes are the most that one character takes.
        let head = &bytes[..bytes.len().min(Self::EXCERPT * 4)];
        let excerpt = String::from_utf8_lossy(head)
            .chars()
            .take(Self::EXCERPT)
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect();
        Self { line, reason, excerpt }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{}: {}", self.reason, self.excerpt)
    }
}
