//! Nodes in their present state.

use isems_core::{
    Basis, NodeStatus, Reported, Sample, SourceId, SourceKind, SourceSummary, Timestamp,
};
use serde_json::{Value, json};

use super::support::{World, measured};
use crate::api::support::{Api, Stub, row, start};

const DAY: i64 = 86_400;

fn ids(nodes: &Value) -> Vec<&str> {
    nodes["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_node_is_written_exactly_so() {
    let mut node = measured("Dach \"Süd\"", 0);
    node.sample.status = Some(NodeStatus::from_bits(0x980));
    node.sample.battery_health = Some(-905.0);
    let world = World::of(vec![node]).await;
    let values = json!({
        "timeToShutdown": 3592.0, "openCircuitVoltage": 13.513, "mppVoltage": 13.588,
        "batteryVoltage": 12.999, "batteryChargeEstimate": 95.0, "batteryHealthEstimate": -905.0,
        "batteryTemperature": 27.84, "lowVoltageDisconnectVoltage": 11.9,
        "temperatureCorrectedVoltage": 14.014, "rateBatteryCapacity": 50.0,
        "ratedSolarModuleCapacity": 50.0,
    });
    let mut measured = values.clone();
    measured["batteryHealthEstimate"] = Value::Null;
    let expected = json!({
        "id": "Dach \"Süd\"", "name": "Dach \"Süd\"", "active": true,
        "state": {"check": "batteryLow", "level": "warning"},
        "checks": [
            {"check": "batteryLow", "level": "warning"}, {"check": "charging", "level": "info"},
        ],
        "lastHeard": "2025-06-01T11:09:05+02:00", "receivedAt": "2025-06-01T11:09:25+02:00",
        "reportedAt": "2025-06-01T11:09:05+02:00", "clock": "node",
        "position": {"latitude": 52.47388, "longitude": 13.39051},
        "values": values, "measured": measured, "powerSave": false, "firmware": "ESP_2.0",
        "revision": "1", "status": "0x980", "measurementId": 1,
    });
    let path = "/api/v1/nodes/Dach%20%22S%C3%BCd%22";
    let mut alone = expected.clone();
    alone["timeZone"] = json!("Europe/Berlin");
    assert_eq!(world.api.get(path).await.json(), alone);
    let expected = json!({
        "now": "2025-06-01T11:09:05+02:00", "timeZone": "Europe/Berlin",
        "hideInactiveAfterDays": 30, "nodes": [expected], "next": null,
    });
    assert_eq!(world.api.get("/api/v1/nodes").await.json(), expected);
}

#[tokio::test]
async fn what_is_unknown_is_null() {
    let mut node = measured("a", 0);
    node.sample = Sample { latitude: Some(52.5), ..Sample::default() };
    node.received = None;
    node.reported = Reported::Fingerprint(7);
    node.basis = Basis::Estimated;
    let world = World::of(vec![node]).await;
    let node = world.api.get("/api/v1/nodes/a").await.json();
    for key in ["receivedAt", "reportedAt", "position"] {
        assert_eq!(node[key], Value::Null, "{key}");
    }
    assert_eq!(node["state"], json!({"check": null, "level": "info"}));
    assert_eq!((&node["clock"], &node["status"]), (&json!("estimated"), &json!("0x000")));
    assert!(node["values"].as_object().unwrap().values().all(Value::is_null));
}

#[tokio::test]
async fn a_node_that_was_never_told_its_place_has_none() {
    for (latitude, longitude, known) in
        [(0.0, 0.0, false), (52.5, 0.0, true), (0.0, 13.4, true), (-33.9, 18.4, true)]
    {
        let mut node = measured("a", 0);
        (node.sample.latitude, node.sample.longitude) = (Some(latitude), Some(longitude));
        let world = World::of(vec![node]).await;
        let node = world.api.get("/api/v1/nodes/a").await.json();
        assert_eq!(!node["position"].is_null(), known, "{latitude} {longitude}");
    }
}

#[tokio::test]
async fn zeros_of_a_silent_controller_are_values_but_not_measured() {
    let mut node = measured("a", 0);
    node.sample.status = Some(NodeStatus::CONTROLLER_SILENT);
    node.sample.battery_voltage = Some(0.0);
    let world = World::of(vec![node]).await;
    let node = world.api.get("/api/v1/nodes/a").await.json();
    assert_eq!(node["values"]["batteryVoltage"], 0.0);
    assert_eq!(node["measured"]["batteryVoltage"], Value::Null);
    assert_eq!(node["state"], json!({"check": "controllerSilent", "level": "critical"}));
}

#[tokio::test]
async fn nodes_are_active_or_not_or_both() {
    let rows = vec![measured("b", 29 * DAY), measured("a", 31 * DAY), measured("c", 0)];
    let world = World::of(rows).await;
    for (query, shown) in
        [("", vec!["a", "b", "c"]), ("?active=true", vec!["b", "c"]), ("?active=false", vec!["a"])]
    {
        let nodes = world.api.get(&format!("/api/v1/nodes{query}")).await.json();
        assert_eq!(ids(&nodes), shown, "{query}");
        let latest = world.api.get(&format!("/api/v1/latest{query}")).await.measurements();
        let named: Vec<_> = latest.iter().map(|row| row["nodeId"].as_str().unwrap()).collect();
        assert_eq!(named, shown, "{query}");
    }
    let nodes = world.api.get("/api/v1/nodes").await.json();
    let active: Vec<_> = nodes["nodes"].as_array().unwrap().iter().map(|n| &n["active"]).collect();
    assert_eq!(active, [false, true, true]);
}

#[tokio::test]
async fn latest_equals_the_old_apis_answer() {
    let world = World::of(vec![measured("a", 0), measured("b", 40 * DAY)]).await;
    for (v1, old) in [
        ("/api/v1/latest", "/measurements/latest?all=true"),
        ("/api/v1/latest?active=true", "/measurements/latest"),
    ] {
        let mut answer = world.api.get(v1).await.json();
        let next = answer.as_object_mut().unwrap().remove("next");
        assert_eq!(next, Some(Value::Null), "only v1 has pages");
        assert_eq!(answer, world.api.get(old).await.json(), "{v1}");
    }
}

/// The names on all pages of a list, of two each.
async fn paged(api: &Api, list: &str, key: &str, name: &str) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/v1/{list}?limit=2{after}")).await.json();
        let rows = page[key].as_array().unwrap();
        assert!(!rows.is_empty(), "a page of nothing after {after:?}");
        seen.extend(rows.iter().map(|row| row[name].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            assert_eq!(page["next"], Value::Null);
            return seen;
        };
        assert_eq!(rows.len(), 2);
        let next = next.replace('+', "%2B").replace(' ', "+").replace('ü', "%C3%BC");
        after = format!("&after={next}");
    }
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    // The last page has one row, and as many as any other.
    for names in [&["a", "b", "c+d", "d d", "ü"][..], &["a", "b", "c+d", "ü"]] {
        let rows = (1..).zip(names).map(|(id, name)| row(id, name, 0)).collect();
        let stub = Stub::of(rows);
        let source = |name: &&str| SourceSummary::new(SourceId::new(name), SourceKind::Http);
        *stub.sources.lock().unwrap() = names.iter().map(source).collect();
        let api = start(&stub).await;
        for (list, key, name) in [
            ("nodes", "nodes", "id"),
            ("latest", "measurements", "nodeId"),
            ("sources", "sources", "id"),
        ] {
            assert_eq!(paged(&api, list, key, name).await, names, "{list}");
        }
    }
}

