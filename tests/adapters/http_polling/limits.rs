//! No node can take more than its share of time and memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use isems_core::{Framing, NodeSource as _, SourceError, wire::csv_log};
use tokio::sync::Semaphore;

use super::{
    FakeNode, LOG, PATIENCE, delivery, fake_node::Act, file, fixture, line, lines, next, polling,
    settings, text,
};

/// A head that promises more than will ever come.
fn endless_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 1000000000\r\n\r\n".to_vec()
}

/// Half of it must do for a head on a busy machine.
const MOMENT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_node_that_accepts_and_says_nothing_is_given_up() {
    let node = FakeNode::with_log(vec![Act::Rest(PATIENCE)]).await;
    let mut settings = settings(&node.address.to_string());
    settings.timeout = MOMENT;
    let begun = Instant::now();
    let error = next(&mut polling(settings)).await.unwrap_err();
    assert!(matches!(error, SourceError::TimedOut { .. }), "{error:?}");
    assert!(error.describe().contains("no answer within"), "{error}");
    assert!(begun.elapsed() >= MOMENT / 4);
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn a_dripping_body_is_cut_and_its_whole_lines_are_used() {
    let drip = Act::Repeat(b"x".to_vec(), Duration::from_millis(10));
    let stall = Act::Rest(PATIENCE);
    for slow in [drip, stall] {
        let mut start = endless_head();
        start.extend_from_slice(lines(0..2).as_bytes());
        let node = FakeNode::with_log(vec![Act::Send(start), slow]).await;
        let mut settings = settings(&node.address.to_string());
        settings.timeout = MOMENT;
        let begun = Instant::now();
        let got = delivery(&mut polling(settings)).await;
        assert!(begun.elapsed() >= MOMENT, "a window is granted");
        assert!(begun.elapsed() < PATIENCE / 2);
        assert_eq!(got.framing, Framing::Cut);
        let used = csv_log::used_len(&got.payload, got.framing);
        assert_eq!(got.payload[..used], *lines(0..2).as_bytes());
    }
}

#[tokio::test]
async fn a_dripping_body_without_a_line_is_an_error() {
    let drip = Act::Repeat(b"x".to_vec(), Duration::from_millis(10));
    let node = FakeNode::with_log(vec![Act::Send(endless_head()), drip]).await;
    let mut settings = settings(&node.address.to_string());
    settings.timeout = MOMENT;
    let error = next(&mut polling(settings)).await.unwrap_err();
    assert!(matches!(error, SourceError::TimedOut { .. }), "{error:?}");
    assert!(error.describe().contains("less than 1 KB/s"), "{error}");
}

#[tokio::test]
async fn a_slow_link_that_keeps_its_pace_may_finish() {
    let log = lines(0..100);
    let answer = file("1", &log);
    let mut acts = Vec::new();
    for piece in answer.chunks(400) {
        acts.push(Act::Send(piece.to_vec()));
        acts.push(Act::Rest(Duration::from_millis(60)));
    }
    let node = FakeNode::with_log(acts).await;
    let mut settings = settings(&node.address.to_string());
    settings.timeout = MOMENT;
    let begun = Instant::now();
    let got = delivery(&mut polling(settings)).await;
    assert!(begun.elapsed() > MOMENT, "longer than the window in all");
    assert_eq!(text(&got), log);
    assert_eq!(got.framing, Framing::Log);
}

#[tokio::test]
async fn a_node_may_take_one_poll_interval_in_all() {
    let mut start = endless_head();
    start.extend_from_slice(line(0).as_bytes());
    let fast_enough = Act::Repeat(vec![b'x'; 1000], Duration::from_millis(10));
    let node = FakeNode::with_log(vec![Act::Send(start), fast_enough]).await;
    let mut settings = settings(&node.address.to_string());
    settings.interval = MOMENT;
    let begun = Instant::now();
    let got = delivery(&mut polling(settings)).await;
    assert_eq!(got.framing, Framing::Cut);
    assert!(text(&got).starts_with(&line(0)));
    assert!(begun.elapsed() >= MOMENT);
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn an_endless_body_is_used_up_to_the_limit() {
    let lines_for_ever = Act::Repeat(line(0).into_bytes(), Duration::ZERO);
    for head in [&endless_head()[..], b"HTTP/1.0 200 OK\r\n\r\n", b""] {
        let acts = vec![Act::Send(head.to_vec()), lines_for_ever.clone()];
        let node = FakeNode::with_log(acts).await;
        let mut settings = settings(&node.address.to_string());
        settings.body_limit = 10_000;
        let got = delivery(&mut polling(settings)).await;
        assert_eq!(got.payload.len(), 10_000);
        assert_eq!(got.framing, Framing::Cut);
    }
}

#[tokio::test]
async fn an_endless_line_is_an_error() {
    let acts = vec![Act::Send(endless_head()), Act::Repeat(vec![b'x'; 1000], Duration::ZERO)];
    let node = FakeNode::with_log(acts).await;
    let mut settings = settings(&node.address.to_string());
    settings.body_limit = 10_000;
    let error = next(&mut polling(settings)).await.unwrap_err();
    assert!(matches!(error, SourceError::TooLarge { limit: 10_000, .. }), "{error:?}");
}

#[tokio::test]
async fn an_endless_head_is_an_error() {
    let acts = vec![
        Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Act::Repeat(b"X-Filler: xxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(50), Duration::ZERO),
    ];
    let node = FakeNode::with_log(acts).await;
    let error = next(&mut polling(settings(&node.address.to_string()))).await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_log_of_exactly_the_limit_is_whole() {
    let log = lines(0..20);
    let node = FakeNode::with_log(file("1", &log)).await;
    let mut settings = settings(&node.address.to_string());
    settings.body_limit = log.len() as u64;
    let got = delivery(&mut polling(settings)).await;
    assert_eq!(got.framing, Framing::Log);
    assert_eq!(text(&got), log);
}

#[tokio::test]
async fn a_dead_node_delays_nobody() {
    let gone = Arc::new(Semaphore::new(0));
    let dead = FakeNode::with_log(vec![Act::UntilClientLeaves(gone)]).await;
    let alive = FakeNode::with_log(fixture("http/esp2021_csv.raw")).await;
    let nodes = format!("{} {}", dead.address, alive.address);
    let mut settings = settings(&nodes);
    settings.timeout = Duration::from_secs(2);
    let mut source = polling(settings);
    let got = delivery(&mut source).await;
    assert_eq!(got.source.as_str(), alive.url(LOG));
    let error = next(&mut source).await.unwrap_err();
    assert_eq!(error.source_id().as_str(), dead.url(LOG));
    assert!(next(&mut source).await.unwrap().is_none());
}

#[tokio::test]
async fn dropping_the_source_ends_its_connections() {
    let gone = Arc::new(Semaphore::new(0));
    let node = FakeNode::with_log(vec![
        Act::Send(endless_head()),
        Act::UntilClientLeaves(Arc::clone(&gone)),
    ])
    .await;
    let mut source = polling(settings(&node.address.to_string()));
    let waited = tokio::time::timeout(MOMENT, source.next()).await;
    assert!(waited.is_err(), "the body hangs");
    drop(source);
    let left = tokio::time::timeout(PATIENCE, gone.acquire()).await;
    left.expect("the client leaves").unwrap().forget();
}
