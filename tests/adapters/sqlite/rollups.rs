//! Rollups: whatever happens to the rows, exactly what the rule says.

use std::time::{Duration, Instant};

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{
    Batch, Bucket, HOUR, HistoryRange, Measurement, MeasurementReader, MeasurementRepo, PruneMode,
    RepoError, RetentionPolicy, Timestamp, roll_up,
    testing::{measurement, node, telemetry},
    time::{DAY, MINUTE},
};

use super::{Place, batch, execute, history, number};

const HOURS_OF_A_YEAR: i64 = 8_760;

/// A row every so many seconds, with voltages that rise and fall.
fn rows(count: i64, apart: i64) -> Vec<Measurement> {
    let volts = |i: i64| f64::from(i32::try_from(12_000 + i * 7 % 1_900).unwrap()) / 1e3;
    (0..count).map(|i| measurement("A", i * apart, volts(i))).collect()
}

async fn rollups(repo: &dyn MeasurementReader) -> Vec<Bucket> {
    repo.rollups(&node("A"), HistoryRange::ALL).await.unwrap()
}

/// Whether the rollups are what the rule makes of these rows. Names the first
/// hour that is not.
#[track_caller]
fn assert_rolled_up<'a>(rollups: &[Bucket], rows: impl IntoIterator<Item = &'a Measurement>) {
    let expected = roll_up(rows, HOUR);
    for (rollup, expected) in rollups.iter().zip(&expected) {
        assert_eq!(rollup, expected);
    }
    assert_eq!(rollups.len(), expected.len());
}

async fn keep(repo: &SqliteRepo, newest: u32) {
    let policy = RetentionPolicy { keep_per_node: Some(newest), keep_days: None };
    repo.prune(&policy, Timestamp::from_unix(0), PruneMode::Apply).await.unwrap();
}

/// A database with these rows as the program made it before rollups were kept.
async fn from_before_rollups(rows: &[Measurement]) -> (Place, SqliteRepo) {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch(rows.iter().cloned())).await.unwrap();
    repo.close().await;
    execute(
        &place.database(),
        "DROP TABLE rollup; ALTER TABLE node DROP COLUMN rolled_up; \
         DELETE FROM _sqlx_migrations WHERE version = 2",
    )
    .await;
    let repo = place.open().await;
    (place, repo)
}

#[tokio::test]
async fn data_from_before_rollups_is_rolled_up_when_asked_for() {
    // More than one transaction rolls up, with a gap between.
    let mut rows = rows(10 * 24, HOUR);
    rows.extend((0..90).map(|i| telemetry("A", 40 * DAY + i * MINUTE, i)));
    let (_place, repo) = from_before_rollups(&rows).await;
    assert_eq!(rollups(&repo).await, []);

    repo.rebuild_rollups(&node("A")).await.unwrap();

    assert_rolled_up(&rollups(&repo).await, &rows);
    assert_eq!(history(&repo, "A").await.len(), rows.len());
}

#[tokio::test]
async fn data_from_before_rollups_is_rolled_up_before_it_is_pruned() {
    let before = rows(300, 10 * MINUTE);
    let (_place, repo) = from_before_rollups(&before).await;
    // In hours that are known already, and in new ones.
    let after: Vec<_> = (0..100).map(|i| telemetry("A", 2 * DAY - HOUR + i * MINUTE, i)).collect();
    repo.store(&batch(after.clone())).await.unwrap();

    keep(&repo, 50).await;

    assert_eq!(history(&repo, "A").await.len(), 50);
    assert_rolled_up(&rollups(&repo).await, before.iter().chain(&after));
    repo.rebuild_rollups(&node("A")).await.unwrap();
    assert_rolled_up(&rollups(&repo).await, before.iter().chain(&after));
}

#[tokio::test]
async fn an_hour_of_which_rows_were_pruned_keeps_its_rollup_when_made_anew() {
    let place = Place::new();
    let repo = place.open().await;
    let rows = rows(180, MINUTE);
    repo.store(&batch(rows.clone())).await.unwrap();
    keep(&repo, 90).await;

    repo.rebuild_rollups(&node("A")).await.unwrap();

    assert_rolled_up(&rollups(&repo).await, &rows);
}

#[tokio::test]
async fn several_writers_share_an_hour() {
    let place = Place::new();
    let (one, other) = (place.open().await, place.open().await);
    let rows = rows(300, 20);
    let batches: Vec<Batch> = rows.chunks(7).map(|rows| batch(rows.iter().cloned())).collect();
    let all = async |repo: &SqliteRepo| {
        for batch in &batches {
            repo.store(batch).await.unwrap();
        }
    };
    tokio::join!(all(&one), all(&other));
    assert_rolled_up(&rollups(&one).await, &rows);
}

