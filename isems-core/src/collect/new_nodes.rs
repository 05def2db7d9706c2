//! How many nodes may come up within an hour: a broker that anybody may write
//! to can name thousands.

use std::collections::BTreeMap;

use crate::{NodeId, Timestamp, time::MINUTE};

/// The time that the limit is for, in seconds.
const WINDOW: u64 = 60 * MINUTE.unsigned_abs();

#[derive(Debug)]
pub(super) struct NewNodes {
    limit: usize,
    /// Never more than the limit.
    admitted: BTreeMap<NodeId, Timestamp>,
}

impl NewNodes {
    pub(super) const fn at_most(limit: usize) -> Self {
        Self { limit, admitted: BTreeMap::new() }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether a node that is not stored yet may be, beside `others` that are
    /// not either.
    pub(super) fn may_come(&self, node: &NodeId, others: &BTreeMap<NodeId, Timestamp>) -> bool {
        let known = self.admitted.contains_key(node) || others.contains_key(node);
        known || self.admitted.len() + others.len() < self.limit
    }

    /// Remembers nodes that were stored for the first time.
    pub(super) fn admit(&mut self, nodes: BTreeMap<NodeId, Timestamp>) {
        self.admitted.extend(nodes);
    }

    /// Forgets nodes that came up more than an hour before `now`.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.admitted.retain(|_, since| now.distance(*since) <= WINDOW);
    }
}
