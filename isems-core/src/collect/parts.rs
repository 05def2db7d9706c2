//! A delivery as the repository gets it: a part for each node, so that each has
//! its own counts.

use super::judged::Judged;
use crate::{Delivery, NodeId, SourcePart, SourceUpdate, Tally};

/// The parts of one delivery; `failure` says why it is of no use. The first says what holds for the delivery as a
/// whole; with one node, as is usual, it is all.
pub(super) fn of(delivery: &Delivery, failure: Option<&str>, judged: Judged) -> Vec<SourcePart> {
    let update = |node: Option<NodeId>, tally: Tally| SourceUpdate {
        source: delivery.source.clone(),
        kind: delivery.kind,
        at: delivery.arrival,
        error: failure.map(ToOwned::to_owned),
        position: None,
        tally,
        bytes: 0,
        clock_offset: None,
        node,
    };
    let whole = |node, tally| SourceUpdate {
        position: delivery.position.clone(),
        bytes: delivery.bytes,
        clock_offset: delivery.sender_clock.map(|clock| delivery.arrival.since(clock)),
        ..update(node, tally)
    };
    let part = |update, rows| SourcePart { update: Some(update), rows };
    let mut shares = judged.shares;
    if let [share] = &mut shares[..] {
        let mut tally = judged.common;
        tally.add(&share.tally);
        let rows = std::mem::take(&mut share.rows);
        return vec![part(whole(Some(share.node.clone()), tally), rows)];
    }
    // What is of no use is told of whoever the sender's address names.
    let sender = if shares.is_empty() { named_by(delivery) } else { None };
    let first = part(whole(sender, judged.common), Vec::new());
    let of_nodes =
        shares.into_iter().map(|share| part(update(Some(share.node), share.tally), share.rows));
    std::iter::once(first).chain(of_nodes).collect()
}

fn named_by(delivery: &Delivery) -> Option<NodeId> {
    NodeId::new(delivery.node.as_deref()?).ok()
}
