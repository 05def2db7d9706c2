//! Pruning: whatever the history, exactly what the rule says.

use std::sync::Arc;

use isems_core::{
    BatchOrigin, Collector, Measurement, MeasurementRepo, NodePrune, PruneMode, PruneReport,
    Removal, Reported, RetentionPolicy, Timestamp,
    testing::{delivery, measurement, node, telemetry},
    time::DAY,
};
use proptest::prelude::*;

use super::{Place, batch, history};

const NOW: Timestamp = Timestamp::from_unix(100 * DAY);
const NODES: [&str; 3] = ["A", "B", "C"];

/// Rows close to the age limits, with many equal times.
fn row() -> impl Strategy<Value = Measurement> {
    (0..3_usize, 94..101_i64, -2..3_i64, -2..3_i64).prop_map(|(name, day, second, reported)| {
        let observed = day * DAY + second;
        if reported == 2 {
            return telemetry(NODES[name], observed, -second);
        }
        Measurement {
            reported: Reported::Time(Timestamp::from_unix(observed + reported)),
            ..measurement(NODES[name], observed, 12.0)
        }
    })
}

fn policy() -> impl Strategy<Value = RetentionPolicy> {
    (proptest::option::of(0..30_u32), proptest::option::of(0..7_u32))
        .prop_map(|(keep_per_node, keep_days)| RetentionPolicy { keep_per_node, keep_days })
}

/// What the pure rule says of one node's history, newest first.
fn judge(policy: &RetentionPolicy, history: &[Measurement]) -> (Vec<Measurement>, NodePrune) {
    let mut removed = NodePrune { node: history[0].node.clone(), too_many: 0, too_old: 0 };
    let kept = history
        .iter()
        .enumerate()
        .filter(|(rank, row)| match policy.judge(*rank, row.observed, NOW) {
            None => true,
            Some(Removal::TooMany) => {
                removed.too_many += 1;
                false
            }
            Some(Removal::TooOld) => {
                removed.too_old += 1;
                false
            }
        })
        .map(|(_, row)| row.clone())
        .collect();
    (kept, removed)
}

/// Stores, prunes dry, prunes, and compares with the rule.
async fn prunes_as_the_rule_says(rows: Vec<Measurement>, policy: RetentionPolicy) {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch(rows)).await.unwrap();
    let mut expected = PruneReport::default();
    let mut kept = Vec::new();
    for name in NODES {
        let before = history(&repo, name).await;
        if before.is_empty() {
            continue;
        }
        let (stays, removed) = judge(&policy, &before);
        let newest_gone = before.iter().find(|row| !stays.contains(row)).map(|row| row.observed);
        kept.push((name, stays, newest_gone));
        if removed.too_many + removed.too_old > 0 {
            expected.nodes.push(removed);
        }
    }

    let dry = repo.prune(&policy, NOW, PruneMode::DryRun).await.unwrap();
    let report = repo.prune(&policy, NOW, PruneMode::Apply).await.unwrap();

    assert_eq!(dry, expected, "{policy:?}");
    assert_eq!(report, expected, "{policy:?}");
    for (name, stays, newest_gone) in kept {
        assert_eq!(history(&repo, name).await, stays, "{policy:?} {name}");
        let state = repo.node_state(&node(name)).await.unwrap();
        assert_eq!(state.pruned_until, newest_gone, "{policy:?} {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn prune_equals_the_rule_over_random_histories(
        rows in proptest::collection::vec(row(), 0..120),
        policy in policy(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(prunes_as_the_rule_says(rows, policy));
    }
}

#[tokio::test]
async fn more_rows_than_one_transaction_takes_are_pruned_as_the_rule_says() {
    let rows = |name: &'static str, count: i64| {
        (0..count).map(move |i| measurement(name, NOW.as_unix() - 3600 * i, 12.0))
    };
    for (keep_per_node, keep_days) in
        [(Some(700), None), (None, Some(20)), (Some(1500), Some(20)), (Some(200), Some(20))]
    {
        let rows = rows("A", 3200).chain(rows("B", 1000)).chain(rows("C", 1));
        let policy = RetentionPolicy { keep_per_node, keep_days };
        prunes_as_the_rule_says(rows.collect(), policy).await;
    }
}

#[tokio::test]
async fn pruning_changes_the_version_of_the_nodes_it_touches_and_no_other() {
    let place = Place::new();
    let repo = place.open().await;
    let rows = (0..10).map(|i| measurement("A", 60 * i, 12.0)).chain([measurement("B", 0, 12.0)]);
    repo.store(&batch(rows)).await.unwrap();
    let version = async |name| repo.node_state(&node(name)).await.unwrap().version;
    let before = (version("A").await, version("B").await);

    let policy = RetentionPolicy { keep_per_node: Some(5), keep_days: None };
    repo.prune(&policy, NOW, PruneMode::Apply).await.unwrap();

    assert_ne!(version("A").await, before.0);
    assert_eq!(version("B").await, before.1);
}

