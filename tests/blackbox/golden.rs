//! What `serve` answers for recorded logs, against what the old collector
//! answered for them. Only what differs on purpose may differ: `id`, the offset
//! after `timestamp`, and keys of our own.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::support::{Isems, Node, Running, fixture, get, log};

/// Log and node id, in the order of the ids.
const NODES: [(&str, &str); 4] = [
    ("avr-echt", "AVR-echt"),
    ("elektra-dach", "Elektra-Dach"),
    ("keine-verbindung", "keine-verbindung"),
    ("watchdog42000", "watchdog42000"),
];

/// What the old collector was given: the log without its first line, which in
/// three of the four tells an unset clock.
fn recorded(name: &str) -> Vec<u8> {
    let log = log(name);
    let first = log.iter().position(|byte| *byte == b'\n').unwrap();
    log[first + 1..].to_vec()
}

/// A database that holds what the old collector was given.
fn filled() -> Isems {
    let nodes = NODES.map(|(name, _)| Node::with_log(recorded(name)));
    let isems = Isems::new().nodes(&nodes);
    isems.run(&["update-data"]).expect(0);
    isems.unset("ISEMS_ROUTER_IPS")
}

fn measurements(document: Value) -> Vec<Map<String, Value>> {
    let Value::Object(mut document) = document else { panic!("an object: {document}") };
    let Some(Value::Array(list)) = document.remove("measurements") else {
        panic!("no list of measurements: {document:?}")
    };
    assert!(document.is_empty(), "nothing else: {document:?}");
    let object = |value| match value {
        Value::Object(object) => object,
        other => panic!("no measurement: {other}"),
    };
    list.into_iter().map(object).collect()
}

fn golden(name: &str) -> Vec<Map<String, Value>> {
    let file = fixture(&format!("golden/{name}.json"));
    measurements(serde_json::from_slice(&file).unwrap())
}

fn answered(serving: &Running, path: &str) -> Vec<Map<String, Value>> {
    let answer = get(&format!("{}{path}", serving.api()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    measurements(answer.json())
}

/// Asserts that our answer is the old one, but for what differs on purpose.
/// `unix` says when each measurement was taken, by its log.
fn assert_same(
    ours: Vec<Map<String, Value>>,
    old: Vec<Map<String, Value>>,
    unix: impl IntoIterator<Item = i64>,
) {
    assert_eq!(ours.len(), old.len());
    let mut ids = BTreeSet::new();
    for ((mut ours, mut old), unix) in ours.into_iter().zip(old).zip(unix) {
        let id = ours.remove("id").unwrap();
        assert!(id.is_i64(), "{id}");
        assert!(ids.insert(id.as_i64()), "{id} comes twice");
        old.remove("id").unwrap();

        let timestamp = ours.remove("timestamp").unwrap();
        assert_eq!(timestamp, with_offset(&old.remove("timestamp").unwrap(), unix));

        assert_eq!(ours.remove("name").as_ref(), old.get("nodeId"));
        assert_eq!(ours.remove("clock").unwrap(), "node");
        assert_eq!(ours.remove("missing").unwrap(), Value::Array(Vec::new()));
        let received = ours.remove("receivedAt").unwrap();
        let received: Result<jiff::Timestamp, _> = received.as_str().unwrap().parse();
        assert!(received.is_ok_and(|at| at.as_second() > unix), "received after it was sent");

        assert_eq!(ours, old);
    }
}

/// Berlin's wall time with the offset that it had then, which is what it
/// differs by from UTC.
fn with_offset(wall_time: &Value, unix: i64) -> String {
    let wall_time = wall_time.as_str().unwrap();
    let as_utc: jiff::Timestamp = format!("{wall_time}Z").parse().unwrap();
    let offset = as_utc.as_second() - unix;
    assert!([3_600, 7_200].contains(&offset), "{wall_time} in Berlin is {unix}?");
    format!("{wall_time}+{:02}:00", offset / 3_600)
}

/// The times in a log, newest first.
fn times(log: &[u8]) -> Vec<i64> {
    let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let field = |line: &[u8]| line.split(|byte| *byte == b';').nth(2).unwrap().to_vec();
    let time = |line: &[u8]| String::from_utf8(field(line)).unwrap().parse().unwrap();
    lines.rev().map(time).collect()
}

#[test]
fn the_history_of_each_node_is_what_the_old_collector_answered() {
    let serving = filled().serve();
    for (name, id) in NODES {
        let ours = answered(&serving, &format!("/measurements/{id}/latest"));
        let times = times(&recorded(name));
        assert_eq!(ours.len(), times.len().min(1_440), "{id}");
        assert_same(ours, golden(id), times);
    }
}

#[test]
fn the_latest_of_all_nodes_are_what_the_old_collector_answered() {
    let serving = filled().serve();
    let newest = NODES.map(|(name, _)| times(&recorded(name))[0]);
    let ours = answered(&serving, "/measurements/latest?all=true");
    assert_same(ours, golden("latest-all"), newest);
}

#[test]
fn the_same_is_answered_under_api() {
    let serving = filled().serve();
    for path in ["/measurements/latest?all=true", "/measurements/Elektra-Dach/latest"] {
        let plain = get(&format!("{}{path}", serving.api()));
        let under_api = get(&format!("{}/api{path}", serving.api()));
        assert!(!plain.body.is_empty());
        assert_eq!(plain.text(), under_api.text(), "{path}");
    }
}

#[test]
fn nodes_that_were_silent_for_long_are_hidden_unless_all_are_asked_for() {
    let isems = filled();
    let serving = isems.serve();
    assert_eq!(answered(&serving, "/measurements/latest"), []);
    // Only the exact word counts.
    for query in ["all=false", "all=True", "all=1", "all", "ALL=true"] {
        assert_eq!(answered(&serving, &format!("/measurements/latest?{query}")), [], "{query}");
    }

    let patient = isems.set("HIDE_INACTIVE_AFTER_DAYS", "36500").serve();
    let newest = NODES.map(|(name, _)| times(&recorded(name))[0]);
    assert_same(answered(&patient, "/measurements/latest"), golden("latest-all"), newest);
}

#[test]
fn another_time_zone_shows_the_same_moments() {
    let isems = filled();
    let berlin = isems.serve();
    let utc = isems.set("ISEMS_TIMEZONE", "UTC").serve();
    let path = "/measurements/Elektra-Dach/latest";
    let moments = |serving: &Running| -> Vec<jiff::Timestamp> {
        let answered = answered(serving, path);
        let text = |measurement: &Map<String, Value>| measurement["timestamp"].to_string();
        answered.iter().map(|row| text(row).trim_matches('"').parse().unwrap()).collect()
    };
    assert_eq!(moments(&utc), moments(&berlin));
    let newest = answered(&utc, path).swap_remove(0);
    assert_eq!(newest["timestamp"], "2025-03-31T01:58:07+00:00");
}
