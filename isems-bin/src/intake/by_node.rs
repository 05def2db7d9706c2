//! Whose lines are odd, for a line of the log.

use std::collections::BTreeMap;

use isems_core::{NodeId, Tally};

use super::in_words;

/// So many nodes are named in a line.
const NAMED: usize = 5;

/// So many are remembered for a line: whoever may publish can invent them.
const REMEMBERED: usize = 1_000;

/// What is odd about the nodes of a source.
#[derive(Debug, Default)]
pub(super) struct ByNode(BTreeMap<NodeId, Tally>);

impl ByNode {
    /// Adds what is odd about the lines of a delivery: what was rejected or
    /// re-timed, by node.
    pub(super) fn add(&mut self, by_node: &BTreeMap<NodeId, Tally>) {
        for (node, tally) in by_node {
            let odd = Tally {
                retimed: tally.retimed,
                rejected: tally.rejected.clone(),
                ..Tally::default()
            };
            let room = self.0.len() < REMEMBERED || self.0.contains_key(node);
            if odd != Tally::default() && room {
                self.0.entry(node.clone()).or_default().add(&odd);
            }
        }
    }

    /// `, of these NODE: 2 rejected (status); OTHER: …`, those with the most
    /// first; empty if nothing is odd.
    pub(super) fn in_words(&self) -> String {
        let odd = |tally: &Tally| {
            let mut parts = Vec::new();
            if tally.retimed > 0 {
                parts.push(format!("{} re-timed", tally.retimed));
            }
            for (reason, count) in &tally.rejected {
                parts.push(format!("{count} rejected ({reason})"));
            }
            parts.join(", ")
        };
        let mut nodes: Vec<(&NodeId, &Tally)> = self.0.iter().collect();
        nodes.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.rejected_in_all() + tally.retimed));
        listed(", of these ", nodes.iter().map(|(node, tally)| format!("{node}: {}", odd(tally))))
    }
}

/// `, by node NODE: 12 stored; OTHER: …`; empty unless there are several.
pub(super) fn several(by_node: &BTreeMap<NodeId, Tally>) -> String {
    if by_node.len() < 2 {
        return String::new();
    }
    let words = |(node, tally)| format!("{node}: {}", in_words(tally));
    listed(", by node ", by_node.iter().map(words))
}

fn listed(before: &str, nodes: impl ExactSizeIterator<Item = String>) -> String {
    let (all, named) = (nodes.len(), nodes.take(NAMED).collect::<Vec<_>>());
    match (named.len(), all.saturating_sub(NAMED)) {
        (0, _) => String::new(),
        (_, 0) => format!("{before}{}", named.join("; ")),
        (_, more) => format!("{before}{}; and of {more} more", named.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejecting(nodes: usize) -> BTreeMap<NodeId, Tally> {
        let rejected = |count: usize| [("status".to_owned(), count as u64)].into();
        let node = |i: usize| {
            let tally = Tally { stored: 1, rejected: rejected(i + 1), ..Tally::default() };
            (NodeId::new(&format!("N{i:05}")).unwrap(), tally)
        };
        (0..nodes).map(node).collect()
    }

    #[test]
    fn those_that_are_odd_are_named_the_worst_first() {
        let mut odd = ByNode::default();
        assert_eq!(odd.in_words(), "");
        odd.add(&rejecting(3));
        odd.add(&[(NodeId::new("Uhr").unwrap(), Tally { retimed: 1, ..Tally::default() })].into());
        odd.add(&rejecting(2));
        assert_eq!(
            odd.in_words(),
            ", of these N00001: 4 rejected (status); N00002: 3 rejected (status); \
             N00000: 2 rejected (status); Uhr: 1 re-timed"
        );
    }

    #[test]
    fn of_many_a_few_are_named_and_a_bounded_number_is_remembered() {
        let mut odd = ByNode::default();
        odd.add(&rejecting(2 * REMEMBERED));
        assert_eq!(odd.0.len(), REMEMBERED);
        let words = odd.in_words();
        assert_eq!(words.matches(" rejected ").count(), NAMED, "{words}");
        assert!(words.ends_with("; and of 995 more"), "{words}");
    }

    #[test]
    fn the_nodes_of_a_log_are_named_if_there_are_several() {
        assert_eq!(several(&rejecting(1)), "");
        assert_eq!(
            several(&rejecting(2)),
            ", by node N00000: 1 stored, 1 rejected (status); N00001: 1 stored, 2 rejected (status)"
        );
    }
}
