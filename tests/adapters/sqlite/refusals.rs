//! Files that are not ours to write to stay as they are, byte for byte.

use isems_adapters::sqlite::{SqliteReader, SqliteRepo, backup};
use isems_core::{
    HistoryRange, MeasurementReader, MeasurementRepo, RepoError,
    testing::{measurement, node},
};

use super::{Place, batch, execute, raw};

const LEGACY: &str = "
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('ae1027a6acf');
    CREATE TABLE measurement (id INTEGER PRIMARY KEY, \"nodeId\" VARCHAR, timestamp DATETIME);
    INSERT INTO measurement VALUES (1, 'Elektra-Dach', '2021-05-01 12:00:00.000000');";

/// Opens the database of the place, which must be refused and left untouched.
async fn refusal(place: &Place) -> RepoError {
    let before = place.contents();
    let error = SqliteRepo::open(&place.database()).await.unwrap_err();
    assert_eq!(place.contents(), before, "the folder has changed");
    let copy = place.folder.path().with_extension("copy");
    backup(&place.database(), &copy).await.unwrap_err();
    assert_eq!(place.contents(), before, "the folder has changed");
    assert!(!copy.exists());
    error
}

#[tokio::test]
async fn the_old_collectors_database_is_refused_with_the_command_that_imports_it() {
    let place = Place::new();
    execute(&place.database(), LEGACY).await;

    let error = refusal(&place).await;

    assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
    let text = error.to_string();
    let command = format!("isems import-legacy {}", place.database().display());
    assert!(text.contains(&command), "{text}");
    assert!(text.contains("DATABASE_URL"), "{text}");
}

#[tokio::test]
async fn the_import_command_can_be_pasted_whatever_the_file_is_called() {
    let place = Place::new();
    let path = place.file("Olga's old one.db");
    execute(&path, LEGACY).await;

    let error = SqliteRepo::open(&path).await.unwrap_err().to_string();

    assert!(error.contains(r"Olga'\''s old one.db'"), "{error}");
}

#[tokio::test]
async fn a_newer_versions_database_is_refused() {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap();
    repo.close().await;
    execute(
        &place.database(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of the future', TRUE, x'00', 0)",
    )
    .await;

    let error = refusal(&place).await;

    assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("newer version"), "{text}");
    assert!(text.contains("9999"), "{text}");
}

#[tokio::test]
async fn a_newer_version_that_is_still_running_is_noticed_in_its_log() {
    let place = Place::new();
    place.open().await.close().await;
    let mut newer = raw(&place.database()).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of the future', TRUE, x'00', 0)",
    )
    .execute(&mut newer)
    .await
    .unwrap();
    let file = std::fs::read(place.database()).unwrap();

    let error = SqliteRepo::open(&place.database()).await.unwrap_err();

    assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
    assert_eq!(std::fs::read(place.database()).unwrap(), file);
    drop(newer);
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    for schema in [
        "CREATE TABLE bookmarks (url TEXT)",
        "CREATE TABLE measurement (id INTEGER PRIMARY KEY)",
        "CREATE VIEW answer AS SELECT 42",
        "PRAGMA application_id = 77; CREATE TABLE t (x); DROP TABLE t",
    ] {
        let place = Place::new();
        execute(&place.database(), schema).await;

        let error = refusal(&place).await;

        assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
        assert!(error.to_string().contains("another program"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_the_way_to_salvage() {
    for bytes in [&b"x"[..], b"NODE;1;0;0;0\n", b"SQLite format 2\0 and more", &[0; 8192]] {
        let place = Place::new();
        std::fs::write(place.database(), bytes).unwrap();

        let error = refusal(&place).await;

        assert!(matches!(error, RepoError::Corrupt { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("not an SQLite database"), "{text}");
        assert!(text.contains("nothing in it was changed"), "{text}");
        assert!(text.contains(".recover"), "{text}");
    }
}

#[tokio::test]
async fn damage_among_the_measurements_is_found_where_they_are_read_and_by_a_backup() {
    const PAGE: usize = 4_096;
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch((0..500).map(|i| measurement("A", 60 * i, 12.0)))).await.unwrap();
    repo.close().await;
    let mut bytes = std::fs::read(place.database()).unwrap();
    // A leaf of a table, with measurements that are neither the first nor the last.
    let mut leaves = bytes
        .chunks_mut(PAGE)
        .filter(|page| page[0] == 0x0D && page.windows(11).any(|bytes| bytes == b"ATmega8_A_1"));
    leaves.nth(2).unwrap().fill(0xA5);
    std::fs::write(place.database(), bytes).unwrap();

    // Not every page is looked at, so it opens.
    let repo = place.open().await;
    assert_eq!(repo.latest(None).await.unwrap().len(), 1);
    let read = repo.history(&node("A"), HistoryRange::ALL, 500).await.map(drop);
    let copied = backup(&place.database(), &place.file("copy.db")).await;

    for error in [read.unwrap_err(), copied.unwrap_err()] {
        assert!(matches!(error, RepoError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(".recover"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_database_is_refused_with_the_way_to_salvage() {
    let place = Place::new();
    place.open().await.close().await;
    let mut bytes = std::fs::read(place.database()).unwrap();
    // Behind the header, over the schema.
    bytes[100..4096].fill(0xA5);
    std::fs::write(place.database(), bytes).unwrap();

    let error = refusal(&place).await;

    assert!(matches!(error, RepoError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains(".recover"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_with_a_second_name_is_refused_by_both_until_it_has_one() {
    let place = Place::new();
    place.open().await.close().await;
    let other = place.file("other.db");
    std::fs::hard_link(place.database(), &other).unwrap();

    let error = refusal(&place).await;
    let by_other = SqliteRepo::open(&other).await.unwrap_err();

    for (error, path) in [(error, place.database()), (by_other, other.clone())] {
        assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("2 names"), "{text}");
        assert!(text.contains(&format!("-samefile {}", path.display())), "{text}");
    }
    assert!(SqliteRepo::check(&other).await.is_err());
    std::fs::remove_file(place.database()).unwrap();
    SqliteRepo::open(&other).await.unwrap().close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_name_that_came_while_it_was_only_read_is_noticed() {
    let place = Place::new();
    place.open().await.close().await;
    let reader = SqliteReader::open(&place.database()).await.unwrap();
    std::fs::hard_link(place.database(), place.file("other.db")).unwrap();

    let error = SqliteRepo::open_beside(&reader).await.unwrap_err();

    assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("2 names"), "{error}");
}
