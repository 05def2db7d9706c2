//! What is known of sources, stored with the rows that came from them.

use std::collections::BTreeMap;

use super::{RepoUnderTest, at, rows, store, update};
use crate::{
    Basis, Batch, Measurement, ReadPosition, RepoError, SourceId, SourceKind, SourcePart,
    SourceUpdate, Tally,
    testing::{measurement, node},
};

fn success(source: &str, t: i64) -> SourceUpdate {
    SourceUpdate {
        source: SourceId::new(source),
        kind: SourceKind::Http,
        at: at(t),
        error: None,
        position: None,
        tally: Tally::default(),
        bytes: 100,
        clock_offset: None,
        node: None,
    }
}

fn part(update: SourceUpdate, rows: impl IntoIterator<Item = Measurement>) -> Batch {
    Batch {
        parts: vec![SourcePart { update: Some(update), rows: rows.into_iter().collect() }],
        ..Batch::default()
    }
}

pub(super) async fn a_source_is_accounted_for(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let rejected = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
        counts.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    };
    let first = SourceUpdate {
        tally: Tally {
            duplicate: 4,
            rejected: rejected(&[("field count", 2)]),
            ..Tally::default()
        },
        clock_offset: Some(-3),
        ..success("http://10.0.0.1/ISEMS/ffopenmppt.log", 1000)
    };
    let corrected = Measurement { basis: Basis::Corrected, ..measurement("A", 900, 12.0) };
    store(&*repo, &part(first.clone(), [corrected, measurement("A", 960, 12.0)])).await;
    let second = SourceUpdate {
        tally: Tally {
            rejected: rejected(&[("field count", 1), ("status", 5)]),
            ..Tally::default()
        },
        clock_offset: None,
        ..success("http://10.0.0.1/ISEMS/ffopenmppt.log", 1900)
    };
    store(&*repo, &part(second, [measurement("A", 960, 12.0), measurement("A", 960, 13.0)])).await;
    store(&*repo, &part(SourceUpdate { kind: SourceKind::Mqtt, ..success("a broker", 1) }, []))
        .await;

    let sources = fresh.open().await.sources().await.unwrap();
    assert_eq!(
        sources.iter().map(|s| s.source.as_str()).collect::<Vec<_>>(),
        ["a broker", first.source.as_str()]
    );
    assert_eq!(sources[0].kind, SourceKind::Mqtt);
    let node = &sources[1];
    assert_eq!(node.last_success, Some(at(1900)));
    assert_eq!(node.last_error, None);
    assert_eq!(node.clock_offset, Some(-3), "kept when the node does not tell");
    assert_eq!(
        node.tally,
        Tally {
            stored: 2,
            duplicate: 5,
            conflict: 1,
            expired: 0,
            retimed: 1,
            rejected: rejected(&[("field count", 3), ("status", 5)]),
        }
    );
}

pub(super) async fn a_node_is_accounted_for_beneath_its_source(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let of = |name: &str, rejected: u64| SourceUpdate {
        tally: Tally {
            duplicate: 1,
            rejected: [("status".to_owned(), rejected)].into(),
            ..Tally::default()
        },
        node: Some(node(name)),
        ..success("a broker", 1000)
    };
    let row =
        |name: &str, t| [Measurement { basis: Basis::Corrected, ..measurement(name, t, 12.0) }];
    store(&*repo, &part(of("A", 2), row("A", 900))).await;
    store(&*repo, &part(of("A", 3), row("A", 900))).await;
    store(&*repo, &part(of("B", 4), row("B", 900))).await;
    store(&*repo, &part(of("nobody", 5), [])).await;
    store(&*repo, &part(SourceUpdate { source: SourceId::new("other"), ..of("A", 6) }, [])).await;

    let tally = |stored, duplicate, rejected| Tally {
        stored,
        duplicate,
        retimed: stored,
        rejected: [("status".to_owned(), rejected)].into(),
        ..Tally::default()
    };
    let sources = fresh.open().await.sources().await.unwrap();
    let expected = BTreeMap::from([(node("A"), tally(1, 3, 5)), (node("B"), tally(1, 1, 4))]);
    assert_eq!(sources[0].nodes, expected, "who is not known has no account");
    assert_eq!(sources[0].tally, tally(2, 5, 14), "but the source counts it");
    assert_eq!(sources[1].nodes, BTreeMap::from([(node("A"), tally(0, 1, 6))]));

    repo.forget(&node("A")).await.unwrap();
    let sources = repo.sources().await.unwrap();
    assert_eq!(sources[0].nodes, BTreeMap::from([(node("B"), tally(1, 1, 4))]));
    assert_eq!(sources[1].nodes, BTreeMap::new());
}

