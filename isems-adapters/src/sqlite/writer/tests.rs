//! What becomes of rows when the file is touched while it is in use.

#![expect(
    clippy::unwrap_used,
    reason = "the lint spares test functions, but not the helpers beside them"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use isems_core::{
    Batch, HistoryRange, MeasurementReader as _, MeasurementRepo as _, RepoError, SourcePart,
    testing::{measurement, node},
};

use super::super::{SqliteRepo, backup};

struct Bench {
    folder: tempfile::TempDir,
    repo: SqliteRepo,
}

impl Bench {
    /// A database with one row, at 1000, in its write-ahead log.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repo = SqliteRepo::open(&folder.path().join("isems.db")).await.unwrap();
        let bench = Self { folder, repo };
        bench.store(1000).await.unwrap();
        bench
    }

    fn path(&self) -> PathBuf {
        self.file("isems.db")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn store(&self, at: i64) -> Result<(), RepoError> {
        let part = SourcePart { update: None, rows: vec![measurement("A", at, 12.0)] };
        self.repo.store(&Batch { parts: vec![part], ..Batch::default() }).await.map(drop)
    }

    /// Stores what cannot be stored at once, and gives the reason.
    async fn refused(&self, at: i64) -> String {
        let error = self.store(at).await.unwrap_err();
        assert!(!matches!(error, RepoError::Stale { .. }), "{error:?}");
        error.to_string()
    }

    /// The times of the rows that the API would show, newest first.
    async fn shown(&self) -> Vec<i64> {
        times(&self.repo.reader().history(&node("A"), HistoryRange::ALL, 100).await.unwrap())
    }
}

fn times(rows: &[isems_core::StoredMeasurement]) -> Vec<i64> {
    rows.iter().map(|row| row.measurement.observed.as_unix()).collect()
}

/// The times of the rows in a file that nobody uses, and whether it is whole.
async fn rows_of(path: &Path) -> Vec<i64> {
    let repo = SqliteRepo::open(path).await.unwrap();
    let rows = repo.history(&node("A"), HistoryRange::ALL, 100).await.unwrap();
    let check: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&*repo.reader().pool().await)
        .await
        .unwrap();
    assert_eq!(check, "ok");
    repo.close().await;
    times(&rows)
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_complete_and_a_new_one_goes_on() {
    let bench = Bench::new().await;
    fs::rename(bench.path(), bench.file("aside.db")).unwrap();

    let told = bench.refused(1060).await;

    assert!(told.contains("isems.db was moved or removed while in use"), "{told}");
    assert!(told.contains("a new database has been created"), "{told}");
    bench.store(1060).await.unwrap();
    assert_eq!(bench.shown().await, [1060], "reads follow");
    bench.repo.close().await;
    assert_eq!(rows_of(&bench.path()).await, [1060]);
    // All that was acknowledged, though it was in the log that stayed behind.
    assert_eq!(rows_of(&bench.file("aside.db")).await, [1000]);
}

#[tokio::test]
async fn a_file_that_is_replaced_by_a_backup_is_left_for_it() {
    let bench = Bench::new().await;
    backup(&bench.path(), &bench.file("backup.db")).await.unwrap();
    bench.store(1060).await.unwrap();
    fs::rename(bench.path(), bench.file("aside.db")).unwrap();
    fs::rename(bench.file("backup.db"), bench.path()).unwrap();

    let told = bench.refused(1120).await;

    assert!(told.contains("isems.db was replaced while in use"), "{told}");
    assert!(told.contains("the file that is there now has been opened"), "{told}");
    bench.store(1120).await.unwrap();
    assert_eq!(bench.shown().await, [1120, 1000]);
    bench.repo.close().await;
    assert_eq!(rows_of(&bench.path()).await, [1120, 1000]);
    assert_eq!(rows_of(&bench.file("aside.db")).await, [1060, 1000]);
}

#[tokio::test]
async fn what_is_committed_into_a_file_that_moves_meanwhile_does_not_count() {
    let bench = Bench::new().await;
    let writer = bench.repo.files.begin().await.unwrap();
    fs::rename(bench.path(), bench.file("aside.db")).unwrap();

    let end = bench.repo.files.end(writer, Ok::<(), sqlx::Error>(())).await;

    assert!(matches!(end, Err(RepoError::Unavailable { .. })), "{end:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_left_alone_and_reads_go_on() {
    let bench = Bench::new().await;
    fs::rename(bench.path(), bench.file("aside.db")).unwrap();
    fs::write(bench.path(), "a text").unwrap();

    for _ in 0..2 {
        let told = bench.refused(1060).await;
        assert!(told.contains("is not an SQLite database"), "{told}");
        assert_eq!(bench.shown().await, [1000], "what was stored is still shown");
    }
    assert_eq!(fs::read(bench.path()).unwrap(), b"a text");

    // Put back, it goes on as if nothing had been.
    fs::rename(bench.file("aside.db"), bench.path()).unwrap();
    bench.store(1060).await.unwrap();
    assert_eq!(bench.shown().await, [1060, 1000]);
}

#[tokio::test]
async fn a_log_that_is_removed_costs_nothing() {
    let bench = Bench::new().await;
    fs::remove_file(bench.file("isems.db-wal")).unwrap();

    let told = bench.refused(1060).await;

    assert!(told.contains("lost its -wal or -shm file"), "{told}");
    bench.store(1060).await.unwrap();
    bench.repo.close().await;
    assert_eq!(rows_of(&bench.path()).await, [1060, 1000]);
}

#[tokio::test]
async fn a_folder_that_is_moved_away_is_waited_for() {
    let outer = tempfile::tempdir().unwrap();
    let (place, elsewhere) = (outer.path().join("place"), outer.path().join("elsewhere"));
    fs::create_dir(&place).unwrap();
    let folder = tempfile::tempdir_in(&place).unwrap();
    let repo = SqliteRepo::open(&folder.path().join("isems.db")).await.unwrap();
    let bench = Bench { folder, repo };
    fs::rename(&place, &elsewhere).unwrap();

    let told = bench.refused(1000).await;
    assert!(told.contains("does not exist"), "{told}");

    fs::rename(&elsewhere, &place).unwrap();
    bench.store(1000).await.unwrap();
    assert_eq!(bench.shown().await, [1000]);
}

#[tokio::test]
async fn two_that_share_a_file_follow_it_together() {
    let bench = Bench::new().await;
    let other = SqliteRepo::open(&bench.path()).await.unwrap();
    fs::rename(bench.path(), bench.file("aside.db")).unwrap();

    bench.refused(1060).await;
    bench.store(1060).await.unwrap();
    let part = SourcePart { update: None, rows: vec![measurement("A", 1120, 12.0)] };
    let batch = Batch { parts: vec![part], ..Batch::default() };
    other.store(&batch).await.unwrap_err();
    other.store(&batch).await.unwrap();

    assert_eq!(bench.shown().await, [1120, 1060]);
    other.close().await;
    bench.repo.close().await;
    assert_eq!(rows_of(&bench.path()).await, [1120, 1060]);
    assert_eq!(rows_of(&bench.file("aside.db")).await, [1000]);
}

#[tokio::test]
async fn readers_find_another_file_though_nothing_writes() {
    let bench = Bench::new().await;
    backup(&bench.path(), &bench.file("backup.db")).await.unwrap();
    bench.store(1060).await.unwrap();
    assert_eq!(bench.shown().await, [1060, 1000]);
    fs::rename(bench.file("backup.db"), bench.path()).unwrap();

    let found = async {
        while bench.shown().await != [1000] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
}
