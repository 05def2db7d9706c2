//! Pruning agrees with [`RetentionPolicy::judge`], which is its oracle.

use super::{RepoUnderTest, at, rows, store, update};
use crate::{
    Basis, Batch, BatchOrigin, ClockRun, HistoryRange, Measurement, NodePrune, PartReport,
    PruneMode, PruneReport, Removal, Reported, RetentionPolicy, Timestamp,
    testing::{measurement, node, telemetry},
    time::DAY,
};

const NOW: i64 = 100 * DAY;

fn policy(keep_per_node: Option<u32>, keep_days: Option<u32>) -> RetentionPolicy {
    RetentionPolicy { keep_per_node, keep_days }
}

/// Rows of three nodes: many, few, and one whose newest is very old; some share
/// an observed second.
fn fleet() -> Vec<Measurement> {
    let many = (0..50).map(|n| measurement("many", NOW - n * DAY / 4, 12.0));
    let twins = (0..50).step_by(7).map(|n| telemetry("many", NOW - n * DAY / 4, n));
    let few = (0..3).map(|n| measurement("few", NOW - n * DAY, 12.0));
    let stale = (0..4).map(|n| measurement("stale", NOW - (60 + n) * DAY, 12.0));
    many.chain(twins).chain(few).chain(stale).collect()
}

/// What the rule says of rows sorted newest first.
fn oracle(
    policy: &RetentionPolicy,
    history: &[Measurement],
    now: Timestamp,
) -> (Vec<Measurement>, u64, u64) {
    let (mut kept, mut too_many, mut too_old) = (Vec::new(), 0, 0);
    for (rank, row) in history.iter().enumerate() {
        match policy.judge(rank, row.observed, now) {
            None => kept.push(row.clone()),
            Some(Removal::TooMany) => too_many += 1,
            Some(Removal::TooOld) => too_old += 1,
        }
    }
    (kept, too_many, too_old)
}

pub(super) async fn prune_removes_what_the_rule_says(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    // Each policy is stricter than the one before.
    for policy in [
        RetentionPolicy::default(),
        policy(Some(1000), Some(1000)),
        policy(Some(40), None),
        policy(Some(40), Some(8)),
        policy(Some(20), Some(4)),
        policy(None, Some(2)),
        policy(Some(2), Some(1)),
        policy(Some(0), Some(0)),
    ] {
        store(&*repo, &Batch { origin: BatchOrigin::Import, ..rows(fleet()) }).await;
        let mut expected = PruneReport::default();
        let mut kept_by_node = Vec::new();
        for name in ["few", "many", "stale"] {
            let node = node(name);
            let history = repo.history(&node, HistoryRange::ALL, usize::MAX).await.unwrap();
            let history: Vec<_> = history.into_iter().map(|row| row.measurement).collect();
            let (kept, too_many, too_old) = oracle(&policy, &history, at(NOW));
            if too_many + too_old > 0 {
                expected.nodes.push(NodePrune { node: node.clone(), too_many, too_old });
            }
            kept_by_node.push((node, kept));
        }
        assert_eq!(
            repo.prune(&policy, at(NOW), PruneMode::Apply).await.unwrap(),
            expected,
            "{policy:?}"
        );
        for (node, kept) in kept_by_node {
            let left = repo.history(&node, HistoryRange::ALL, usize::MAX).await.unwrap();
            assert_eq!(
                left.into_iter().map(|row| row.measurement).collect::<Vec<_>>(),
                kept,
                "{policy:?} {node}"
            );
        }
        let again = repo.prune(&policy, at(NOW), PruneMode::Apply).await.unwrap();
        assert_eq!(again, PruneReport::default(), "nothing is left to prune");
    }
}

pub(super) async fn a_dry_run_reports_and_removes_nothing(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows(fleet())).await;
    let state = repo.node_state(&node("many")).await.unwrap();
    let policy = policy(Some(10), Some(5));
    let said = repo.prune(&policy, at(NOW), PruneMode::DryRun).await.unwrap();
    assert!(said.removed() > 0);
    assert_eq!(repo.node_state(&node("many")).await.unwrap(), state);
    assert_eq!(repo.prune(&policy, at(NOW), PruneMode::Apply).await.unwrap(), said);
}