#[tokio::test]
async fn intake_goes_on_while_rollups_are_made_anew() {
    let old = rows(40 * 24 * 6, 10 * MINUTE);
    let (_place, repo) = from_before_rollups(&old).await;
    let late = |i: i64| telemetry("A", (i * 7 % 41) * DAY, -1 - i);
    let mut all = old;
    let asked_for = node("A");
    let mut rebuilding = repo.rebuild_rollups(&asked_for);
    let mut stored = 0;
    loop {
        let row = late(stored);
        let new = batch([row.clone()]);
        tokio::select! {
            biased;
            done = &mut rebuilding => break done.unwrap(),
            done = repo.store(&new) => {
                done.unwrap();
                all.push(row);
                stored += 1;
            }
        }
    }
    assert!(stored > 1, "only {stored} batches came in between");
    // The one that was cut short is stored or not.
    let last = late(stored);
    repo.store(&batch([last.clone()])).await.unwrap();
    all.push(last);
    assert_rolled_up(&rollups(&repo).await, &all);
}

#[tokio::test]
async fn a_node_with_more_rollups_than_one_transaction_takes_is_forgotten() {
    let place = Place::new();
    let repo = place.open().await;
    let other = measurement("B", 0, 12.0);
    repo.store(&batch(rows(2_300, HOUR).into_iter().chain([other]))).await.unwrap();
    keep(&repo, 10).await;

    assert_eq!(repo.forget(&node("A")).await.unwrap(), 10);

    assert_eq!(number(&place.database(), "SELECT count(*) FROM rollup").await, 1);
    let again = rows(3, MINUTE);
    repo.store(&batch(again.clone())).await.unwrap();
    assert_rolled_up(&rollups(&repo).await, &again);
}

#[tokio::test]
async fn a_node_whose_removal_is_cut_short_is_gone_and_what_is_left_of_it_goes_with_the_next() {
    let place = Place::new();
    let repo = place.open().await;
    for cut_after in [1, 3] {
        let before = rows(6_000, 20 * MINUTE);
        repo.store(&batch(before)).await.unwrap();
        let forgotten = node("A");
        let mut forgetting = repo.forget(&forgotten);
        for turn in 0..cut_after {
            // Writers take turns.
            let other = batch([measurement("B", cut_after * HOUR + turn, 12.0)]);
            tokio::select! {
                biased;
                _ = &mut forgetting => panic!("it was not cut short"),
                done = repo.store(&other) => drop(done.unwrap()),
            }
        }
        drop(forgetting);

        // Then nobody sees it any more
        let again = place.open().await;
        assert_eq!(rollups(&again).await, []);
        assert_eq!(history(&again, "A").await, []);
        let known = again.latest(None).await.unwrap();
        assert!(known.iter().all(|row| row.measurement.node == node("B")), "{known:?}");
        assert!(number(&place.database(), "SELECT count(*) FROM measurement").await > 1_000);

        // and it may come up again
        let late = telemetry("A", 6_000 * 20 * MINUTE, 1);
        repo.store(&batch([late.clone()])).await.unwrap();
        assert_rolled_up(&rollups(&repo).await, [&late]);

        // until it is removed once more
        assert_eq!(repo.forget(&node("A")).await.unwrap(), 1);
        let left = number(&place.database(), "SELECT count(*) FROM measurement").await;
        assert_eq!(usize::try_from(left).unwrap(), history(&repo, "B").await.len());
        assert_eq!(number(&place.database(), "SELECT count(*) FROM node").await, 1);
    }
}

#[tokio::test]
async fn two_that_remove_the_same_node_touch_no_other_that_gets_its_number() {
    let place = Place::new();
    let (one, other) = (place.open().await, place.open().await);
    one.store(&batch(rows(2_500, 20 * MINUTE))).await.unwrap();
    let (a, unknown) = (node("A"), node("unknown"));
    // Given one that has taken the name and begun to remove
    let mut removing = one.forget(&a);
    while number(&place.database(), "SELECT count(*) FROM measurement").await == 2_500 {
        tokio::select! {
            biased;
            _ = &mut removing => panic!("it was not interrupted"),
            () = tokio::task::yield_now() => {}
        }
    }
    // When another one finishes that, and a new node gets the free number
    other.forget(&unknown).await.unwrap();
    let new = |name: &str| (0..50).map(|i| measurement(name, i * MINUTE, 12.0)).collect::<Vec<_>>();
    other.store(&batch(new("B"))).await.unwrap();

    // Then the first one leaves that alone
    removing.await.unwrap();
    assert_eq!(history(&one, "B").await.len(), 50);
}

