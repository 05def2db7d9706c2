//! Which clock runs a delivery uses, and what they are afterwards.

use crate::{Basis, ClockRun, Timestamp, clock_rule::Fate};

/// The offset and basis that a fate gives a line.
pub(super) fn under(fate: Fate, runs: &[ClockRun]) -> Option<(i64, Basis)> {
    match fate {
        Fate::Known(run) | Fate::Continues(run) => Some((runs[run].offset, runs[run].basis)),
        Fate::Begins { offset, basis } => Some((offset, basis)),
        Fate::Refused => None,
    }
}

/// The runs that a delivery uses, in the order of its lines.
pub(super) struct UsedRuns {
    /// The present is a guess, since our own clock is doubted.
    guessing: bool,
    used: Vec<(Option<usize>, ClockRun)>,
    pub(super) anything_new: bool,
}

impl UsedRuns {
    /// So many are told apart, those that were used last. No more are kept than
    /// [`ClockRun::KEPT`].
    const REMEMBERED: usize = 4 * ClockRun::KEPT;

    pub(super) const fn new(guessing: bool) -> Self {
        Self { guessing, used: Vec::new(), anything_new: false }
    }

    pub(super) fn note(
        &mut self,
        fate: Fate,
        reported: Timestamp,
        is_new: bool,
        runs: &[ClockRun],
    ) {
        let fresh = |offset, basis| ClockRun {
            offset,
            basis,
            first_reported: reported,
            last_reported: reported,
            guessed: self.guessing && basis != Basis::Node,
        };
        let (index, run) = match fate {
            Fate::Known(index) | Fate::Continues(index) => (Some(index), runs[index]),
            // What is believed as reported is one run, however often the node
            // comes back to it.
            Fate::Begins { offset: 0, basis: Basis::Node } => {
                let known =
                    runs.iter().rposition(|run| run.offset == 0 && run.basis == Basis::Node);
                (known, known.map_or_else(|| fresh(0, Basis::Node), |known| runs[known]))
            }
            Fate::Begins { offset, basis } => (None, fresh(offset, basis)),
            Fate::Refused => return,
        };
        self.anything_new |= is_new;
        let same = |other: &(Option<usize>, ClockRun)| {
            other.0 == index && other.1.offset == run.offset && other.1.basis == run.basis
        };
        // The run that was used last is the newest.
        let mut entry = match self.used.iter().position(same) {
            Some(place) => self.used.remove(place),
            None => (index, run),
        };
        if is_new {
            entry.1.first_reported = entry.1.first_reported.min(reported);
            entry.1.last_reported = entry.1.last_reported.max(reported);
        }
        self.used.push(entry);
        // A log of nothing but clock steps uses a run for each line.
        if self.used.len() > Self::REMEMBERED {
            self.used.remove(0);
        }
    }

    /// The run of the newest lines, if this delivery began it and it differs
    /// from what the node reports: then the node's clock is wrong now. (That
    /// the first line after a boot is off is no news.)
    pub(super) fn begun(&self) -> Option<ClockRun> {
        let (index, run) = self.used.last()?;
        (index.is_none() && run.offset != 0).then_some(*run)
    }

    /// The node's runs from now on: those in use are the newest.
    pub(super) fn after(self, runs: &[ClockRun]) -> Vec<ClockRun> {
        let in_use: Vec<usize> = self.used.iter().filter_map(|(index, _)| *index).collect();
        let others =
            (0..runs.len()).filter(|index| !in_use.contains(index)).map(|index| runs[index]);
        let mut after: Vec<ClockRun> =
            others.chain(self.used.iter().map(|(_, run)| *run)).collect();
        after.drain(..after.len().saturating_sub(ClockRun::KEPT));
        after
    }
}
