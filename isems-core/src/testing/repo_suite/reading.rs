//! What goes in comes out, in the promised order.

use super::{RepoUnderTest, at, rows, store};
use crate::{
    Basis, HistoryRange, Measurement, NodeStatus, Sample, StoredMeasurement,
    testing::{measurement, node, telemetry},
};

pub(super) async fn what_was_stored_comes_back_exactly(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let odd_numbers = Measurement {
        sample: Sample {
            open_circuit_voltage: Some(0.1 + 0.2),
            mpp_voltage: Some(f64::MIN_POSITIVE),
            battery_health: Some(-905.0),
            battery_temperature: Some(-149.0),
            state_of_charge: Some(1e300),
            power_save: true,
            status: Some(NodeStatus::from_bits(0xFFF)),
            ..Sample::default()
        },
        basis: Basis::Corrected,
        received: None,
        ..measurement("A", 2000, 12.0)
    };
    let nothing_known = Measurement { sample: Sample::default(), ..measurement("A", 1500, 12.0) };
    let far_off = measurement("A", 999_999_999_999_999, 12.0);
    let message = telemetry("A", 1000, i64::MIN);
    let stored = [far_off, odd_numbers, nothing_known, message];
    store(&*repo, &rows(stored.clone())).await;
    let history = repo.history(&node("A"), HistoryRange::ALL, 10).await.unwrap();
    assert_eq!(history.into_iter().map(|row| row.measurement).collect::<Vec<_>>(), stored);
}

pub(super) async fn hostile_names_and_texts_come_back_exactly(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let longest = "ü".repeat(64);
    let names = [
        "'; DROP TABLE measurement; --",
        "\"quoted\" \\ back",
        "<script>alert(1)</script>",
        "Gärten Süd/Nord",
        "\u{202e}drawkcab",
        "🌞🔋",
        "ÄÖ",
        "a_b*c?d[e]",
        "NULL",
        &longest,
    ];
    let stored = names.map(|name| {
        let mut row = measurement(name, 1000, 12.0);
        row.sample.firmware = name.into();
        row.sample.revision = name.chars().rev().collect();
        row
    });
    assert_eq!(store(&*repo, &rows(stored.clone())).await.stored, names.len() as u64);
    for row in stored {
        let history = repo.history(&row.node, HistoryRange::ALL, 10).await.unwrap();
        assert_eq!(history.len(), 1, "{}", row.node);
        assert_eq!(history[0].measurement, row);
    }
}

pub(super) async fn history_is_newest_first_and_limited(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([1060, 1000, 1180, 1120].map(|t| measurement("A", t, 12.0)))).await;
    let history = repo.history(&node("A"), HistoryRange::ALL, 3).await.unwrap();
    assert_eq!(
        history.iter().map(|row| row.measurement.observed).collect::<Vec<_>>(),
        [1180, 1120, 1060].map(at)
    );
    assert_eq!(repo.history(&node("A"), HistoryRange::ALL, 0).await.unwrap(), []);
}

pub(super) async fn a_range_bounds_the_history_on_both_sides(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([1000, 1060, 1120, 1180].map(|t| measurement("A", t, 12.0)))).await;
    for (from, until, expected) in [
        (Some(1060), Some(1120), &[1120, 1060][..]),
        (Some(1061), None, &[1180, 1120]),
        (None, Some(1059), &[1000]),
        (Some(1180), Some(1180), &[1180]),
        (Some(1120), Some(1060), &[]),
    ] {
        let range = HistoryRange { from: from.map(at), until: until.map(at) };
        let history = repo.history(&node("A"), range, 10).await.unwrap();
        let observed: Vec<_> =
            history.iter().map(|row| row.measurement.observed.as_unix()).collect();
        assert_eq!(observed, expected, "{range:?}");
    }
}

pub(super) async fn those_that_are_asked_for_are_found_however_far_apart(
    fresh: &dyn RepoUnderTest,
) {
    let repo = fresh.open().await;
    let identity = |row: &Measurement| (row.observed, row.reported);
    for many in [0, 1, 2, 63, 64, 65, 200] {
        let name = format!("node {many}");
        let wanted: Vec<Measurement> =
            (0..many).map(|hour| measurement(&name, 1000 + hour * 3700, 12.0)).collect();
        let others = [measurement(&name, 1001, 13.0), measurement("another", 1000, 13.0)];
        store(&*repo, &rows(wanted.iter().cloned().chain(others))).await;
        let missing = measurement(&name, 1002, 12.0);
        let asked: Vec<_> = wanted.iter().chain([&missing]).map(identity).collect();
        let found = repo.find(&node(&name), &asked).await.unwrap();
        let mut found: Vec<_> = found.into_iter().map(|row| row.measurement).collect();
        found.sort_by_key(|row| row.observed);
        assert_eq!(found, wanted);
    }
    let unknown = repo.find(&node("unknown"), &[identity(&measurement("A", 1, 1.0))]).await;
    assert_eq!(unknown.unwrap(), []);
}

