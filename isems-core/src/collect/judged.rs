//! What became of a delivery at the desk.

use super::{Note, parsed::LogLine};
use crate::{
    Measurement, NodeId, Tally,
    wire::{RejectReason, Rejected, csv_log},
};

/// What became of a delivery at the desk.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// New measurements.
    pub(super) rows: Vec<Measurement>,
    /// Counts of what is not in `rows`.
    pub(super) tally: Tally,
    pub(super) rejected: Vec<Rejected>,
    pub(super) notes: Vec<Note>,
}

impl Judged {
    /// A line of unknown age has no usable time.
    pub(super) fn refuse(&mut self, node: &NodeId, line: &LogLine) {
        let excerpt = format!("{node};…;{}", line.reported);
        self.reject(1, RejectReason::Retained, &excerpt);
    }

    /// Too many nodes are new, and this is one of them.
    pub(super) fn turn_away(&mut self, limit: usize, lines: u64, node: &NodeId) {
        self.reject(lines, RejectReason::TooManyNewNodes, node.as_str());
        let said = Note::TooManyNewNodes { limit };
        if !self.notes.contains(&said) {
            self.notes.push(said);
        }
    }

    fn reject(&mut self, lines: u64, reason: RejectReason, excerpt: &str) {
        *self.tally.rejected.entry(reason.key().to_owned()).or_default() += lines;
        if self.rejected.len() < csv_log::Log::EXAMPLES {
            self.rejected.push(Rejected::new(0, reason, excerpt.as_bytes()));
        }
    }
}