#[tokio::test]
async fn what_is_stored_while_a_node_is_forgotten_is_rolled_up_or_gone() {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch(rows(4_500, 20 * MINUTE))).await.unwrap();
    let forgotten = node("A");
    let mut forgetting = repo.forget(&forgotten);
    let mut stored = 0;
    loop {
        let next = batch([telemetry("A", 4_500 * 20 * MINUTE + stored * 7 * MINUTE, stored)]);
        tokio::select! {
            biased;
            gone = &mut forgetting => {
                gone.unwrap();
                break;
            },
            done = repo.store(&next) => drop(done.unwrap()),
        }
        stored += 1;
    }
    assert!(stored > 1, "only {stored} batches came in between");
    repo.store(&batch([telemetry("A", 200 * DAY, 7)])).await.unwrap();

    let left = history(&repo, "A").await;
    assert!(left.len() < 10, "{} rows are left", left.len());
    assert_rolled_up(&rollups(&repo).await, &left);
}

/// A database with a line an hour of a node for a year.
async fn a_year_of_hours() -> (Place, SqliteRepo) {
    let place = Place::new();
    let repo = place.open().await;
    for part in rows(HOURS_OF_A_YEAR, HOUR).chunks(1_000) {
        repo.store(&batch(part.iter().cloned())).await.unwrap();
    }
    (place, repo)
}

#[tokio::test]
async fn the_rollups_of_a_year_take_little_room() {
    let (place, repo) = a_year_of_hours().await;
    // As of nodes that report each minute: no two values of an hour are the same.
    let minutes = (0..60).map(|i| measurement("B", i * MINUTE, 12.0 + i as f64 / 1e3));
    repo.store(&batch(minutes)).await.unwrap();
    execute(
        &place.database(),
        "UPDATE rollup SET spreads = (SELECT spreads FROM rollup JOIN node ON node.id = node \
         WHERE name = 'B')",
    )
    .await;
    repo.close().await;

    let size = |table: &str| format!("SELECT sum(pgsize) FROM dbstat WHERE name = '{table}'");
    execute(&place.database(), "VACUUM").await;
    let size = number(&place.database(), &size("rollup")).await;

    println!("{size} bytes");
    assert!(size < 1_500_000, "{size} bytes");
}

/// How many times slower than a usual one this machine may be.
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
fn slowness() -> u32 {
    let Some(times) = std::env::var_os("ISEMS_TEST_SLOWNESS") else { return 1 };
    let whole = times.to_str().and_then(|times| times.parse().ok());
    whole
        .unwrap_or_else(|| panic!("ISEMS_TEST_SLOWNESS is {} and no whole number", times.display()))
}

/// How long it takes says nothing where nothing is optimised.
#[tokio::test]
#[cfg_attr(debug_assertions, ignore = "tests/run runs it in an optimised build")]
async fn a_year_of_a_node_is_read_within_50_milliseconds() {
    let (_place, repo) = a_year_of_hours().await;
    let mut took = Duration::MAX;
    // The machine may be busy with something else for a moment.
    for _ in 0..20 {
        let begin = Instant::now();
        let year = repo.buckets(&node("A"), HistoryRange::ALL, HOUR).await.unwrap();
        took = took.min(begin.elapsed());
        assert_eq!(i64::try_from(year.len()), Ok(HOURS_OF_A_YEAR));
    }
    let bound = Duration::from_millis(50) * slowness();
    println!("{took:?} of {bound:?}");
    assert!(
        took <= bound,
        "{took:?}; a slow machine may set ISEMS_TEST_SLOWNESS, now {}",
        slowness()
    );
}

#[tokio::test]
async fn a_rollup_that_was_never_written_is_damage() {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch(rows(1, HOUR))).await.unwrap();
    for damage in [
        "UPDATE rollup SET spreads = x'00'",
        "UPDATE rollup SET spreads = x'', status = 65536",
        "UPDATE rollup SET status = 0, count = -1",
    ] {
        execute(&place.database(), damage).await;
        let refused = repo.rollups(&node("A"), HistoryRange::ALL).await.unwrap_err();
        assert!(matches!(refused, RepoError::Corrupt { .. }), "{damage}: {refused:?}");
    }
}
