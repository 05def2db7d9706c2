//! Every kind of answer that a node was seen to give, in ordinary and odd
//! moments.

use isems_core::{Format, Framing, SourceError, SourceKind, Timestamp, wire::csv_log};

use super::{
    FakeNode, LOG, NOW, body_of, delivery, fake_node::Act, file, fixture, line, lines,
    not_modified, poll_from, poll_once, polling, remembered, settings,
};

#[tokio::test]
async fn a_log_is_delivered_byte_for_byte_with_its_circumstances() {
    let log = fixture("logs/elektra-dach.log");
    let node = FakeNode::with_log(file("1", &log)).await;
    let got = poll_once(&node).await.unwrap();
    assert!(got.payload == log, "byte-exact");
    assert_eq!(got.source.as_str(), node.url(LOG));
    assert_eq!((got.kind, got.format), (SourceKind::Http, Format::CsvLog));
    assert_eq!(got.framing, Framing::Log);
    assert_eq!(got.known_prefix, 0);
    assert_eq!(got.arrival, NOW);
    assert_eq!(got.sender_clock, Some(Timestamp::from_unix(1_795_472_421)));
    assert!(got.bytes > log.len() as u64 && got.bytes < log.len() as u64 + 400);
    assert!(!got.retained && !got.redelivered);
    assert_eq!((got.topic, got.node), (None, None));
}

#[tokio::test]
async fn answers_are_used_as_far_as_the_rules_say() {
    for (name, framing, readings, whole) in [
        ("esp2020_csv", Framing::Log, 5, true),
        ("esp2020_ISEMS_ffopenmppt_log", Framing::Log, 5, true),
        ("esp2021_csv", Framing::Log, 5, true),
        ("external_csv_no_http_headers", Framing::Log, 5, true),
        ("external_csv_initial_no_http_headers", Framing::Log, 0, true),
        ("router_log_one_line_after_rotation", Framing::Log, 1, true),
        ("router_race_partial_last_line", Framing::Log, 42, true),
        ("router_race_content_length_cuts_last_line", Framing::Log, 42, false),
        ("router_log_range", Framing::Cut, 26, false),
    ] {
        let raw = fixture(&format!("http/{name}.raw"));
        let body = if raw.starts_with(b"HTTP/") { body_of(&raw).to_vec() } else { raw.clone() };
        let node = FakeNode::with_log(raw).await;
        let got = poll_once(&node).await.unwrap();
        assert_eq!(got.framing, framing, "{name}");
        assert!(body.starts_with(&got.payload), "{name}: byte-exact");
        let log = csv_log::parse(&got.payload, got.framing);
        assert_eq!(log.readings.len(), readings, "{name}");
        let used = csv_log::used_len(&got.payload, got.framing);
        assert_eq!(used == got.payload.len(), whole, "{name}");
    }
}

#[tokio::test]
async fn an_answer_without_header_has_no_clock_of_the_node() {
    let raw = fixture("http/external_csv_no_http_headers.raw");
    let node = FakeNode::with_log(raw.clone()).await;
    let got = poll_once(&node).await.unwrap();
    assert_eq!(got.payload, raw);
    assert_eq!(got.sender_clock, None);
    assert_eq!(got.bytes, raw.len() as u64);
}

#[tokio::test]
async fn an_answer_without_header_may_come_in_pieces() {
    let raw = fixture("http/external_csv_no_http_headers.raw");
    let mut acts = Vec::new();
    for piece in raw.chunks(3) {
        acts.push(Act::Send(piece.to_vec()));
        acts.push(Act::Rest(std::time::Duration::from_millis(1)));
    }
    let node = FakeNode::with_log(acts).await;
    assert_eq!(poll_once(&node).await.unwrap().payload, raw);
}

#[tokio::test]
async fn an_empty_answer_is_no_news() {
    for name in [
        "router_race_empty_200",
        "router_log_empty_no_hostname",
        "router_race_longer_than_content_length",
    ] {
        let node = FakeNode::with_log(fixture(&format!("http/{name}.raw"))).await;
        let got = poll_once(&node).await.unwrap();
        assert_eq!(got.payload, b"", "{name}");
        assert_eq!(got.position, None, "{name}: nothing was read to remember");
    }
}

