//! What the import does to the file (nothing), and what it says of files that
//! it cannot import.

use std::{fs, path::Path};

use isems_adapters::sqlite::legacy::ImportError;
use sqlx::{Connection as _, Executor as _};

use super::{
    import,
    map_repo::MapRepo,
    old_database::{OldDatabase, OldRow, insert},
};

fn some_rows() -> Vec<OldRow> {
    (0..600)
        .map(|i| OldRow::new("Dach", &format!("2018-06-30 15:{:02}:{:02}", i / 60, i % 60)))
        .collect()
}

/// Imports and returns the rows that came out, after checking that nothing in
/// the folder changed.
async fn rows_of_untouched(old: &OldDatabase) -> usize {
    let before = old.bytes();
    let repo = MapRepo::default();
    let outcome = import(&old.file(), &repo).await;
    assert_eq!(old.bytes(), before);
    outcome.unwrap();
    repo.rows().len()
}

#[tokio::test]
async fn a_file_at_rest_is_left_as_it_is() {
    let old = OldDatabase::with_rows(&some_rows()).await;
    assert_eq!(rows_of_untouched(&old).await, 600);
}

#[tokio::test]
async fn a_file_in_wal_mode_at_rest_gets_no_companions() {
    let old = OldDatabase::with_rows(&some_rows()).await;
    let mut connection = old.connect().await;
    connection.execute("PRAGMA journal_mode = WAL").await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(old.bytes().len(), 1, "the test needs a closed database");
    assert_eq!(rows_of_untouched(&old).await, 600);
}

#[tokio::test]
async fn rows_in_a_write_ahead_log_are_imported_and_stay_there() {
    let old = OldDatabase::with_rows(&[]).await;
    let mut writer = old.connect().await;
    writer.execute("PRAGMA journal_mode = WAL").await.unwrap();
    insert(&mut writer, &some_rows()).await;
    assert_eq!(old.bytes().len(), 3, "the test needs -wal and -shm");
    assert_eq!(rows_of_untouched(&old).await, 600);
    drop(writer);
}

#[tokio::test]
async fn a_change_that_a_crash_interrupted_is_not_imported() {
    // Given a crash in the midst of a transaction, part of which is in the file
    let living = OldDatabase::with_rows(&some_rows()).await;
    let mut writer = living.connect().await;
    writer.execute("PRAGMA cache_size = 1").await.unwrap();
    let sql = r#"BEGIN; UPDATE measurement SET "nodeId" = 'halb'; DELETE FROM measurement WHERE id < 300"#;
    writer.execute(sql).await.unwrap();
    let crashed = OldDatabase::with_bytes(&[]);
    for (path, bytes) in living.bytes() {
        fs::write(crashed.folder().join(path.file_name().unwrap()), bytes).unwrap();
    }
    drop(writer);
    let journal = format!("{}-journal", crashed.file().display());
    assert!(fs::metadata(journal).unwrap().len() > 0, "the test needs a journal");

    // Then the rows are those before it
    assert_eq!(rows_of_untouched(&crashed).await, 600);
}

