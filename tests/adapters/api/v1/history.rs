//! Histories in buckets.

use isems_core::{
    Measurement, MeasurementRepo as _, NodeStatus, PruneMode, RetentionPolicy, Timestamp,
};
use serde_json::{Value, json};

use super::support::{World, measured_at};

/// 2025-06-01T00:00:00+02:00.
const MIDNIGHT: i64 = 1_748_728_800;

fn at(observed: i64, voltage: f64) -> Measurement {
    let mut row = measured_at("a", observed);
    row.sample.battery_voltage = Some(voltage);
    row
}

async fn history(world: &World, query: &str) -> Value {
    let answer = world.api.get(&format!("/api/v1/nodes/a/history?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()
}

fn begins(history: &Value) -> Vec<&str> {
    let buckets = history["buckets"].as_array().unwrap();
    buckets.iter().map(|bucket| bucket["begin"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn buckets_have_least_mean_and_greatest_and_gaps_have_none() {
    let mut silent = at(MIDNIGHT + 7_200, 0.0);
    silent.sample.status = Some(NodeStatus::CONTROLLER_SILENT);
    let world = World::of(vec![
        at(MIDNIGHT, 12.0),
        at(MIDNIGHT + 61, 12.5),
        at(MIDNIGHT + 122, 13.25),
        silent,
    ])
    .await;
    let query = format!("from={MIDNIGHT}&to={}&step=3600&fields=batteryVoltage", MIDNIGHT + 7_200);
    let expected = json!({
        "node": "a", "from": "2025-06-01T00:00:00+02:00", "to": "2025-06-01T02:00:00+02:00",
        "step": 3600, "fields": ["batteryVoltage"],
        "buckets": [
            {"begin": "2025-06-01T00:00:00+02:00", "count": 3, "status": "0x100",
             "values": {"batteryVoltage": {"min": 12.0, "mean": 12.583_333, "max": 13.25}}},
            {"begin": "2025-06-01T02:00:00+02:00", "count": 1, "status": "0x010", "values": {}},
        ],
    });
    assert_eq!(history(&world, &query).await, expected);
}

#[tokio::test]
async fn raw_and_rollup_agree_and_buckets_are_whole_at_both_ends() {
    let rows = (0..240).map(|i| at(MIDNIGHT + i * 60, 12.0));
    let world = World::of(rows.collect()).await;
    // From within the first hour to within the third.
    let range = format!("from={}&to={}", MIDNIGHT + 1_800, MIDNIGHT + 9_000);
    let hours = history(&world, &format!("{range}&step=3600")).await;
    let minutes = history(&world, &format!("{range}&step=1800")).await;
    let counts = |history: &Value| -> Vec<u64> {
        let buckets = history["buckets"].as_array().unwrap();
        buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).collect()
    };
    assert_eq!(counts(&hours), [60, 60, 60]);
    assert_eq!(counts(&minutes), [30, 30, 30, 30, 30]);
    assert_eq!(begins(&hours)[0], "2025-06-01T00:00:00+02:00");
    assert_eq!(begins(&minutes)[0], "2025-06-01T00:30:00+02:00");
}

#[tokio::test]
async fn where_measurements_were_pruned_the_hours_still_show_them() {
    let rows = (0..240).map(|i| at(MIDNIGHT + i * 60, 12.0));
    let world = World::of(rows.collect()).await;
    let policy = RetentionPolicy { keep_per_node: Some(30), keep_days: None };
    let now = Timestamp::from_unix(MIDNIGHT);
    world.repo.prune(&policy, now, PruneMode::Apply).await.unwrap();

    // Before, in and after the time of which the newest was pruned.
    let begin = |minute: i64| MIDNIGHT + minute * 60;
    for (from, to, step, count) in [
        (begin(0), begin(119), 3_600, 120),
        (begin(200), begin(239), 3_600, 60),
        (begin(215), begin(239), 60, 25),
    ] {
        let history = history(&world, &format!("from={from}&to={to}")).await;
        assert_eq!(history["step"], step, "from {from}");
        let counts = history["buckets"].as_array().unwrap().iter().map(|b| b["count"].as_i64());
        assert_eq!(counts.sum::<Option<i64>>(), Some(count), "from {from}");
    }
    // Whoever asks for minutes gets what is left of them.
    let left = history(&world, &format!("from={MIDNIGHT}&to={}&step=60", begin(239))).await;
    assert_eq!(left["buckets"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn without_a_wish_it_is_the_last_day_with_every_field_but_the_coordinates() {
    let world = World::of(vec![measured_at("a", MIDNIGHT - 86_400), at(MIDNIGHT, 12.0)]).await;
    let history = history(&world, "").await;
    assert_eq!(history["from"], "2025-05-31T11:09:05+02:00");
    assert_eq!(history["to"], "2025-06-01T11:09:05+02:00");
    assert_eq!(history["step"], 300);
    assert_eq!(begins(&history), ["2025-06-01T00:00:00+02:00"]);
    let fields = history["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 11);
    assert_eq!(history["buckets"][0]["values"].as_object().unwrap().len(), 11);
    assert!(!fields.contains(&json!("latitude")));
}

#[tokio::test]
async fn coordinates_come_if_asked_for_and_fields_in_their_own_order() {
    let world = World::of(vec![at(MIDNIGHT, 12.0)]).await;
    let history = history(&world, "fields=longitude,batteryVoltage,latitude").await;
    assert_eq!(history["fields"], json!(["batteryVoltage", "latitude", "longitude"]));
    let values = &history["buckets"][0]["values"];
    assert_eq!(values["latitude"], json!({"min": 52.47388, "mean": 52.47388, "max": 52.47388}));
}

#[tokio::test]
async fn too_many_buckets_are_refused_with_what_would_do() {
    let world = World::of(vec![at(MIDNIGHT, 12.0)]).await;
    let answer = world.api.get("/api/v1/nodes/a/history?from=0&to=1000000000&step=3600").await;
    assert_eq!(answer.status, 400);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("277778 buckets"), "{detail}");
    assert!(detail.contains("at least 100800 seconds"), "{detail}");
}
