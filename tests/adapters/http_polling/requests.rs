//! What a node sees of us.

use std::collections::BTreeMap;

use isems_core::NodeSource as _;

use super::{
    FakeNode, LOG, Positions, delivery, file, line, many_rounds, not_modified, poll_from,
    poll_once, polling, remembered, settings,
};

fn headers(request: &str) -> BTreeMap<String, String> {
    let lines = request.lines().skip(1).filter_map(|l| l.split_once(": "));
    lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
}

#[tokio::test]
async fn a_request_holds_only_what_every_node_understands() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    let first = poll_once(&node).await.unwrap();
    poll_from(&node, &remembered(&first)).await.unwrap();

    let requests = node.requests();
    assert!(requests[0].starts_with("GET /ISEMS/ffopenmppt.log HTTP/1.1\r\n"));
    let names: Vec<_> = headers(&requests[0]).into_keys().collect();
    assert_eq!(names, ["accept", "connection", "host", "user-agent"]);
    let names: Vec<_> = headers(&requests[1]).into_keys().collect();
    assert_eq!(names, ["accept", "connection", "host", "if-none-match", "user-agent"]);
    for request in &requests {
        let headers = headers(request);
        assert_eq!(headers["accept"], "*/*");
        for value in headers.values() {
            for word in ["csv", "log", "random", "help"] {
                assert!(!value.contains(word), "{value}");
            }
        }
    }
}

#[tokio::test]
async fn credentials_of_a_url_are_sent_to_the_node() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    let url = format!("http://anna:geheim@{}{LOG}", node.address);
    let got = delivery(&mut polling(settings(&url))).await;
    assert_eq!(got.source.as_str(), node.url(LOG));
    let sent = &headers(&node.requests()[0])["authorization"];
    assert_eq!(sent, "Basic YW5uYTpnZWhlaW0=");
}

#[tokio::test]
async fn a_known_log_is_asked_for_with_its_one_tag_and_304_is_no_news() {
    let node = FakeNode::with_log(file("9cc0e7-26b31", line(0))).await;
    let mut source = polling(many_rounds(&node.address.to_string()));
    let first = delivery(&mut source).await;
    source.confirm(first.receipt).await.unwrap();

    node.answer(LOG, not_modified());
    let second = delivery(&mut source).await;
    assert!(second.payload.is_empty());
    assert_eq!(second.position, None, "the old position stays");
    assert!(second.bytes > 0);

    delivery(&mut source).await;
    for request in &node.requests()[1..] {
        assert_eq!(headers(request)["if-none-match"], "\"9cc0e7-26b31\"");
    }
}

#[tokio::test]
async fn a_tag_is_remembered_across_a_restart() {
    let node = FakeNode::with_log(file("9cc0e7", line(0))).await;
    let first = poll_once(&node).await.unwrap();
    node.answer(LOG, not_modified());
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert!(second.payload.is_empty());
}

#[tokio::test]
async fn an_unconfirmed_delivery_comes_again_in_the_next_round() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    let mut source = polling(many_rounds(&node.address.to_string()));
    let first = delivery(&mut source).await;
    let second = delivery(&mut source).await;
    assert_eq!(second.payload, first.payload);
    assert_eq!(second.known_prefix, 0);
    assert_ne!(second.receipt, first.receipt);
    assert!(!node.requests()[1].contains("if-none-match"));
}

#[tokio::test]
async fn the_newest_confirmed_position_counts_in_whatever_order() {
    let node = FakeNode::with_log(file("old", line(0))).await;
    let mut source = polling(many_rounds(&node.address.to_string()));
    let old = delivery(&mut source).await;
    node.answer(LOG, file("new", line(0) + &line(1)));
    let new = delivery(&mut source).await;
    source.confirm(new.receipt).await.unwrap();
    source.confirm(old.receipt).await.unwrap();
    delivery(&mut source).await;
    let last = node.requests().pop().unwrap();
    assert_eq!(headers(&last)["if-none-match"], "\"new\"");
}

#[tokio::test]
async fn what_cannot_be_read_of_a_position_is_read_anew() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    let mut positions = remembered(&poll_once(&node).await.unwrap());
    for position in positions.values_mut() {
        position.0 = "written by somebody else".into();
    }
    let got = poll_from(&node, &positions).await.unwrap();
    assert_eq!(got.known_prefix, 0);
    assert!(!got.payload.is_empty());
    assert_ne!(remembered(&got), Positions::new());
}