pub(super) async fn a_failure_leaves_the_last_success_in_place(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &part(success("s", 1000), [])).await;
    store(
        &*repo,
        &part(SourceUpdate { error: Some("no route to host".into()), ..success("s", 2000) }, []),
    )
    .await;
    let source = repo.sources().await.unwrap().remove(0);
    assert_eq!(source.last_success, Some(at(1000)));
    assert_eq!(source.last_error, Some((at(2000), "no route to host".into())));
    store(&*repo, &part(success("s", 3000), [])).await;
    let source = repo.sources().await.unwrap().remove(0);
    assert_eq!(source.last_success, Some(at(3000)));
    assert_eq!(
        source.last_error,
        Some((at(2000), "no route to host".into())),
        "what it was, and when"
    );
}

pub(super) async fn bytes_are_counted_by_day(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    for t in [86_399, 86_400, 90_000] {
        store(&*repo, &part(success("s", t), [])).await;
    }
    let source = repo.sources().await.unwrap().remove(0);
    assert_eq!((source.bytes_on_day, source.day), (200, at(86_400)));
    assert_eq!(source.bytes_today(at(172_799)), 200);
    assert_eq!(source.bytes_today(at(172_800)), 0);
}

pub(super) async fn read_positions_are_kept_until_replaced(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let position = |text: &str| Some(ReadPosition(text.into()));
    store(
        &*repo,
        &part(SourceUpdate { position: position("{\"etag\":\"'1'\"}"), ..success("s", 1000) }, []),
    )
    .await;
    store(&*repo, &part(success("s", 2000), [])).await;
    store(&*repo, &part(success("other", 2000), [])).await;
    let positions = fresh.open().await.read_positions().await.unwrap();
    assert_eq!(
        positions,
        BTreeMap::from([(SourceId::new("s"), ReadPosition("{\"etag\":\"'1'\"}".into()))])
    );
    store(&*repo, &part(SourceUpdate { position: position("2"), ..success("s", 3000) }, [])).await;
    assert_eq!(repo.read_positions().await.unwrap()[&SourceId::new("s")], ReadPosition("2".into()));
}

pub(super) async fn a_refused_batch_leaves_no_account(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    let batch = Batch {
        nodes: vec![update(&node("A"), 77, vec![])],
        ..part(SourceUpdate { position: Some(ReadPosition("1".into())), ..success("s", 1000) }, [])
    };
    assert!(matches!(repo.store(&batch).await, Err(RepoError::Stale { .. })));
    assert_eq!(repo.sources().await.unwrap(), []);
    assert_eq!(repo.read_positions().await.unwrap(), BTreeMap::new());
    assert_eq!(repo.clock_marks().await.unwrap().newest_arrival, None);
}

pub(super) async fn the_newest_arrival_is_known(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    assert_eq!(repo.clock_marks().await.unwrap().newest_arrival, None);
    let imported = Measurement { received: None, ..measurement("A", 900, 12.0) };
    store(&*repo, &rows([imported])).await;
    assert_eq!(repo.clock_marks().await.unwrap().newest_arrival, None, "an import has no arrival");
    store(&*repo, &rows([measurement("A", 1000, 12.0)])).await;
    assert_eq!(repo.clock_marks().await.unwrap().newest_arrival, Some(at(1060)));
    store(&*repo, &part(success("s", 5000), [])).await;
    store(&*repo, &part(success("s", 4000), [])).await;
    assert_eq!(fresh.open().await.clock_marks().await.unwrap().newest_arrival, Some(at(5000)));
}

pub(super) async fn a_failure_is_no_arrival(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    store(&*repo, &part(success("s", 1000), [])).await;
    let failure = SourceUpdate { error: Some("no route to host".into()), ..success("s", 9000) };
    store(&*repo, &part(failure, [])).await;
    assert_eq!(repo.clock_marks().await.unwrap().newest_arrival, Some(at(1000)));
}

pub(super) async fn the_latest_confirmed_moment_is_known(fresh: &dyn RepoUnderTest) {
    let repo = fresh.open().await;
    assert_eq!(repo.clock_marks().await.unwrap().confirmed, None);
    store(&*repo, &part(success("s", 5000), [measurement("A", 4000, 12.0)])).await;
    assert_eq!(repo.clock_marks().await.unwrap().confirmed, None, "what arrives confirms nothing");
    for (moment, latest) in [(Some(2000), 2000), (None, 2000), (Some(3000), 3000), (Some(1), 3000)]
    {
        let batch = Batch { clock_confirmed: moment.map(at), ..part(success("s", 6000), []) };
        store(&*repo, &batch).await;
        assert_eq!(fresh.open().await.clock_marks().await.unwrap().confirmed, Some(at(latest)));
    }
    assert_eq!(repo.clock_marks().await.unwrap().newest_arrival, Some(at(6000)));
}
