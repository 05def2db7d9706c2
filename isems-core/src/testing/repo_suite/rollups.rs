//! Rollups equal the pure rule over all that was ever stored.

use super::{RepoUnderTest, at, rows, store};
use crate::{
    Batch, BatchOrigin, Bucket, Field, HOUR, HistoryRange, Measurement, MeasurementRepo,
    NodeStatus, PruneMode, RetentionPolicy, Sample, roll_up,
    testing::{measurement, node, telemetry},
};

/// A generator of numbers that only look random, so that a failure can be
/// repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: i64) -> i64 {
        // Knuth's MMIX generator; its upper bits are the better ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    fn row(&mut self) -> Measurement {
        let volts = 11.0 + self.below(3_000) as f64 / 1_000.0;
        let row = measurement("A", self.below(12 * HOUR), volts);
        let status = u16::try_from(self.below(0x1000)).unwrap_or(0);
        let zeros = Sample {
            battery_voltage: Some(0.0),
            battery_health: Some(-905.0),
            status: Some(NodeStatus::CONTROLLER_SILENT),
            ..row.sample.clone()
        };
        match self.below(5) {
            0 => Measurement { sample: zeros, ..row },
            1 => telemetry("A", row.observed.as_unix(), self.below(1_000)),
            _ => Measurement {
                sample: Sample { status: Some(NodeStatus::from_bits(status)), ..row.sample },
                ..row
            },
        }
    }
}

async fn all(repo: &dyn MeasurementRepo) -> Vec<Bucket> {
    repo.rollups(&node("A"), HistoryRange::ALL).await.unwrap()
}

pub(super) async fn rollups_equal_the_rule_over_random_histories(fresh: &dyn RepoUnderTest) {
    let mut repo = fresh.open().await;
    let mut dice = Dice(7);
    let mut ever: Vec<Measurement> = Vec::new();
    for step in 0..50 {
        // Late backfill and re-polled lines come with the new ones.
        let fresh_rows: Vec<_> = (0..dice.below(40)).map(|_| dice.row()).collect();
        let again = usize::try_from(dice.below(20)).unwrap_or(0).min(ever.len());
        let batch = rows(fresh_rows.iter().cloned().chain(ever.iter().take(again).cloned()));
        let watermark = repo.node_state(&node("A")).await.unwrap().pruned_until;
        store(&*repo, &batch).await;
        for row in fresh_rows {
            let same = |other: &Measurement| {
                (other.observed, other.reported.key()) == (row.observed, row.reported.key())
            };
            if watermark.is_none_or(|until| row.observed > until) && !ever.iter().any(same) {
                ever.push(row);
            }
        }
        if dice.below(6) == 0 {
            let keep = u32::try_from(20 + dice.below(60)).ok();
            let policy = RetentionPolicy { keep_per_node: keep, keep_days: None };
            repo.prune(&policy, at(12 * HOUR), PruneMode::Apply).await.unwrap();
        }
        if dice.below(10) == 0 {
            drop(repo);
            repo = fresh.open().await;
        }
        assert_eq!(all(&*repo).await, roll_up(&ever, HOUR), "after step {step}");
    }
    let before = all(&*repo).await;
    repo.rebuild_rollups(&node("A")).await.unwrap();
    assert_eq!(all(&*repo).await, before, "rebuilding changes nothing that was right");
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
    assert_eq!(all(&*repo).await, roll_up(&lines(0..9), HOUR));
}

pub(super) async fn rollups_go_with_a_forgotten_node(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([measurement("A", 60, 12.0)])).await;
    repo.forget(&node("A")).await.unwrap();
    assert_eq!(all(&*repo).await, []);
    store(&*repo, &rows([measurement("A", 120, 13.0)])).await;
    assert_eq!(all(&*repo).await, roll_up(&[measurement("A", 120, 13.0)], HOUR));
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
