//! Several at once: processes, writers, readers.

use std::time::Duration;

use isems_core::{
    MeasurementReader, MeasurementRepo, NodeUpdate, RepoError,
    testing::{measurement, node},
};
use sqlx::Connection;

use super::{Place, batch, history, raw};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn two_processes_may_create_the_file_at_the_same_moment() {
    for _ in 0..5 {
        let place = Place::new();
        let (first, second) = tokio::join!(place.open(), place.open());
        first.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap();
        assert_eq!(history(&second, "A").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_on_one_file_take_turns_and_lose_nothing() {
    const BATCHES: i64 = 40;
    let place = Place::new();
    let (first, second) = (place.open().await, place.open().await);
    let write = async |repo: &dyn MeasurementRepo, name: &str| {
        for number in 0..BATCHES {
            // Each stores rows of its own and rows that the other stores too.
            let rows = (0..10).flat_map(|i| {
                let at = 600 * number + 60 * i;
                [measurement(name, at, 12.0), measurement("both", at, 12.0)]
            });
            repo.store(&batch(rows)).await.unwrap();
        }
    };

    let work = async { tokio::join!(write(&first, "A"), write(&second, "B")) };
    tokio::time::timeout(PATIENCE, work).await.unwrap();

    for name in ["A", "B", "both"] {
        assert_eq!(history(&first, name).await.len(), 400, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_that_judge_the_same_node_never_overwrite_each_other() {
    let place = Place::new();
    let (first, second) = (place.open().await, place.open().await);
    let write = async |repo: &dyn MeasurementRepo, begin: i64| {
        for number in 0..20 {
            loop {
                let state = repo.node_state(&node("A")).await.unwrap();
                let mut judged = batch([measurement("A", begin + number, 12.0)]);
                judged.nodes =
                    vec![NodeUpdate { node: node("A"), expected: state.version, runs: state.runs }];
                match repo.store(&judged).await {
                    Ok(_) => break,
                    Err(RepoError::Stale { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };

    let work = async { tokio::join!(write(&first, 0), write(&second, 1000)) };
    tokio::time::timeout(PATIENCE, work).await.unwrap();

    assert_eq!(history(&first, "A").await.len(), 40);
    assert!(first.node_state(&node("A")).await.unwrap().version >= 40);
}

#[tokio::test]
async fn a_read_that_goes_on_does_not_hold_up_the_writer() {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap();
    let mut slow = raw(&place.database()).await;
    let mut reading = slow.begin().await.unwrap();
    let seen = async |reading: &mut sqlx::SqliteConnection| -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM measurement").fetch_one(reading).await.unwrap()
    };
    assert_eq!(seen(&mut reading).await, 1);

    let row = batch([measurement("A", 1060, 12.0)]);
    let stored = repo.store(&row);
    tokio::time::timeout(Duration::from_secs(5), stored)
        .await
        .expect("the writer does not wait for the reader")
        .unwrap();

    assert_eq!(history(&repo, "A").await.len(), 2);
    assert_eq!(seen(&mut reading).await, 1, "its view of the data stays");
}

#[tokio::test]
async fn a_writer_that_goes_on_does_not_hold_up_reads() {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap();
    let mut other = raw(&place.database()).await;
    let mut writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("DELETE FROM measurement").execute(&mut *writing).await.unwrap();

    let reader = repo.reader();
    let latest = tokio::time::timeout(Duration::from_secs(5), reader.latest(None))
        .await
        .expect("the reader does not wait for the writer")
        .unwrap();

    assert_eq!(latest.len(), 1, "what is not committed is not seen");
}

#[tokio::test]
async fn a_writer_waits_for_another_that_is_quick() {
    let place = Place::new();
    let repo = place.open().await;
    let mut other = raw(&place.database()).await;
    let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let row = batch([measurement("A", 1000, 12.0)]);
    let mut store = repo.store(&row);
    // Polled once, it waits; the other then ends.
    assert!(futures_util::poll!(&mut store).is_pending());
    writing.rollback().await.unwrap();

    tokio::time::timeout(PATIENCE, store).await.unwrap().unwrap();
    assert_eq!(history(&repo, "A").await.len(), 1);
}