#[tokio::test]
async fn a_node_that_takes_the_place_of_a_forgotten_one_is_not_pruned_in_its_name() {
    let place = Place::new();
    let repo = place.open().await;
    let of =
        |name: &'static str, count: i64| (0..count).map(move |i| measurement(name, 60 * i, 12.0));
    repo.store(&batch(of("A", 20_000).chain(of("B", 20)))).await.unwrap();
    let policy = RetentionPolicy { keep_per_node: Some(10), keep_days: None };

    // While A is pruned, B is forgotten, and C comes up.
    let others = async {
        while repo.node_state(&node("A")).await.unwrap().pruned_until.is_none() {}
        repo.forget(&node("B")).await.unwrap();
        repo.store(&batch(of("C", 20))).await.unwrap();
        history(&repo, "A").await.len()
    };
    let (report, left_of_a) = tokio::join!(repo.prune(&policy, NOW, PruneMode::Apply), others);

    assert!(left_of_a > 10, "A was pruned before C came up");
    let pruned = NodePrune { node: node("A"), too_many: 19_990, too_old: 0 };
    assert_eq!(report.unwrap(), PruneReport { nodes: vec![pruned] });
    assert_eq!(history(&repo, "C").await.len(), 20);
}

#[tokio::test]
async fn intake_goes_on_while_a_large_backlog_is_pruned() {
    let place = Place::new();
    let repo = place.open().await;
    let backlog = (0..6000).map(|i| measurement("A", 60 * i, 12.0));
    let mut import = batch(backlog);
    import.origin = BatchOrigin::Import;
    repo.store(&import).await.unwrap();
    let policy = RetentionPolicy { keep_per_node: Some(10), keep_days: None };

    let mut pruning = repo.prune(&policy, NOW, PruneMode::Apply);
    let mut stored = 0;
    let report = loop {
        let row = batch([measurement("B", 60 * stored, 12.0)]);
        tokio::select! {
            biased;
            report = &mut pruning => break report.unwrap(),
            done = repo.store(&row) => {
                done.unwrap();
                stored += 1;
            }
        }
    };

    // B may have too many, too, by the time of its turn.
    let of_a = report.nodes.iter().find(|pruned| pruned.node == node("A")).unwrap();
    assert_eq!(of_a.too_many, 5990);
    assert!(stored > 1, "only {stored} batches came in between");
}

#[tokio::test]
async fn what_a_node_sends_while_much_of_it_is_removed_is_judged_once_and_stored() {
    let place = Place::new();
    let repo = Arc::new(place.open().await);
    let policy = RetentionPolicy { keep_per_node: Some(10), keep_days: None };

    // Each at times of its own, so that no line is known from before.
    for (kind, now) in [(Work::Prune, NOW.as_unix()), (Work::Forget, NOW.as_unix() + 30 * DAY)] {
        let backlog = (0..12_000).map(|i| measurement("A", now - 60 * i - 60, 12.0));
        let mut import = batch(backlog);
        import.origin = BatchOrigin::Import;
        repo.store(&import).await.unwrap();
        let mut collector = Collector::new(Arc::clone(&repo) as _, Timestamp::from_unix(0));
        let work = async {
            match kind {
                Work::Prune => repo.prune(&policy, NOW, PruneMode::Apply).await.map(drop),
                Work::Forget => repo.forget(&node("A")).await.map(drop),
            }
        };
        tokio::pin!(work);
        let mut sent = 0;
        loop {
            let line = format!(
                "A;1;{};fw;60;0;21;17;12.5;80;100;20;11.9;14.2;7;20;52.5;13.4;800\n",
                now + 61 * sent
            );
            let message = [delivery("broker", line.as_bytes(), now + 61 * sent)];
            tokio::select! {
                biased;
                done = &mut work => {
                    done.unwrap();
                    break;
                }
                stored = collector.ingest(&message, Timestamp::from_unix(now)) => {
                    assert_eq!(stored.unwrap()[0].tally.stored, 1, "{kind:?}");
                    sent += 1;
                }
            }
        }
        assert!(sent > 1, "only {sent} messages came in between: {kind:?}");
    }
}

/// What removes much of a node.
#[derive(Clone, Copy, Debug)]
enum Work {
    Prune,
    Forget,
}