pub(super) async fn the_newest_row_of_a_node_stays(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows(fleet())).await;
    let before = repo.latest(None).await.unwrap();
    repo.prune(&policy(Some(0), Some(0)), at(NOW + 1000 * DAY), PruneMode::Apply).await.unwrap();
    assert_eq!(repo.latest(None).await.unwrap(), before);
}

pub(super) async fn pruned_rows_are_expired_when_they_come_again(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let lines = || [1000, 1060, 1120, 1180].map(|t| measurement("A", t, 12.0));
    store(&*repo, &rows(lines())).await;
    repo.prune(&policy(Some(2), None), at(2000), PruneMode::Apply).await.unwrap();
    assert_eq!(repo.node_state(&node("A")).await.unwrap().pruned_until, Some(at(1060)));
    assert_eq!(
        repo.pruned_until(&node("A")).await.unwrap(),
        Some(at(1060)),
        "`MeasurementReader::pruned_until`, whose default is only for what never prunes"
    );
    assert_eq!(repo.pruned_until(&node("B")).await.unwrap(), None);
    let again =
        lines().into_iter().chain([measurement("A", 1061, 12.0), measurement("A", 999, 12.0)]);
    let report = store(&*repo, &rows(again)).await;
    assert_eq!(report, PartReport { stored: 1, duplicate: 2, expired: 3, ..PartReport::default() });
}

pub(super) async fn what_is_told_for_the_first_time_never_expires(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let run = |offset, first, last| ClockRun {
        offset,
        basis: Basis::Node,
        first_reported: at(first),
        last_reported: at(last),
        guessed: false,
    };
    let line = |reported: i64, offset: i64| Measurement {
        reported: Reported::Time(at(reported)),
        ..measurement("A", reported + offset, 12.0)
    };
    let lines = || [1000, 1060, 1120, 1180].map(|t| line(t, 0));
    let runs = vec![run(-5_000, 6_010, 6_020), run(0, 1000, 1180)];
    let nodes = vec![update(&node("A"), 0, runs)];
    store(&*repo, &Batch { nodes, ..rows(lines()) }).await;
    repo.prune(&policy(Some(1), None), at(2000), PruneMode::Apply).await.unwrap();

    for (what, row, stored) in [
        ("a line of a known run", line(1060, 0), 0),
        ("a line between those of a known run", line(1061, 0), 0),
        ("a line of another run", line(6_015, -5_000), 0),
        ("a line beyond those of a run", line(6_030, -5_000), 1),
        ("a line of a new run", line(99, 941), 1),
        ("telemetry", telemetry("A", 1050, 7), 1),
    ] {
        let report = store(&*repo, &rows([row])).await;
        assert_eq!((report.stored, report.expired), (stored, 1 - stored), "{what}");
    }
}

pub(super) async fn an_import_may_bring_back_what_was_pruned(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let lines = || [1000, 1060].map(|t| measurement("A", t, 12.0));
    store(&*repo, &rows(lines())).await;
    repo.prune(&policy(Some(1), None), at(2000), PruneMode::Apply).await.unwrap();
    let report = store(&*repo, &Batch { origin: BatchOrigin::Import, ..rows(lines()) }).await;
    assert_eq!(report, PartReport { stored: 1, duplicate: 1, ..PartReport::default() });
}

pub(super) async fn a_node_is_forgotten_whole(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows(fleet())).await;
    repo.prune(&policy(Some(10), None), at(NOW), PruneMode::Apply).await.unwrap();
    assert_eq!(repo.forget(&node("many")).await.unwrap(), 10);
    let latest = repo.latest(None).await.unwrap();
    assert_eq!(
        latest.iter().map(|row| row.measurement.node.as_str()).collect::<Vec<_>>(),
        ["few", "stale"]
    );
    let report = store(&*repo, &rows([measurement("many", 1000, 12.0)])).await;
    assert_eq!(report.stored, 1, "no watermark is left");
}
