//! Each measurement exactly once.

use super::{RepoUnderTest, rows, store};
use crate::{
    HistoryRange, Measurement, PartReport, Reported, Timestamp,
    testing::{measurement, node},
};

pub(super) async fn a_measurement_is_stored_once(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let batch = rows([measurement("A", 1000, 12.0), measurement("A", 1060, 12.1)]);
    assert_eq!(store(&*repo, &batch).await, PartReport { stored: 2, ..PartReport::default() });
    assert_eq!(store(&*repo, &batch).await, PartReport { duplicate: 2, ..PartReport::default() });
    let history = repo.history(&node("A"), HistoryRange::ALL, 10).await.unwrap();
    assert_eq!(history.len(), 2);
}

pub(super) async fn other_values_under_a_known_identity_are_a_conflict_and_the_first_stays(
    fresh: &dyn RepoUnderTest,
) {
    let repo = fresh.open().await;
    let first = measurement("A", 1000, 12.0);
    store(&*repo, &rows([first.clone()])).await;
    let report = store(&*repo, &rows([measurement("A", 1000, 13.0)])).await;
    assert_eq!(report, PartReport { conflict: 1, ..PartReport::default() });
    let history = repo.history(&node("A"), HistoryRange::ALL, 10).await.unwrap();
    assert_eq!(history.iter().map(|row| &row.measurement).collect::<Vec<_>>(), [&first]);
}

pub(super) async fn within_one_batch_the_first_of_equal_identities_wins(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let first = measurement("A", 1000, 12.0);
    let report =
        store(&*repo, &rows([first.clone(), first.clone(), measurement("A", 1000, 13.0)])).await;
    assert_eq!(
        report,
        PartReport { stored: 1, duplicate: 1, conflict: 1, ..PartReport::default() }
    );
    assert_eq!(repo.latest(None).await.unwrap()[0].measurement, first);
}

pub(super) async fn the_same_second_may_hold_several_reported_times(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let one = measurement("A", 1000, 12.0);
    let other = Measurement { reported: Reported::Time(Timestamp::from_unix(99)), ..one.clone() };
    let report = store(&*repo, &rows([other.clone(), one.clone()])).await;
    assert_eq!(report.stored, 2);
    let history = repo.history(&node("A"), HistoryRange::ALL, 10).await.unwrap();
    let order: Vec<_> = history.iter().map(|row| row.measurement.reported).collect();
    assert_eq!(order, [one.reported, other.reported], "the larger reported time first");
}

pub(super) async fn nodes_do_not_share_identities(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let report =
        store(&*repo, &rows([measurement("A", 1000, 12.0), measurement("a", 1000, 12.0)])).await;
    assert_eq!(report.stored, 2);
    assert_eq!(repo.latest(None).await.unwrap().len(), 2);
}
