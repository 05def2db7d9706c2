//! What SQLite says it would do: the promises on time that a table test of a
//! small database cannot hold.

use sqlx::{AssertSqlSafe, Row, SqlitePool};

use super::{connect, find, forget, hours, nodes, prune, reader, rollups, rows};

/// The steps of a statement's plan over an empty database.
async fn plan(statement: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isems.db");
    connect::prepare(&path).await.unwrap();
    let place = std::sync::Arc::new(super::place::Place::new(&path.as_path().into()));
    let pool: SqlitePool = connect::writer_pool(&path, &place, &std::sync::Arc::default());
    let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let steps = sqlx::query(explained).fetch_all(&pool).await.unwrap();
    steps.iter().map(|step| step.get("detail")).collect()
}

/// Whether a step walks over all rows of a table or index of measurements.
fn scans_measurements(step: &str) -> bool {
    step.starts_with("SCAN")
        && ["measurement", "newest", "rollup"].iter().any(|table| step.contains(table))
}

#[tokio::test]
async fn no_read_walks_over_all_measurements_or_sorts_them() {
    for (name, statement) in [
        ("latest", reader::LATEST),
        ("history", reader::HISTORY),
        ("telemetry", nodes::TELEMETRY),
        ("place", prune::PLACE),
        ("count too many", prune::COUNT_TOO_MANY),
        ("count too old", prune::COUNT_TOO_OLD),
        ("remove too many", prune::REMOVE_TOO_MANY),
        ("remove too old", prune::REMOVE_TOO_OLD),
        ("newest too old", prune::NEWEST_TOO_OLD),
        ("remove some", forget::REMOVE_SOME),
        ("rollups", rollups::ROLLUPS),
        ("hour", rollups::HOUR_OF_NODE),
        ("hours", &*hours::find_statement()),
        ("close", rollups::CLOSE),
        ("next to roll up", rollups::NEXT),
        ("to roll up", rollups::WITHIN),
        ("find", &*rows::find_statement()),
        ("find of a node", &*find::statement()),
    ] {
        let steps = plan(statement).await;
        assert!(!steps.iter().any(|step| scans_measurements(step)), "{name}: {steps:#?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{name}: {steps:#?}");
    }
}

#[tokio::test]
async fn latest_takes_one_look_into_the_identity_index_per_node() {
    let steps = plan(reader::LATEST).await;

    assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:#?}");
    assert!(steps[0].starts_with("SEARCH node") && steps[0].contains("(name>?)"), "{steps:#?}");
    assert!(
        steps
            .iter()
            .any(|s| s.contains("SEARCH newest USING COVERING INDEX") && s.contains("(node=?)")),
        "{steps:#?}"
    );
}

#[tokio::test]
async fn a_stored_row_is_found_by_its_whole_identity() {
    for statement in [rows::find_statement(), find::statement()] {
        let steps = plan(&statement).await;
        assert!(
            steps.iter().any(|s| s.contains("(node=? AND observed=? AND reported=?)")),
            "{steps:#?}"
        );
    }
}
