//! The form of measurements, which isems-app takes literally.

use std::sync::atomic::Ordering;

use isems_core::{
    Basis, Measurement, NodeId, NodeStatus, Reported, Sample, StoredMeasurement, Timestamp,
};
use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::support::{Stub, row, start};

const EXTRA_KEYS: [&str; 4] = ["clock", "missing", "name", "receivedAt"];

fn golden(file: &str) -> Vec<Map<String, Value>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/golden/");
    let text = std::fs::read_to_string(format!("{folder}{file}.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(document["measurements"].take()).unwrap()
}

/// The measurement that the old collector showed like this.
fn measured(shown: &Map<String, Value>) -> StoredMeasurement {
    let number = |key: &str| Some(shown[key].as_f64().unwrap());
    let text = |key: &str| shown[key].as_str().unwrap().to_owned();
    let wall: DateTime = text("timestamp").parse().unwrap();
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let observed = berlin.to_timestamp(wall).unwrap().as_second();
    let observed = Timestamp::from_unix(observed);
    let sample = Sample {
        revision: text("isemsRevision"),
        firmware: text("openMPPTFirmwareVersion"),
        time_to_shutdown: number("timeToShutdown"),
        power_save: shown["isPowerSaveMode"].as_bool().unwrap(),
        open_circuit_voltage: number("openCircuitVoltage"),
        mpp_voltage: number("mppVoltage"),
        battery_voltage: number("batteryVoltage"),
        state_of_charge: number("batteryChargeEstimate"),
        battery_health: number("batteryHealthEstimate"),
        battery_temperature: number("batteryTemperature"),
        low_voltage_disconnect: number("lowVoltageDisconnectVoltage"),
        charge_end_voltage: number("temperatureCorrectedVoltage"),
        battery_capacity: number("rateBatteryCapacity"),
        module_power: number("ratedSolarModuleCapacity"),
        latitude: number("latitude"),
        longitude: number("longitude"),
        status: NodeStatus::from_hex(&text("status")),
    };
    let measurement = Measurement {
        node: NodeId::new(&text("nodeId")).unwrap(),
        observed,
        reported: Reported::Time(observed),
        basis: Basis::Node,
        received: None,
        sample,
    };
    let id = shown["id"].as_i64().unwrap();
    StoredMeasurement { id, measurement }
}

#[tokio::test]
async fn histories_equal_the_old_collectors_but_for_the_offset_and_the_extra_keys() {
    for node in ["AVR-echt", "Elektra-Dach", "keine-verbindung", "watchdog42000"] {
        let expected = golden(node);
        let api = start(&Stub::of(expected.iter().map(measured).collect())).await;
        let mut ours = api.get(&format!("/measurements/{node}/latest")).await.measurements();
        for ours in &mut ours {
            for key in EXTRA_KEYS {
                assert!(ours.remove(key).is_some(), "{node}: {key}");
            }
            let wall = ours["timestamp"].as_str().unwrap();
            let (wall, offset) = wall.split_at(wall.len() - 6);
            assert!(["+01:00", "+02:00"].contains(&offset), "{node}: {offset}");
            ours["timestamp"] = json!(wall);
        }
        // Compared one by one: a whole history is no readable difference.
        assert_eq!(ours.len(), expected.len(), "{node}");
        for (ours, expected) in ours.iter().zip(&expected) {
            assert_eq!(ours, expected, "{node}");
        }
    }
}

#[tokio::test]
async fn a_measurement_is_written_exactly_so() {
    let mut stored = row(1, "Dach \"Süd\"", 0);
    stored.measurement.observed = Timestamp::from_unix(1_530_364_575);
    stored.measurement.received = Some(Timestamp::from_unix(1_530_364_600));
    let api = start(&Stub::of(vec![stored])).await;
    let answer = api.get("/measurements/latest?all=true").await;
    let expected = concat!(
        r#"{"measurements":[{"batteryChargeEstimate":95.0,"batteryHealthEstimate":100.0,"#,
        r#""batteryTemperature":27.84,"batteryVoltage":12.999,"id":1,"isPowerSaveMode":false,"#,
        r#""isemsRevision":"1","latitude":52.47388,"longitude":13.39051,"#,
        r#""lowVoltageDisconnectVoltage":11.9,"mppVoltage":13.588,"nodeId":"Dach \"Süd\"","#,
        r#""openCircuitVoltage":13.513,"openMPPTFirmwareVersion":"ESP_2.0","#,
        r#""rateBatteryCapacity":50.0,"ratedSolarModuleCapacity":50.0,"status":"0x100","#,
        r#""temperatureCorrectedVoltage":14.014,"timeToShutdown":3592.0,"#,
        r#""timestamp":"2018-06-30T15:16:15+02:00","name":"Dach \"Süd\"","clock":"node","#,
        r#""receivedAt":"2018-06-30T15:16:40+02:00","missing":[]}]}"#,
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn what_is_unknown_is_zero_or_null_and_named() {
    let mut stored = row(1, "a", 0);
    stored.measurement.received = None;
    stored.measurement.basis = Basis::Estimated;
    stored.measurement.sample = Sample {
        // A repository that breaks its promise must not blank the page.
        battery_voltage: Some(f64::NAN),
        mpp_voltage: Some(0.0),
        ..Sample::default()
    };
    let api = start(&Stub::of(vec![stored])).await;
    let measurements = api.get("/measurements/latest").await.measurements();
    let expected = json!({
        "batteryChargeEstimate": 0.0, "batteryHealthEstimate": null, "batteryTemperature": null,
        "batteryVoltage": null, "id": 1, "isPowerSaveMode": false, "isemsRevision": "",
        "latitude": 0.0, "longitude": 0.0, "lowVoltageDisconnectVoltage": null,
        "mppVoltage": 0.0, "nodeId": "a", "openCircuitVoltage": null,
        "openMPPTFirmwareVersion": "", "rateBatteryCapacity": null,
        "ratedSolarModuleCapacity": null, "status": "0x000", "temperatureCorrectedVoltage": null,
        "timeToShutdown": null, "timestamp": "2025-06-01T11:09:05+02:00", "name": "a",
        "clock": "estimated", "receivedAt": null,
        "missing": [
            "batteryChargeEstimate", "batteryHealthEstimate", "batteryTemperature",
            "batteryVoltage", "latitude", "longitude", "lowVoltageDisconnectVoltage",
            "openCircuitVoltage", "rateBatteryCapacity", "ratedSolarModuleCapacity",
            "temperatureCorrectedVoltage", "timeToShutdown",
        ],
    });
    assert_eq!(Value::Object(measurements[0].clone()), expected);
}

#[tokio::test]
async fn status_bits_are_three_lower_case_hex_digits() {
    for (bits, shown) in [(0x0B2, "0x0b2"), (0xFFF, "0xfff"), (0, "0x000")] {
        let mut stored = row(1, "a", 0);
        stored.measurement.sample.status = Some(NodeStatus::from_bits(bits));
        let api = start(&Stub::of(vec![stored])).await;
        let measurements = api.get("/measurements/latest").await.measurements();
        assert_eq!(measurements[0]["status"], shown);
    }
}

#[tokio::test]
async fn latest_shows_active_nodes_and_all_of_them_only_if_asked_exactly() {
    const DAY: i64 = 86_400;
    let rows =
        vec![row(1, "b", 0), row(2, "b", 60), row(3, "a", 29 * DAY), row(4, "silent", 31 * DAY)];
    let api = start(&Stub::of(rows)).await;
    for (query, shown) in [
        ("", vec![3, 1]),
        ("?all=false", vec![3, 1]),
        ("?all=TRUE", vec![3, 1]),
        ("?all=true", vec![3, 1, 4]),
    ] {
        for prefix in ["", "/api"] {
            let target = format!("{prefix}/measurements/latest{query}");
            let measurements = api.get(&target).await.measurements();
            let ids: Vec<_> = measurements.iter().map(|m| m["id"].as_i64().unwrap()).collect();
            assert_eq!(ids, shown, "{target}");
        }
    }
}

#[tokio::test]
async fn a_node_shows_its_newest_1440_newest_first() {
    let rows = (0..1_500).map(|i| row(i, "a", i)).collect();
    let api = start(&Stub::of(rows)).await;
    let measurements = api.get("/measurements/a/latest").await.measurements();
    let ids: Vec<_> = measurements.iter().map(|m| m["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (0..1_440).collect::<Vec<_>>());
}

#[tokio::test]
async fn nodes_are_found_by_names_as_clients_send_them() {
    let names = ["a/b", "Straße 7", "a+b", "a?b", "x\"{}|^\\", "..", "latest", "ü/latest", "4'#;"];
    let rows = names.iter().map(|name| row(1, name, 0)).collect();
    let api = start(&Stub::of(rows)).await;
    for (sent, name) in [
        ("a/b", "a/b"),
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("Stra%C3%9Fe%207", "Straße 7"),
        ("Straße%207", "Straße 7"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%3Fb", "a?b"),
        ("a?b", "a?b"),
        ("x\"{}|^\\", "x\"{}|^\\"),
        ("x%22%7B%7D%7C%5E%5C", "x\"{}|^\\"),
        ("..", ".."),
        ("latest", "latest"),
        ("%C3%BC/latest", "ü/latest"),
        ("4'%23;", "4'#;"),
    ] {
        let target = format!("/api/measurements/{sent}/latest");
        let measurements = api.get(&target).await.measurements();
        let found: Vec<_> = measurements.iter().map(|m| m["nodeId"].as_str()).collect();
        assert_eq!(found, [Some(name)], "{sent}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_or_cannot_be_has_no_measurements() {
    let stub = Stub::of(Vec::new());
    let api = start(&stub).await;
    for node in ["unknown", "a%20", "", "%FF", "%00", "a%2541", "100%25", "100%", &"x".repeat(129)]
    {
        let answer = api.get(&format!("/measurements/{node}/latest")).await;
        assert_eq!((answer.status, answer.text()), (200, r#"{"measurements":[]}"#), "{node}");
    }
    assert_eq!(stub.begun.load(Ordering::SeqCst), 1, "only `unknown` can name a node");
}

#[tokio::test]
async fn times_that_no_calendar_holds_do_not_break_the_answer() {
    let mut stored = row(1, "a", 0);
    stored.measurement.observed = Timestamp::from_unix(i64::MAX);
    stored.measurement.received = Some(Timestamp::from_unix(i64::MIN));
    let api = start(&Stub::of(vec![stored, row(2, "b", 0)])).await;
    let measurements = api.get("/measurements/latest").await.measurements();
    assert_eq!(measurements.len(), 2);
}
