//! Measurements as files.

use std::{io::Read, sync::Arc, time::Duration};

use isems_core::{Measurement, RepoError, Reported, Sample};
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt;

use super::support::{World, measured};
use crate::api::support::{Answer, Stub, read_all, row, settings, start_with, until};

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    String::from_utf8(answer.unchunked()).unwrap()
}

fn rows_of(ndjson: &str) -> Vec<Map<String, Value>> {
    ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn many(count: i64) -> Vec<Measurement> {
    (0..count).map(|i| measured("a", i * 61)).collect()
}

#[tokio::test]
async fn csv_is_written_exactly_so() {
    let mut odd = measured("a,b", 60);
    odd.reported = Reported::Fingerprint(7);
    odd.received = None;
    odd.sample = Sample { firmware: "\"x\"".to_owned(), power_save: true, ..Sample::default() };
    let world = World::of(vec![measured("a,b", 0), odd]).await;
    let answer = world.api.get("/api/v1/nodes/a%2Cb/export.csv").await;
    let expected = concat!(
        "nodeId,observed,reported,clock,receivedAt,isemsRevision,openMPPTFirmwareVersion,",
        "isPowerSaveMode,status,timeToShutdown,openCircuitVoltage,mppVoltage,batteryVoltage,",
        "batteryChargeEstimate,batteryHealthEstimate,batteryTemperature,",
        "lowVoltageDisconnectVoltage,temperatureCorrectedVoltage,rateBatteryCapacity,",
        "ratedSolarModuleCapacity,latitude,longitude\r\n",
        "\"a,b\",2025-06-01T11:09:05+02:00,2025-06-01T11:09:05+02:00,node,",
        "2025-06-01T11:09:25+02:00,1,ESP_2.0,false,0x100,3592,13.513,13.588,12.999,95,100,27.84,",
        "11.9,14.014,50,50,52.47388,13.39051\r\n",
        "\"a,b\",2025-06-01T11:08:05+02:00,,node,,,\"\"\"x\"\"\",true,,,,,,,,,,,,,,\r\n",
    );
    assert_eq!(text(&answer), expected);
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    let name = "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%2Cb%2Ecsv";
    assert_eq!(answer.header("content-disposition"), name);
}

#[tokio::test]
async fn json_lines_say_the_same() {
    let mut odd = measured("a", 60);
    odd.sample = Sample::default();
    let world = World::of(vec![measured("a", 0), odd]).await;
    let answer = world.api.get("/api/v1/nodes/a/export.ndjson").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let rows = rows_of(&text(&answer));
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["observed"], "2025-06-01T11:09:05+02:00");
    assert_eq!((&rows[0]["batteryVoltage"], &rows[0]["status"]), (&12.999.into(), &"0x100".into()));
    assert_eq!((&rows[1]["batteryVoltage"], &rows[1]["status"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_long_history_comes_whole_newest_first_each_row_once() {
    let world = World::of(many(2_500)).await;
    let rows = rows_of(&text(&world.api.get("/api/v1/nodes/a/export.ndjson").await));
    let times: Vec<_> = rows.iter().map(|row| row["observed"].as_str().unwrap()).collect();
    assert_eq!(times.len(), 2_500);
    assert!(times.is_sorted_by(|later, earlier| later > earlier));
    let csv = text(&world.api.get("/api/v1/nodes/a/export.csv").await);
    assert_eq!(csv.matches("\r\n").count(), 2_501);
    assert_eq!(csv.matches("nodeId").count(), 1);
}

#[tokio::test]
async fn a_range_has_both_ends_and_may_be_empty() {
    let world = World::of(many(10)).await;
    let now = 1_748_768_945;
    for (from, to, count) in [(now - 122, now - 61, 2), (now - 60, now - 1, 0), (now, now - 61, 0)]
    {
        let query = format!("from={from}&to={to}");
        let ndjson = world.api.get(&format!("/api/v1/nodes/a/export.ndjson?{query}")).await;
        assert_eq!(rows_of(&text(&ndjson)).len(), count, "{query}");
        let csv = text(&world.api.get(&format!("/api/v1/nodes/a/export.csv?{query}")).await);
        assert_eq!(csv.lines().count(), count + 1, "{query}: the header is always there");
    }
}

#[tokio::test]
async fn an_export_is_compressed_on_its_way() {
    let world = World::of(many(2_500)).await;
    let target = "/api/v1/nodes/a/export.csv";
    let plain = world.api.get(target).await.unchunked();
    let answer = world.api.request("GET", target, &["Accept-Encoding: gzip"]).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let small = answer.unchunked();
    assert!(small.len() * 5 < plain.len());
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(&*small).read_to_end(&mut whole).unwrap();
    assert!(whole == plain);
}

#[tokio::test]
async fn an_export_that_cannot_go_on_breaks_off_and_does_not_look_complete() {
    let stub = Stub::of((0..1_500).map(|i| row(i, "a", i)).collect());
    let api = start_with(&stub, settings()).await;
    stub.hold_up();
    stub.gate.add_permits(1);
    let mut stream = api.connect().await;
    let request = b"GET /api/v1/nodes/a/export.csv HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let begun = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    until("the second page is being read", || async { begun() == 2 }).await;
    stub.fail_with(|| RepoError::Unavailable { what: "gone".to_owned(), cause: None });
    stub.gate.add_permits(1);
    let bytes = read_all(&mut stream).await;
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
    assert!(!bytes.ends_with(b"0\r\n\r\n"), "the last chunk would say that it is whole");
}

#[tokio::test]
async fn an_export_under_way_waits_longer_for_a_page_than_a_request_may_for_its_answer() {
    let stub = Stub::of((0..1_500).map(|i| row(i, "a", i)).collect());
    let mut settings = settings();
    settings.limits.request_time = Duration::from_millis(500);
    let api = start_with(&stub, settings).await;
    stub.hold_up();
    stub.gate.add_permits(1);
    let mut stream = api.connect().await;
    let request =
        b"GET /api/v1/nodes/a/export.csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let begun = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    until("the second page is being read", || async { begun() == 2 }).await;
    assert_eq!(api.get("/measurements/latest").await.status, 503, "so long it takes");
    stub.gate.add_permits(1_000);
    let whole = Answer::parse(&read_all(&mut stream).await);
    assert_eq!(text(&whole).lines().count(), 1_501);
}

#[tokio::test]
async fn only_so_many_exports_are_made_at_once() {
    let stub: Arc<Stub> = Stub::of(vec![row(1, "a", 0)]);
    stub.hold_up();
    let mut settings = settings();
    settings.limits.exports = 1;
    settings.limits.request_time = Duration::from_millis(300);
    let api = start_with(&stub, settings).await;
    let mut first = api.connect().await;
    first.write_all(b"GET /api/v1/nodes/a/export.csv HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let begun = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    until("the first is being made", || async { begun() == 1 }).await;
    let second = api.get("/api/v1/nodes/a/export.csv").await;
    assert_eq!((second.status, second.header("retry-after")), (503, "5"));
    stub.gate.add_permits(1_000);
    let place_is_free = || async { api.get("/api/v1/nodes/a/export.csv").await.status == 200 };
    until("its place is free again", place_is_free).await;
}
