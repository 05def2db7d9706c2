//! Copies of a database in use.

use isems_adapters::sqlite::{SqliteRepo, backup};
use isems_core::{
    MeasurementReader, MeasurementRepo, RepoError,
    testing::{measurement, node},
};

use super::{Place, batch, history, number};

#[tokio::test]
async fn a_copy_holds_what_was_stored_and_is_one_file() {
    let place = Place::new();
    let repo = place.open().await;
    let rows = (0..500).map(|i| measurement("A", 60 * i, 12.0));
    repo.store(&batch(rows)).await.unwrap();

    let copy = Place::new();
    backup(&place.database(), &copy.database()).await.unwrap();

    assert_eq!(copy.contents().len(), 1);
    let restored = copy.open().await;
    assert_eq!(history(&restored, "A").await, history(&repo, "A").await);
    assert_eq!(
        restored.latest(None).await.unwrap(),
        repo.latest(None).await.unwrap(),
        "row ids are kept"
    );
    assert_eq!(
        restored.node_state(&node("A")).await.unwrap(),
        repo.node_state(&node("A")).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_while_others_write_holds_whole_batches_only() {
    const BATCH: i64 = 7;
    let place = Place::new();
    let repo = place.open().await;
    let copies = Place::new();

    let mut written = 0;
    let mut done = 0;
    while done < 5 {
        let to = copies.file(&format!("{done}.db"));
        let from = place.database();
        let copying = tokio::spawn(async move { backup(&from, &to).await });
        loop {
            let rows = (0..BATCH).map(|i| measurement("A", BATCH * written + i, 12.0));
            repo.store(&batch(rows)).await.unwrap();
            written += 1;
            if copying.is_finished() {
                break;
            }
        }
        copying.await.unwrap().unwrap();
        done += 1;
    }

    for copy in 0..done {
        let path = copies.file(&format!("{copy}.db"));
        let rows = number(&path, "SELECT count(*) FROM measurement").await;
        assert_eq!(rows % BATCH, 0, "copy {copy} holds {rows} rows");
        let sound = number(
            &path,
            "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'",
        )
        .await;
        assert_eq!(sound, 1, "copy {copy}");
        SqliteRepo::open(&path).await.unwrap();
    }
    assert_eq!(i64::try_from(history(&repo, "A").await.len()).unwrap(), BATCH * written);
}

#[tokio::test]
async fn an_existing_file_is_not_overwritten() {
    let place = Place::new();
    let repo = place.open().await;
    let copy = Place::new();
    std::fs::write(copy.database(), "precious").unwrap();
    let before = copy.contents();

    let error = backup(&place.database(), &copy.database()).await.unwrap_err();

    assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(copy.contents(), before);
    drop(repo);
}

#[tokio::test]
async fn a_copy_to_a_missing_folder_says_so_and_leaves_nothing() {
    let place = Place::new();
    place.open().await.close().await;
    let before = place.contents();
    let to = place.file("no-such-folder").join("copy.db");

    let error = backup(&place.database(), &to).await.unwrap_err();

    assert!(matches!(error, RepoError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("folder exists"), "{error}");
    let mut after = place.contents();
    // A read of a database in write-ahead mode may leave its empty log behind.
    after.retain(|name, bytes| !(name == "isems.db-wal" && bytes.is_empty()));
    after.remove(std::ffi::OsStr::new("isems.db-shm"));
    assert_eq!(after, before);
}

/// The number of a process that has ended.
fn number_of_a_dead_process() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_backup_left_that_was_killed_goes_with_the_next_and_nothing_else_does() {
    let place = Place::new();
    place.open().await.close().await;
    let copies = Place::new();
    let (dead, alive) = (number_of_a_dead_process(), std::process::id());
    let database: &[u8] = b"SQLite format 3\0 and more";
    // The first page is written last.
    let begun: &[u8] = &[0; 8192];
    let leftovers: [(String, &[u8]); 4] = [
        (format!(".monday.db.{dead}.part"), database),
        (format!(".monday.db.{dead}.part-journal"), b"journal"),
        (format!(".a.b.{dead}.part"), begun),
        (format!(".tuesday.db.{dead}.part"), b""),
    ];
    let others: [(String, &[u8]); 9] = [
        (format!(".other.db.{alive}.part"), database),
        (format!(".film.{dead}.part"), b"not a database"),
        (format!("monday.db.{dead}.part"), database),
        (format!(".monday.db.{dead}.parts"), database),
        (format!(".monday.db.{dead}"), database),
        (format!(".monday.db.0{dead}.part"), database),
        (".monday.db.part".to_owned(), database),
        (format!("..{dead}.part"), database),
        ("sunday.db".to_owned(), database),
    ];
    for (name, content) in leftovers.iter().chain(&others) {
        std::fs::write(copies.file(name), content).unwrap();
    }
    std::os::unix::fs::symlink("sunday.db", copies.file(&format!(".link.{dead}.part"))).unwrap();
    std::fs::create_dir(copies.file(&format!(".folder.{dead}.part"))).unwrap();

    backup(&place.database(), &copies.file("wednesday.db")).await.unwrap();

    let left = std::fs::read_dir(copies.file("")).unwrap();
    let mut left: Vec<_> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut expected: Vec<_> = others.map(|(name, _)| name).into();
    expected.extend([format!(".link.{dead}.part"), format!(".folder.{dead}.part")]);
    expected.push("wednesday.db".to_owned());
    left.sort();
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn there_is_no_copy_of_a_database_that_does_not_exist() {
    let place = Place::new();
    let error = backup(&place.database(), &place.file("copy.db")).await.unwrap_err();
    assert!(matches!(error, RepoError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("no database"), "{error}");
    assert!(place.contents().is_empty());
}

/// A database beside which SQLite cannot make the files that it needs to share it,
/// as in a folder that may not be written to.
#[cfg(unix)]
async fn shut() -> Place {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch((0..500).map(|i| measurement("A", 60 * i, 12.0)))).await.unwrap();
    repo.close().await;
    std::os::unix::fs::symlink("nowhere", place.file("isems.db-shm")).unwrap();
    place
}

#[cfg(unix)]
#[tokio::test]
async fn a_complete_database_is_copied_from_where_nothing_can_be_written() {
    let (place, copy) = (shut().await, Place::new());

    backup(&place.database(), &copy.database()).await.unwrap();

    assert_eq!(history(&copy.open().await, "A").await.len(), 500);
}

#[cfg(unix)]
#[tokio::test]
async fn where_the_log_cannot_be_read_the_way_to_a_copy_is_told() {
    let (place, copy) = (shut().await, Place::new());
    std::fs::write(place.file("isems.db-wal"), "the newest rows").unwrap();

    let error = backup(&place.database(), &copy.database()).await.unwrap_err();

    assert!(matches!(error, RepoError::ReadOnly { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("isems.db-wal") && text.contains("copy both files"), "{text}");
    assert!(copy.contents().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_journal_would_take_back_is_not_copied() {
    // Given a database in the middle of a change, where nothing can be written
    let (place, copy) = (shut().await, Place::new());
    std::fs::write(place.file("isems.db-journal"), "what was there before").unwrap();

    let error = backup(&place.database(), &copy.database()).await.unwrap_err();

    assert!(matches!(error, RepoError::ReadOnly { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("isems.db-journal") && text.contains("copy both files"), "{text}");
    assert!(copy.contents().is_empty());
}
