//! Rounds, one after the other, each node once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use isems_core::NodeSource as _;
use tokio::sync::{Barrier, Semaphore};

use super::{
    FakeNode, LOG, at_most, delivery,
    fake_node::{Act, Event},
    file, fixture, line, many_rounds, next, polling, settings,
};

/// The URLs of so many logs on one server, each answered so.
fn logs(node: &FakeNode, count: usize, acts: &[Act]) -> String {
    let urls = (0..count).map(|n| {
        let path = format!("/{n}");
        node.answer(&path, acts.to_vec());
        node.url(&path)
    });
    urls.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_single_round_gives_one_result_for_each_node_and_is_over() {
    let good = FakeNode::with_log(file("1", line(0))).await;
    let bad = FakeNode::with_log(fixture("http/router_race_403.raw")).await;
    let mut source = polling(settings(&format!("{} {}", good.address, bad.address)));
    let named: Vec<_> = source.sources().iter().map(ToString::to_string).collect();
    assert_eq!(named, [good.url(LOG), bad.url(LOG)]);
    let mut results = BTreeSet::new();
    for _ in 0..2 {
        results.insert(match next(&mut source).await {
            Ok(got) => got.unwrap().source.to_string(),
            Err(error) => error.source_id().to_string(),
        });
    }
    assert_eq!(results, BTreeSet::from([good.url(LOG), bad.url(LOG)]));
    for _ in 0..2 {
        assert!(next(&mut source).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn no_more_nodes_than_allowed_are_asked_at_once() {
    let node = FakeNode::start().await;
    // Each answer waits for a second connection: fewer than two at once would
    // never end.
    let acts = [Act::Meet(Arc::new(Barrier::new(2))), Act::Send(file("1", line(0)))];
    let mut settings = settings(&logs(&node, 6, &acts));
    settings.concurrency = at_most(2);
    let mut source = polling(settings);
    for _ in 0..6 {
        delivery(&mut source).await;
    }
    assert_eq!(node.most_open(), 2);
}

#[tokio::test]
async fn without_calls_reading_stops() {
    let node = FakeNode::start().await;
    let mut settings = settings(&logs(&node, 6, &[Act::Send(file("1", line(0)))]));
    settings.concurrency = at_most(1);
    let mut source = polling(settings);
    delivery(&mut source).await;
    delivery(&mut source).await;
    assert_eq!(node.requests().len(), 2);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let gate = Arc::new(Semaphore::new(0));
    let node =
        FakeNode::with_log(vec![Act::Gate(Arc::clone(&gate)), Act::Send(file("1", line(0)))]).await;
    let mut source = polling(settings(&node.address.to_string()));
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_millis(20), source.next()).await;
        assert!(waited.is_err(), "the gate is closed");
    }
    gate.add_permits(1);
    assert_eq!(delivery(&mut source).await.payload, line(0).as_bytes());
    assert_eq!(node.requests().len(), 1);
    assert!(next(&mut source).await.unwrap().is_none());
}

#[tokio::test]
async fn a_round_never_overlaps_the_next() {
    const NODES: usize = 5;
    const ROUNDS: usize = 2;
    let node = FakeNode::start().await;
    let acts = [Act::Rest(Duration::from_millis(300)), Act::Send(file("1", line(0)))];
    let mut settings = many_rounds(&logs(&node, NODES, &acts));
    // Two at a time: a round takes longer than the interval.
    settings.concurrency = at_most(2);
    let mut source = polling(settings);
    for _ in 0..NODES * ROUNDS {
        // A busy machine may cut a node short; the order is what counts here.
        let _ = next(&mut source).await;
    }
    let (mut asked, mut answered) = (0, 0);
    for event in node.events() {
        match event {
            Event::Asked(_) if asked % NODES == 0 => {
                assert_eq!(answered, asked, "the round before is complete");
                asked += 1;
            }
            Event::Asked(_) => asked += 1,
            Event::Answered(_) => answered += 1,
        }
    }
    assert_eq!(asked, NODES * ROUNDS);
}

#[tokio::test]
async fn the_next_round_waits_for_its_time() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    let settings = many_rounds(&node.address.to_string());
    let mut source = polling(settings);
    let begun = std::time::Instant::now();
    delivery(&mut source).await;
    delivery(&mut source).await;
    assert!(begun.elapsed() >= Duration::from_millis(540));
    assert_eq!(node.requests().len(), 2);
}

#[tokio::test]
async fn a_receipt_of_nobody_is_ignored() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    let mut source = polling(settings(&node.address.to_string()));
    source.confirm(isems_core::Receipt(99)).await.unwrap();
    assert_eq!(delivery(&mut source).await.payload, line(0).as_bytes());
}