pub(super) async fn an_unknown_node_has_an_empty_history(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    assert_eq!(repo.history(&node("nobody"), HistoryRange::ALL, 10).await.unwrap(), []);
    assert_eq!(repo.latest(None).await.unwrap(), []);
    assert_eq!(repo.forget(&node("nobody")).await.unwrap(), 0);
}

pub(super) async fn latest_is_the_newest_row_of_each_node_sorted_by_node(
    fresh: &dyn RepoUnderTest,
) {
    let repo = fresh.open().await;
    let names = ["b", "Ä", "a", "B", "A"];
    for (minute, name) in (0..).zip(names) {
        store(
            &*repo,
            &rows([measurement(name, 2000 + minute, 13.0), measurement(name, 1000, 12.0)]),
        )
        .await;
    }
    let latest = repo.latest(None).await.unwrap();
    let order: Vec<_> = latest.iter().map(|row| row.measurement.node.as_str()).collect();
    assert_eq!(order, ["A", "B", "a", "b", "Ä"], "sorted by the bytes of the name");
    assert!(latest.iter().all(|row| row.measurement.observed >= at(2000)));
}

pub(super) async fn latest_hides_nodes_that_are_not_active(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([measurement("old", 1000, 12.0), measurement("new", 1001, 12.0)])).await;
    let latest = repo.latest(Some(at(1000))).await.unwrap();
    assert_eq!(latest.iter().map(|row| row.measurement.node.as_str()).collect::<Vec<_>>(), ["new"]);
}

pub(super) async fn pages_of_the_latest_make_up_the_latest(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let observed = [("A", 1000), ("B", 1001), ("a", 1002), ("b", 1000), ("Ä", 1003)];
    store(&*repo, &rows(observed.map(|(name, at)| measurement(name, at, 12.0)))).await;
    for since in [None, Some(at(1000))] {
        let latest = repo.latest(since).await.unwrap();
        for limit in 1..=latest.len() + 1 {
            let mut read = Vec::new();
            loop {
                let after =
                    read.last().map_or("", |row: &StoredMeasurement| row.measurement.node.as_str());
                let page = repo.latest_page(after, limit, since).await.unwrap();
                assert!(page.len() <= limit, "{} of {limit}", page.len());
                if page.is_empty() {
                    break;
                }
                read.extend(page);
                assert!(read.len() <= latest.len(), "{limit} at a time: some come again");
            }
            assert_eq!(read, latest, "{limit} at a time, active since {since:?}");
        }
    }
    let names_no_node = repo.latest_page("AA'%_\"", 2, None).await.unwrap();
    let order: Vec<_> = names_no_node.iter().map(|row| row.measurement.node.as_str()).collect();
    assert_eq!(order, ["B", "a"]);
    assert_eq!(repo.latest_page("", 0, None).await.unwrap(), []);
}

pub(super) async fn the_latest_are_shown_one_by_one(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let observed = [("B", 1000), ("A", 1001), ("A", 900), ("C", 1002)];
    store(&*repo, &rows(observed.map(|(name, at)| measurement(name, at, 12.0)))).await;
    for since in [None, Some(at(1000))] {
        let mut shown = Vec::new();
        repo.each_latest(since, &mut |row| shown.push(row)).await.unwrap();
        assert_eq!(shown, repo.latest(since).await.unwrap(), "active since {since:?}");
    }
}

pub(super) async fn a_late_backfill_does_not_become_the_latest(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([measurement("A", 2000, 13.0)])).await;
    store(&*repo, &rows([measurement("A", 1000, 12.0)])).await;
    assert_eq!(repo.latest(None).await.unwrap()[0].measurement.observed, at(2000));
}

pub(super) async fn row_ids_are_unique_and_stable(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &rows([measurement("A", 1000, 12.0), measurement("B", 1000, 12.0)])).await;
    let before = repo.latest(None).await.unwrap();
    assert_ne!(before[0].id, before[1].id);
    store(&*repo, &rows([measurement("A", 1000, 12.0), measurement("C", 900, 12.0)])).await;
    let after = repo.latest(None).await.unwrap();
    assert_eq!(before[..], after[..2]);
}

pub(super) async fn another_handle_sees_what_was_stored(fresh: &dyn RepoUnderTest) {
    let first = fresh.open().await;
    store(&*first, &rows([measurement("A", 1000, 12.0)])).await;
    let second = fresh.open().await;
    assert_eq!(second.latest(None).await.unwrap(), first.latest(None).await.unwrap());
    drop(first);
    drop(second);
    let reopened = fresh.open().await;
    assert_eq!(reopened.latest(None).await.unwrap().len(), 1);
    assert_eq!(store(&*reopened, &rows([measurement("A", 1000, 12.0)])).await.duplicate, 1);
}
