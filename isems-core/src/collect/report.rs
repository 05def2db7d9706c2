//! What is told of each delivery.

use std::{collections::BTreeMap, fmt};

use super::Doubt;
use crate::{Basis, NodeId, SourceId, SourceKind, Tally, wire::Rejected};

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryReport {
    /// Where it came from.
    pub source: SourceId,
    /// The kind of that source.
    pub kind: SourceKind,
    /// Counts of its lines.
    pub tally: Tally,
    /// Those of each node, as far as it is known whose lines they are.
    pub by_node: BTreeMap<NodeId, Tally>,
    /// The nodes that it holds usable lines of, new or known.
    pub nodes: Vec<NodeId>,
    /// Examples of what could not be used.
    pub rejected: Vec<Rejected>,
    /// What a polled node answered in place of a log, such as a web page: then
    /// its source has failed.
    pub failure: Option<String>,
    /// What an operator should know.
    pub notes: Vec<Note>,
}

impl DeliveryReport {
    /// Adds counts, which are those of `node` if one is named.
    pub(super) fn count(&mut self, node: Option<&NodeId>, counts: &Tally) {
        self.tally.add(counts);
        if let Some(node) = node {
            self.by_node.entry(node.clone()).or_default().add(counts);
        }
    }
}

/// Something odd about a delivery that does not keep it from being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Our own clock is doubted: nothing is corrected or refused by it.
    OwnClockDoubted(Doubt),
    /// A node's clock is wrong; its new lines are stored under this offset.
    NodeClockWrong {
        /// The node.
        node: NodeId,
        /// Observed minus reported, in seconds.
        offset: i64,
        /// Why the offset is believed.
        basis: Basis,
    },
    /// More nodes than the limit came up within an hour; what the others send
    /// is rejected.
    TooManyNewNodes {
        /// The limit.
        limit: usize,
    },
    /// Two addresses report the same node id: two nodes have one name, or one
    /// node has two addresses.
    NodeAtTwoAddresses {
        /// The node.
        node: NodeId,
        /// The other address.
        other: SourceId,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnClockDoubted(doubt) => {
                write!(f, "the clock of this machine is doubted: {doubt}")
            }
            Self::NodeClockWrong { node, offset, basis } => write!(
                f,
                "the clock of {node} is wrong: its lines are stored {offset:+} s from what it reports ({})",
                basis.as_str()
            ),
            Self::TooManyNewNodes { limit } => write!(
                f,
                "more than {limit} new nodes came up within an hour; what further ones send is rejected"
            ),
            Self::NodeAtTwoAddresses { node, other } => {
                write!(
                    f,
                    "{node} is also reported by {other}: give each node a name of its own, or poll it once"
                )
            }
        }
    }
}
