//! What the clock rule must be able to rely on.

use std::collections::BTreeSet;

use super::{RepoUnderTest, at, rows, store, update};
use crate::{
    Basis, Batch, ClockRun, KnownTelemetry, MeasurementRepo, NodeId, NodeState, PruneMode,
    RepoError, RetentionPolicy,
    testing::{measurement, node, telemetry},
};

fn run(offset: i64, basis: Basis) -> ClockRun {
    let guessed = basis == Basis::Estimated;
    ClockRun { offset, basis, first_reported: at(99), last_reported: at(4_000), guessed }
}

async fn version(repo: &dyn MeasurementRepo, node: &NodeId) -> u64 {
    repo.node_state(node).await.unwrap().version
}

pub(super) async fn an_unknown_node_has_the_default_state(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    assert_eq!(repo.node_state(&node("nobody")).await.unwrap(), NodeState::default());
}

pub(super) async fn clock_runs_come_back_in_order(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let a = node("A");
    let runs = vec![
        run(1_748_736_000, Basis::Estimated),
        run(0, Basis::Node),
        run(-31_536_000, Basis::Corrected),
    ];
    let batch =
        Batch { nodes: vec![update(&a, 0, runs.clone())], ..rows([measurement("A", 1000, 12.0)]) };
    store(&*repo, &batch).await;
    let state = fresh.open().await.node_state(&a).await.unwrap();
    assert_eq!(state.runs, runs);
    let fewer = vec![runs[2]];
    let batch = Batch { nodes: vec![update(&a, state.version, fewer.clone())], ..rows([]) };
    store(&*repo, &batch).await;
    assert_eq!(repo.node_state(&a).await.unwrap().runs, fewer, "the new runs replace the old ones");
}

pub(super) async fn a_batch_judged_by_an_old_state_is_refused_whole(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([measurement("A", 1000, 12.0)])).await;
    let before = repo.node_state(&node("A")).await.unwrap();
    let batch = Batch {
        nodes: vec![update(&node("B"), 0, vec![]), update(&node("A"), before.version + 1, vec![])],
        ..rows([measurement("B", 1000, 12.0), measurement("A", 1060, 12.0)])
    };
    let error = repo.store(&batch).await.expect_err("the state of A is not the present one");
    assert!(matches!(error, RepoError::Stale { node } if node.as_str() == "A"));
    assert_eq!(repo.latest(None).await.unwrap().len(), 1, "nothing of the batch is there");
    assert_eq!(repo.node_state(&node("A")).await.unwrap(), before);
    assert_eq!(version(&*repo, &node("B")).await, 0);
}

pub(super) async fn two_writers_do_not_overwrite_each_other(fresh: &dyn RepoUnderTest) {
    let (one, other) = (fresh.open().await, fresh.open().await);
    let a = node("A");
    let seen = one.node_state(&a).await.unwrap().version;
    let batch = |t, offset| Batch {
        nodes: vec![update(&a, seen, vec![run(offset, Basis::Estimated)])],
        ..rows([measurement("A", t, 12.0)])
    };
    store(&*other, &batch(1000, 7)).await;
    assert!(matches!(one.store(&batch(1003, 10)).await, Err(RepoError::Stale { .. })));
    let state = one.node_state(&a).await.unwrap();
    assert_eq!(state.runs, [run(7, Basis::Estimated)]);
    let judged_anew = Batch {
        nodes: vec![update(&a, state.version, state.runs)],
        ..rows([measurement("A", 1060, 12.0)])
    };
    assert_eq!(store(&*one, &judged_anew).await.stored, 1);
}

pub(super) async fn every_change_gives_another_version(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let a = node("A");
    let mut seen = BTreeSet::from([version(&*repo, &a).await]);
    store(&*repo, &rows([measurement("A", 1000, 12.0)])).await;
    assert!(seen.insert(version(&*repo, &a).await), "after a row");
    store(&*repo, &rows([measurement("A", 2000, 12.0), measurement("A", 3000, 12.0)])).await;
    assert!(seen.insert(version(&*repo, &a).await), "after more rows");
    let last = *seen.last().unwrap();
    store(
        &*repo,
        &Batch { nodes: vec![update(&a, last, vec![run(1, Basis::Corrected)])], ..rows([]) },
    )
    .await;
    assert!(seen.insert(version(&*repo, &a).await), "after new runs");
    let policy = RetentionPolicy { keep_per_node: Some(2), keep_days: None };
    repo.prune(&policy, at(4000), PruneMode::Apply).await.unwrap();
    assert!(seen.insert(version(&*repo, &a).await), "after pruning");
    let before = version(&*repo, &a).await;
    store(&*repo, &rows([measurement("B", 1000, 12.0)])).await;
    assert_eq!(version(&*repo, &a).await, before, "other nodes do not matter");
}

pub(super) async fn a_forgotten_node_does_not_get_an_old_version_again(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let a = node("A");
    store(&*repo, &rows([measurement("A", 1000, 12.0)])).await;
    let before = version(&*repo, &a).await;
    repo.forget(&a).await.unwrap();
    assert_eq!(repo.node_state(&a).await.unwrap(), NodeState::default());
    store(&*repo, &rows([measurement("A", 1000, 12.0)])).await;
    assert_ne!(version(&*repo, &a).await, before);
}

pub(super) async fn the_newest_telemetry_is_remembered(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let messages = (0..40).map(|n| telemetry("A", 1000 + n * 60, n * 7 - 100));
    let lines = (0..40).map(|n| measurement("A", 1005 + n * 60, 12.0));
    store(&*repo, &rows(messages.chain(lines))).await;
    let state = repo.node_state(&node("A")).await.unwrap();
    let expected: Vec<_> = (8..40)
        .rev()
        .map(|n| KnownTelemetry { observed: at(1000 + n * 60), fingerprint: n * 7 - 100 })
        .collect();
    assert_eq!(state.telemetry, expected);
}

pub(super) async fn telemetry_is_remembered_in_the_order_in_which_it_was_stored(
    fresh: &dyn RepoUnderTest,
) {
    let repo = fresh.open().await;
    // Within a second, and with a clock that is set back.
    let stored = [(1000, 7), (1000, -3), (1000, 5), (2000, 1), (1000, 6), (900, 2)];
    for messages in stored.chunks(2) {
        let messages = messages.iter().map(|(at, hash)| telemetry("A", *at, *hash));
        store(&*repo, &rows(messages)).await;
    }
    let state = repo.node_state(&node("A")).await.unwrap();
    let remembered = state.telemetry.iter().map(|m| (m.observed.as_unix(), m.fingerprint));
    assert_eq!(remembered.rev().collect::<Vec<_>>(), stored);
}
