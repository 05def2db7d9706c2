//! What is known of the sources.

use isems_core::{NodeId, SourceId, SourceKind, SourceSummary, Tally, time::DAY};
use serde_json::json;

use super::support::{NOW, Stub, start};

#[tokio::test]
async fn sources_show_their_counts_and_what_went_wrong_last() {
    let today = NOW.plus(-NOW.as_unix().rem_euclid(DAY));
    let tally = Tally {
        stored: 5,
        duplicate: 4,
        conflict: 3,
        expired: 2,
        retimed: 1,
        rejected: [("19 fields expected".to_owned(), 7)].into(),
    };
    let node = SourceSummary {
        source: SourceId::new("http://10.0.0.1/ISEMS/ffopenmppt.log"),
        kind: SourceKind::Http,
        last_success: Some(NOW.plus(-60)),
        last_error: Some((NOW.plus(-120), "connection refused".to_owned())),
        tally,
        clock_offset: Some(-3),
        bytes_on_day: 1234,
        day: today,
        nodes: [(NodeId::new("Dach").unwrap(), Tally { stored: 5, ..Tally::default() })].into(),
    };
    let broker = SourceSummary {
        source: SourceId::new("broker.example:1883"),
        kind: SourceKind::Mqtt,
        last_success: None,
        last_error: None,
        tally: Tally::default(),
        clock_offset: None,
        bytes_on_day: 99,
        day: today.plus(-DAY),
        nodes: [].into(),
    };
    let stub = Stub::of(Vec::new());
    *stub.sources.lock().unwrap() = vec![node, broker];
    let api = start(&stub).await;
    let expected = json!({"sources": [
        {"id": "http://10.0.0.1/ISEMS/ffopenmppt.log", "kind": "http",
         "lastSuccess": "2025-06-01T11:08:05+02:00", "lastError": "connection refused",
         "lastErrorAt": "2025-06-01T11:07:05+02:00", "stored": 5, "duplicate": 4, "conflict": 3,
         "expired": 2, "rejected": {"19 fields expected": 7}, "retimed": 1,
         "clockOffsetSeconds": -3, "bytesToday": 1234,
         "nodes": {"Dach": {"stored": 5, "duplicate": 0, "conflict": 0, "expired": 0,
                            "rejected": {}, "retimed": 0}}},
        {"id": "broker.example:1883", "kind": "mqtt", "lastSuccess": null, "lastError": null,
         "lastErrorAt": null, "stored": 0, "duplicate": 0, "conflict": 0, "expired": 0,
         "rejected": {}, "retimed": 0, "clockOffsetSeconds": null, "bytesToday": 0,
         "nodes": {}},
    ]});
    for path in ["/sources", "/api/sources"] {
        let answer = api.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{path}");
    }
}

#[tokio::test]
async fn sources_are_not_for_pages_of_other_origins() {
    let stub = Stub::of(Vec::new());
    let api = start(&stub).await;
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        let answer = api.request(method, "/sources", &["Origin: http://evil.example"]).await;
        assert_eq!(answer.all("access-control-allow-origin"), [""; 0], "{method}");
    }
}
