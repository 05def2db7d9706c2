//! Rollups equal the pure rule over all that was ever stored.

use super::{
    RepoUnderTest, at,
    random_history::{RandomHistory, Seen},
    rows, store,
};
use crate::{
    Batch, BatchOrigin, Bucket, Field, HOUR, HistoryRange, MeasurementRepo, NodeId, PruneMode,
    RetentionPolicy, roll_up,
    testing::{measurement, node, telemetry},
};

async fn all(repo: &dyn MeasurementRepo, node: &NodeId) -> Vec<Bucket> {
    repo.rollups(node, HistoryRange::ALL).await.unwrap()
}

/// Names the first hour that is not what the rule makes of it.
async fn assert_rolled_up(repo: &dyn MeasurementRepo, history: &RandomHistory, when: &str) {
    let RandomHistory { node, ever, .. } = history;
    let (rollups, expected) = (all(repo, node).await, roll_up(ever, HOUR));
    for (rollup, expected) in rollups.iter().zip(&expected) {
        assert_eq!(rollup, expected, "{node} {when}");
    }
    assert_eq!(rollups.len(), expected.len(), "hours of {node} {when}");
}

pub(super) async fn rollups_equal_the_rule_over_random_histories(fresh: &dyn RepoUnderTest) {
    let mut repo = fresh.open().await;
    let mut seen = Seen::default();
    let mut histories = Vec::new();
    for seed in 0..50 {
        let mut history = RandomHistory::of(seed);
        for step in 0..8 {
            repo = history.go_on(fresh, repo, &mut seen).await;
            assert_rolled_up(&*repo, &history, &format!("after step {step}")).await;
        }
        histories.push(history);
    }
    // Each was pruned by the policies of all later ones, too.
    for history in &histories {
        assert_rolled_up(&*repo, history, "at the end").await;
        repo.rebuild_rollups(&history.node).await.unwrap();
        assert_rolled_up(&*repo, history, "made anew").await;
    }
    assert!(seen.everything_happened(), "the histories are too tame: {seen:?}");
}

pub(super) async fn an_import_of_what_was_pruned_is_not_counted_twice(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let lines = |hours: std::ops::Range<i64>| {
        hours.map(|hour| measurement("A", hour * HOUR + 60, 12.0)).collect::<Vec<_>>()
    };
    store(&*repo, &rows(lines(2..8))).await;
    let policy = RetentionPolicy { keep_per_node: Some(2), keep_days: None };
    repo.prune(&policy, at(10 * HOUR), PruneMode::Apply).await.unwrap();
    for part in [0..4, 1..5, 0..9] {
        store(&*repo, &Batch { origin: BatchOrigin::Import, ..rows(lines(part)) }).await;
    }
    assert_eq!(all(&*repo, &node("A")).await, roll_up(&lines(0..9), HOUR));
}

pub(super) async fn rollups_go_with_a_forgotten_node(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([measurement("A", 60, 12.0)])).await;
    repo.forget(&node("A")).await.unwrap();
    assert_eq!(all(&*repo, &node("A")).await, []);
    store(&*repo, &rows([measurement("A", 120, 13.0)])).await;
    assert_eq!(all(&*repo, &node("A")).await, roll_up(&[measurement("A", 120, 13.0)], HOUR));
}

pub(super) async fn spoiled_rollups_are_made_anew(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let lines: Vec<_> = (0..9).map(|n| measurement("A", n * HOUR / 2, 12.0)).collect();
    store(&*repo, &rows(lines.clone())).await;
    if !fresh.spoil_rollups().await {
        println!("skipped: no way to spoil the rollups");
        return;
    }
    let expected = roll_up(&lines, HOUR);
    assert_ne!(all(&*repo, &node("A")).await, expected, "`spoil_rollups` spoiled nothing");
    repo.rebuild_rollups(&node("A")).await.unwrap();
    assert_eq!(all(&*repo, &node("A")).await, expected, "`rebuild_rollups` left them spoiled");
}

pub(super) async fn buckets_are_made_of_rollups_or_of_measurements(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    // More than a page of them, with several in one second.
    let mut stored: Vec<_> =
        (0..2_500).map(|n| measurement("A", n * 7, 12.0 + n as f64 / 1e4)).collect();
    stored.extend((0..9).map(|n| telemetry("A", 7_000, n)));
    store(&*repo, &rows(stored.clone())).await;
    for (from, until, step) in [
        (0, 17_500, 600),
        (3_600, 10_799, 3_600),
        (0, 17_500, 7_200),
        (650, 7_000, 61),
        (90_000, 99_000, 60),
    ] {
        let range = HistoryRange { from: Some(at(from)), until: Some(at(until)) };
        let within: Vec<_> =
            stored.iter().filter(|row| range.contains(row.observed)).cloned().collect();
        let buckets = repo.buckets(&node("A"), range, step).await.unwrap();
        assert_eq!(buckets, roll_up(&within, step), "{from}…{until} by {step}");
    }
    let hours = repo.buckets(&node("A"), HistoryRange::ALL, HOUR).await.unwrap();
    assert_eq!(hours[0].get(Field::BatteryVoltage).unwrap().count(), hours[0].count);
}
