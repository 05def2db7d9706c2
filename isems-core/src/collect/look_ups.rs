//! How much is looked up for a batch: a node whose log names many times under
//! many clock runs must not keep the others waiting.

/// What is still granted. Each delivery gets its share, and what those before
/// it left over, so that none takes what another needs.
#[derive(Debug)]
pub(super) struct LookUps {
    left: usize,
    /// Deliveries that are still to come.
    to_come: usize,
    /// What the delivery in hand may still take.
    share: usize,
}

impl LookUps {
    /// So many lines are looked up for a batch, each under each run that may
    /// hold it. A full log of 3,660 lines is thereby compared with 54 runs, and
    /// each of 512 messages of five lines with 13; that is about a second of
    /// work.
    const OF_A_BATCH: usize = 200_000;

    /// A question costs as much as so many lines of it.
    const QUESTION: usize = 24;

    /// Shares for so many deliveries.
    pub(super) const fn among(deliveries: usize) -> Self {
        Self { left: Self::OF_A_BATCH, to_come: deliveries, share: 0 }
    }

    /// The next delivery is taken in hand.
    pub(super) fn begin_delivery(&mut self) {
        self.left += self.share;
        self.share = self.left / self.to_come.max(1);
        self.left -= self.share;
        self.to_come = self.to_come.saturating_sub(1);
    }

    /// Whether another delivery follows the one in hand.
    pub(super) const fn more_to_come(&self) -> bool {
        self.to_come > 0
    }

    /// Whether a question for so many lines may be asked; it is counted then.
    pub(super) fn may_ask(&mut self, lines: usize) -> bool {
        let cost = lines.saturating_add(Self::QUESTION);
        let may = cost <= self.share;
        if may {
            self.share -= cost;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_delivery_takes_what_another_needs_and_what_one_leaves_the_next_may_take() {
        let mut look_ups = LookUps::among(4);
        let share = LookUps::OF_A_BATCH / 4 - LookUps::QUESTION;
        look_ups.begin_delivery();
        assert!(!look_ups.may_ask(share + 1), "the others need the rest");
        assert!(look_ups.may_ask(share));
        assert!(!look_ups.may_ask(1), "it is used up");
        look_ups.begin_delivery();
        look_ups.begin_delivery();
        assert!(look_ups.may_ask(share * 3 / 2), "half of what the second left");
        look_ups.begin_delivery();
        assert!(look_ups.may_ask(share), "the last has its share, whatever came before");
    }
}