#[tokio::test]
async fn another_status_is_refused_by_its_name() {
    let location = "HTTP/1.1 302 Found\r\nLocation: http://u:geheim@login/\r\n\r\n";
    for (answer, said) in [
        (fixture("http/router_race_403.raw"), "answered 403 Forbidden"),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "answered 503 Service Unavailable",
        ),
        (
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "answered 206 Partial Content",
        ),
        (not_modified(), "answered 304 Not Modified"),
        (
            location.as_bytes().to_vec(),
            "answered 302 Found, a redirect to http://…@login/, which is not followed",
        ),
    ] {
        let node = FakeNode::with_log(answer).await;
        let error = poll_once(&node).await.unwrap_err();
        assert!(matches!(error, SourceError::Refused { .. }), "{error:?}");
        assert_eq!(error.describe(), said);
        assert_eq!(error.source_id().as_str(), node.url(LOG));
        assert_eq!(node.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_page_in_place_of_the_log_is_delivered_and_never_remembered() {
    for name in ["router_html", "router_dirlist", "esp2021_index"] {
        let node = FakeNode::with_log(file("old", line(0))).await;
        let before = remembered(&poll_once(&node).await.unwrap());
        node.answer(LOG, fixture(&format!("http/{name}.raw")));
        let got = poll_from(&node, &before).await.unwrap();
        assert!(!got.payload.is_empty(), "{name}: the core counts it");
        assert_eq!(got.position, None, "{name}");
        assert_eq!(got.known_prefix, 0, "{name}");
    }
}

#[tokio::test]
async fn a_torn_last_line_is_not_remembered_as_read() {
    let (whole, torn) = (lines(0..3), &line(3)[..40]);
    let node = FakeNode::with_log(file("1", whole.clone() + torn)).await;
    let first = poll_once(&node).await.unwrap();
    node.answer(LOG, file("2", lines(0..5)));
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert_eq!(second.known_prefix, whole.len());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_and_its_tag_is_not_remembered() {
    let log = lines(0..4);
    let short = |body: &str| {
        let mut answer = file("1", &log);
        answer.truncate(answer.len() - log.len());
        answer.extend_from_slice(body.as_bytes());
        answer
    };
    let came = &log[..log.len() - 10];
    let shorter = vec![Act::Send(short(came))];
    let reset = vec![Act::Send(short(came)), Act::Reset];
    for acts in [shorter, reset] {
        let node = FakeNode::with_log(acts).await;
        let got = poll_once(&node).await.unwrap();
        assert_eq!(got.framing, Framing::Cut);
        assert_eq!(got.payload, came.as_bytes());
        let mut again = node.requests();
        poll_from(&node, &remembered(&got)).await.unwrap();
        again = node.requests().split_off(again.len());
        assert!(!again[0].contains("if-none-match"), "{again:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_its_first_line_is_an_error() {
    let mut answer = file("1", lines(0..4));
    answer.truncate(answer.len() - lines(0..4).len() + 50);
    let node = FakeNode::with_log(answer).await;
    let error = poll_once(&node).await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
    assert!(error.describe().contains("after 50 bytes"), "{error}");
}

#[tokio::test]
async fn a_connection_closed_without_a_word_is_an_error() {
    let node = FakeNode::with_log("").await;
    let error = poll_once(&node).await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_node_that_is_not_there_is_an_error_that_names_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://anna:geheim@{address}/x");
    let error = super::next(&mut polling(settings(&url))).await.unwrap_err();
    assert_eq!(error.source_id().as_str(), format!("http://{address}/x"));
    let said = format!("{error} {}", error.describe());
    assert!(said.contains("cannot connect"), "{said}");
    assert!(!said.contains("geheim"), "{said}");
}

#[tokio::test]
async fn a_node_that_came_back_delivers_in_the_next_round() {
    let node = FakeNode::with_log(file("1", line(0))).await;
    node.answer_once(LOG, fixture("http/router_race_403.raw"));
    let mut source = polling(super::many_rounds(&node.address.to_string()));
    super::next(&mut source).await.unwrap_err();
    assert_eq!(delivery(&mut source).await.payload, line(0).as_bytes());
}