#[tokio::test]
async fn a_reader_does_not_disturb_the_old_collector_at_work() {
    let old = OldDatabase::with_rows(&some_rows()).await;
    let mut writer = old.connect().await;
    assert_eq!(rows_of_untouched(&old).await, 600);
    insert(&mut writer, &[OldRow::new("Dach", "2018-07-01 00:00:00")]).await;
    assert_eq!(rows_of_untouched(&old).await, 601);
    drop(writer);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_leads_to_the_file_and_its_companions() {
    let old = OldDatabase::with_rows(&[]).await;
    let mut writer = old.connect().await;
    writer.execute("PRAGMA journal_mode = WAL").await.unwrap();
    insert(&mut writer, &some_rows()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(old.file(), &link).unwrap();

    let report = import(&link, &MapRepo::default()).await.unwrap();

    assert_eq!(report.imported, 600);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    drop(writer);
}

#[tokio::test]
async fn a_database_of_an_early_version_lacks_columns() {
    let old = OldDatabase::with_schema(
        r#"CREATE TABLE measurement (
            id INTEGER NOT NULL, "nodeId" VARCHAR, timestamp DATETIME, "batteryVoltage" FLOAT,
            PRIMARY KEY (id), UNIQUE ("nodeId", timestamp)
        );
        INSERT INTO measurement VALUES (7, 'Dach', '2018-06-30 15:16:15.000000', 12.5);"#,
        &[],
    )
    .await;
    let repo = MapRepo::default();
    import(&old.file(), &repo).await.unwrap();
    let sample = repo.rows().into_values().next().unwrap().sample;
    assert_eq!(sample.battery_voltage, Some(12.5));
    assert_eq!((sample.status, sample.mpp_voltage), (None, None));
}

/// The error that an import of `file` ends in, having stored nothing.
async fn refused(file: &Path) -> ImportError {
    let repo = MapRepo::default();
    let error = import(file, &repo).await.unwrap_err();
    assert_eq!(repo.rows().len(), 0);
    let text = error.to_string();
    assert!(text.contains(&*file.to_string_lossy()), "names the file: {text}");
    error
}

#[tokio::test]
async fn a_missing_file_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&folder.path().join("old.db")).await;
    assert!(matches!(error, ImportError::Missing { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_no_old_database_is_told_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let empty = OldDatabase::with_bytes(b"");
    let log = OldDatabase::with_bytes(b"Dach;1;1530364575;ESP_2.0\n");
    let blank = OldDatabase::with_schema("PRAGMA user_version = 1", &[]).await;
    let ours = OldDatabase::with_schema(
        "CREATE TABLE node (id INTEGER); CREATE TABLE measurement (id INTEGER, node INTEGER)",
        &[],
    )
    .await;
    for (file, found) in [
        (folder.path().to_owned(), "it is no file"),
        (empty.file(), "it is empty"),
        (log.file(), "it is no SQLite database"),
        (blank.file(), "without tables"),
        (ours.file(), "the tables node, measurement"),
    ] {
        let error = refused(&file).await;
        assert!(matches!(error, ImportError::NotLegacy { .. }), "{error:?}");
        assert!(error.to_string().contains(found), "{found}: {error}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_the_way_to_salvage_it() {
    let old = OldDatabase::with_rows(&some_rows()).await;
    let whole = fs::read(old.file()).unwrap();
    let mut scribbled = whole.clone();
    scribbled[4096 * 2..].fill(0xA5);
    for bytes in [&whole[..whole.len() / 2], &scribbled] {
        let old = OldDatabase::with_bytes(bytes);
        let before = old.bytes();
        let error = refused(&old.file()).await;
        assert!(matches!(error, ImportError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(".recover"), "{error}");
        assert_eq!(old.bytes(), before);
    }
}

#[tokio::test]
async fn what_comes_before_a_damaged_page_is_imported_and_told() {
    const PAGE: usize = 4096;
    const TABLE_LEAF: u8 = 13;
    let rows: Vec<_> =
        (0..5_000).map(|i| OldRow::new("Dach", &format!("2018-06-30 15:16:15.{i:06}"))).collect();
    let old = OldDatabase::with_rows(&rows).await;
    let mut bytes = fs::read(old.file()).unwrap();
    let last_rows = bytes.chunks_mut(PAGE).rev().find(|page| page[0] == TABLE_LEAF);
    last_rows.unwrap().fill(0xA5);
    let old = OldDatabase::with_bytes(&bytes);
    let repo = MapRepo::default();

    let error = import(&old.file(), &repo).await.unwrap_err();

    let ImportError::Damaged { done, .. } = error else {
        panic!("{error:?}");
    };
    assert!((1..5_000).contains(&done), "{done}");
    assert_eq!(repo.rows().len(), 1, "they all show the same second");
}
