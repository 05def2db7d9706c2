//! What became of a delivery at the desk.

use super::{Note, parsed::LogLine};
use crate::{
    Measurement, NodeId, Tally,
    wire::{RejectReason, Rejected, csv_log},
};

/// What became of the lines of one node at the desk, or of a message.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// New measurements.
    pub(super) rows: Vec<Measurement>,
    /// Counts of what is not in `rows`.
    pub(super) tally: Tally,
    rejected: Vec<Rejected>,
    pub(super) notes: Vec<Note>,
}

/// What became of a delivery at the desk.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Counts of what belongs to no node, or to the only one.
    pub(super) common: Tally,
    /// What belongs to one node each.
    pub(super) shares: Vec<Share>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) notes: Vec<Note>,
}

/// A node's share of a delivery.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) node: NodeId,
    /// Counts of what is not in `rows`.
    pub(super) tally: Tally,
    /// New measurements.
    pub(super) rows: Vec<Measurement>,
}

impl Judged {
    /// Adds what became of the lines of a node; nothing if there were none.
    pub(super) fn add(&mut self, node: &NodeId, verdict: Verdict) {
        let Verdict { rows, tally, rejected, notes } = verdict;
        let room = csv_log::Log::EXAMPLES.saturating_sub(self.rejected.len());
        self.rejected.extend(rejected.into_iter().take(room));
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        if !rows.is_empty() || tally != Tally::default() {
            self.shares.push(Share { node: node.clone(), tally, rows });
        }
    }
}

impl Verdict {
    /// A line of unknown age has no usable time.
    pub(super) fn refuse(&mut self, node: &NodeId, line: &LogLine) {
        let excerpt = format!("{node};…;{}", line.reported);
        self.reject(1, RejectReason::Retained, &excerpt);
    }

    /// Too many nodes are new, and this is one of them.
    pub(super) fn turn_away(&mut self, limit: usize, lines: u64, node: &NodeId) {
        self.reject(lines, RejectReason::TooManyNewNodes, node.as_str());
        self.notes.push(Note::TooManyNewNodes { limit });
    }

    fn reject(&mut self, lines: u64, reason: RejectReason, excerpt: &str) {
        *self.tally.rejected.entry(reason.key().to_owned()).or_default() += lines;
        if self.rejected.len() < csv_log::Log::EXAMPLES {
            self.rejected.push(Rejected::new(0, reason, excerpt.as_bytes()));
        }
    }
}
