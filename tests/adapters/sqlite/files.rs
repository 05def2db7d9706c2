//! The file: made when missing, whole after closing, never half written.

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{
    ClockMarks, MeasurementReader, MeasurementRepo, RepoError, SourceId, SourceKind, SourcePart,
    SourceUpdate, Tally, Timestamp,
    testing::{measurement, node},
};

use super::{Place, batch, execute, history, number};

#[tokio::test]
async fn a_missing_file_is_created() {
    let place = Place::new();
    let repo = place.open().await;
    assert!(place.database().is_file());
    assert_eq!(repo.path(), place.database());
    assert_eq!(repo.latest(None).await.unwrap(), []);
}

#[tokio::test]
async fn an_empty_file_is_taken_over() {
    let place = Place::new();
    std::fs::write(place.database(), b"").unwrap();
    let repo = place.open().await;
    assert_eq!(repo.latest(None).await.unwrap(), []);
}

#[tokio::test]
async fn a_missing_folder_is_named_and_not_created() {
    let place = Place::new();
    let path = place.file("no-such-folder").join("isems.db");

    let error = SqliteRepo::open(&path).await.unwrap_err();

    assert!(matches!(error, RepoError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-folder"), "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(place.contents().is_empty());
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_refused() {
    let place = Place::new();
    let error = SqliteRepo::open(place.folder.path()).await.unwrap_err();
    assert!(matches!(error, RepoError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("a folder and not a file"), "{error}");
}

#[tokio::test]
async fn an_awkward_file_name_is_just_a_name() {
    let place = Place::new();
    for name in ["with blank.db", "ä?mode=memory#%41.db", "file:x.db", "'q'.db"] {
        let path = place.file(name);
        let repo = SqliteRepo::open(&path).await.unwrap();
        repo.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap();
        repo.close().await;
        let again = SqliteRepo::open(&path).await.unwrap();
        assert_eq!(history(&again, "A").await.len(), 1, "{name}");
        again.close().await;
        assert!(path.is_file(), "{name}");
    }
}

#[tokio::test]
async fn after_closing_the_file_alone_is_the_whole_database() {
    let place = Place::new();
    let repo = place.open().await;
    repo.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap();
    history(&repo, "A").await;

    repo.close().await;

    let names: Vec<_> = place.contents().into_keys().collect();
    assert_eq!(names, ["isems.db"]);
    let copied = place.file("copy.db");
    std::fs::copy(place.database(), &copied).unwrap();
    let copy = SqliteRepo::open(&copied).await.unwrap();
    assert_eq!(history(&copy, "A").await.len(), 1);
}

#[tokio::test]
async fn a_closed_repository_says_so() {
    let place = Place::new();
    let repo = place.open().await;
    let reader = repo.reader();
    repo.close().await;
    for error in [
        reader.latest(None).await.unwrap_err(),
        repo.store(&batch([measurement("A", 1000, 12.0)])).await.unwrap_err(),
    ] {
        assert!(matches!(error, RepoError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("closed"), "{error}");
    }
}

#[tokio::test]
async fn a_batch_that_fails_in_its_middle_leaves_nothing() {
    let place = Place::new();
    let repo = place.open().await;
    execute(
        &place.database(),
        "CREATE TRIGGER broken BEFORE INSERT ON measurement WHEN NEW.firmware = 'broken' \
         BEGIN SELECT raise(ABORT, 'broken on purpose'); END",
    )
    .await;
    let mut broken = measurement("B", 1000, 12.0);
    broken.sample.firmware = "broken".into();
    let part = |rows| SourcePart {
        update: Some(SourceUpdate {
            source: SourceId::new("s"),
            kind: SourceKind::Http,
            at: Timestamp::from_unix(2000),
            error: None,
            position: None,
            tally: Tally::default(),
            bytes: 1,
            clock_offset: None,
            node: None,
        }),
        rows,
    };
    let mut whole = batch([]);
    whole.parts =
        vec![part((0..200).map(|t| measurement("A", 60 * t, 12.0)).collect()), part(vec![broken])];

    let error = repo.store(&whole).await.unwrap_err();

    assert!(error.to_string().contains("broken on purpose"), "{error}");
    assert_eq!(history(&repo, "A").await, []);
    assert_eq!(repo.sources().await.unwrap(), []);
    assert_eq!(repo.clock_marks().await.unwrap(), ClockMarks::default());
    assert_eq!(repo.node_state(&node("A")).await.unwrap().version, 0);
    whole.parts.pop();
    assert_eq!(repo.store(&whole).await.unwrap().parts[0].stored, 200);
}

#[tokio::test]
async fn a_row_id_is_never_given_again() {
    let place = Place::new();
    let repo = place.open().await;
    let store = async |name: &str| {
        repo.store(&batch([measurement(name, 1000, 12.0)])).await.unwrap();
        repo.latest(None).await.unwrap()[0].id
    };
    let first = store("A").await;
    repo.forget(&node("A")).await.unwrap();
    let second = store("B").await;
    assert!(second > first, "{second} after {first}");
}

#[tokio::test]
async fn a_batch_of_a_whole_log_is_stored_once() {
    let place = Place::new();
    let repo = place.open().await;
    let log = batch((0..3660).map(|line| measurement("A", 1_700_000_000 + 61 * line, 12.0)));
    assert_eq!(repo.store(&log).await.unwrap().parts[0].stored, 3660);
    assert_eq!(repo.store(&log).await.unwrap().parts[0].duplicate, 3660);
    assert_eq!(number(&place.database(), "SELECT count(*) FROM measurement").await, 3660);
}

#[tokio::test]
async fn a_forgotten_node_leaves_no_trace() {
    let place = Place::new();
    let repo = place.open().await;
    let many = (0..2500).map(|t| measurement("A", 60 * t, 12.0));
    repo.store(&batch(many.chain([measurement("B", 0, 12.0)]))).await.unwrap();

    assert_eq!(repo.forget(&node("A")).await.unwrap(), 2500);

    for (statement, left) in [
        ("SELECT count(*) FROM measurement", 1),
        ("SELECT count(*) FROM node", 1),
        ("SELECT count(*) FROM clock_run", 0),
    ] {
        assert_eq!(number(&place.database(), statement).await, left, "{statement}");
    }
}