#[tokio::test]
async fn a_page_has_a_thousand_rows_unless_fewer_are_asked_for() {
    let names: Vec<_> = (0..1_001).map(|i| format!("{i:04}")).collect();
    let rows = (1..).zip(&names).map(|(id, name)| row(id, name, 0)).collect();
    let stub = Stub::of(rows);
    let source = |name: &String| SourceSummary::new(SourceId::new(name), SourceKind::Http);
    *stub.sources.lock().unwrap() = names.iter().map(source).collect();
    let api = start(&stub).await;
    for (list, key) in [("nodes", "nodes"), ("latest", "measurements"), ("sources", "sources")] {
        let first = api.get(&format!("/api/v1/{list}")).await.json();
        let shown = first[key].as_array().unwrap().len();
        assert_eq!((shown, &first["next"]), (1_000, &"0999".into()), "{list}");
        let rest = api.get(&format!("/api/v1/{list}?after=0999")).await.json();
        let shown = rest[key].as_array().unwrap().len();
        assert_eq!((shown, &rest["next"]), (1, &Value::Null), "{list}");
    }
    for (old, key) in [("/measurements/latest?all=true", "measurements"), ("/sources", "sources")] {
        let all = api.get(old).await.json();
        assert_eq!(all[key].as_array().unwrap().len(), 1_001, "the old API has no pages");
        assert!(all.get("next").is_none());
    }
}

#[tokio::test]
async fn nodes_whose_names_browsers_resolve_away_have_a_spelling() {
    let world = World::of(vec![measured(".", 0), measured("..", 0), measured("a", 0)]).await;
    for (name, spelling) in [(".", "%252E"), ("..", "%252E%252E"), ("..", "%252e%252e")] {
        let path = format!("/api/v1/nodes/{spelling}");
        assert_eq!(world.api.get(&path).await.json()["id"], name, "{spelling}");
        for part in ["history", "export.csv", "export.ndjson"] {
            assert_eq!(world.api.get(&format!("{path}/{part}")).await.status, 200, "{spelling}");
        }
    }
    assert_eq!(world.api.get("/api/v1/nodes/%252Ea").await.status, 404);
}

#[tokio::test]
async fn a_node_falls_silent_by_the_clock_alone() {
    let world = World::of(vec![measured("a", 0)]).await;
    let state = async || world.api.get("/api/v1/nodes/a").await.json()["state"]["check"].take();
    world.clock.advance(DAY);
    assert_eq!(state().await, Value::Null);
    world.clock.advance(1);
    assert_eq!(state().await, "silent");
}

#[tokio::test]
async fn times_that_no_calendar_holds_do_not_break_the_answer() {
    let mut node = measured("a", 0);
    node.reported = Reported::Time(Timestamp::from_unix(i64::MAX));
    let world = World::of(vec![node, measured("b", 0)]).await;
    assert_eq!(ids(&world.api.get("/api/v1/nodes").await.json()), ["a", "b"]);
}
