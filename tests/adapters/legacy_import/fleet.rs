//! A big old database with every oddity, against the truth it was made from.

use std::collections::BTreeSet;

use isems_adapters::sqlite::legacy::{ImportProgress, import_legacy};
use isems_core::{NodeId, Timestamp};
use jiff::tz::TimeZone;

use super::{
    BERLIN, NOW, import,
    map_repo::MapRepo,
    node,
    old_database::{OldDatabase, OldRow, insert},
    utc,
};

const ROWS: i64 = 100_000;
const NODES: i64 = 16;
/// The interval between two rows of a node: from spring to autumn in all, and
/// less than an hour, so that a clock that goes back is seen by its node's
/// next row.
const INTERVAL: i64 = 3_301;
/// Rows per hundred that cannot be imported, by the last two digits of their
/// number: see [`old_row`].
const BEFORE_2016: i64 = 1;
const AFTER_IMPORT: i64 = 2;
const NO_TIME: i64 = 3;
const NO_NODE: i64 = 4;

/// The row with the given number, and what must come out of it.
fn old_row(i: i64, zone: &TimeZone) -> (OldRow, Option<(NodeId, Timestamp)>) {
    let start = utc("2021-03-20T00:00:00Z").as_unix();
    let at = start + i / NODES * INTERVAL + i % NODES;
    let moment = jiff::Timestamp::from_second(at).unwrap();
    let wall = zone.to_datetime(moment).strftime("%Y-%m-%d %H:%M:%S.000000");
    let (name, garbled) = match i % NODES {
        0 => ("Dächer", "DÃ¤cher"),
        1 => ("Straße 7", "StraÃ\u{9f}e 7"),
        _ => ("", ""),
    };
    let plain = format!("Knoten {}", i % NODES);
    let name = if name.is_empty() { &plain } else { name };
    let written = match i / NODES % 2 {
        1 if !garbled.is_empty() => garbled,
        _ => name,
    };
    let row = OldRow::new(written, &wall.to_string());
    let good = Some((node(name), Timestamp::from_unix(at)));
    // Times that are unique per node, as the old table demands.
    let unique = format!(
        "-01-{:02} {:02}:{:02}:{:02}.000000",
        1 + i / 86_400,
        i / 3_600 % 24,
        i / 60 % 60,
        i % 60
    );
    match i % 100 {
        BEFORE_2016 => (OldRow::new(written, &format!("1970{unique}")), None),
        AFTER_IMPORT => (OldRow::new(written, &format!("2031{unique}")), None),
        NO_TIME => (OldRow::new(written, &format!("Zeit {i}")), None),
        NO_NODE => (row.with("nodeId", "'50% Dach'"), None),
        10 => (row.with("batteryHealthEstimate", "-9e999"), good),
        11 => (row.with("batteryVoltage", "'n/a'"), good),
        12 => (row.with("latitude", "'52,516'"), good),
        13 => (row.with("status", "NULL"), good),
        14 => (row.with("status", "'0B2'"), good),
        15 => (row.with("isPowerSaveMode", "'on'"), good),
        16 => (row.with("batteryChargeEstimate", "'-0'"), good),
        17 => (row.with("lowVoltageDisconnectVoltage", "11700"), good),
        18 => (row.with("longitude", "X'FF'"), good),
        _ => (row, good),
    }
}

#[tokio::test]
async fn a_hundred_thousand_odd_rows_are_imported_completely_and_twice_with_the_same_result() {
    // Given an old database, made from what really happened
    let zone = TimeZone::get(BERLIN).unwrap();
    let old = OldDatabase::with_rows(&[]).await;
    let mut connection = old.connect().await;
    let (rows, truth): (Vec<_>, Vec<_>) = (0..ROWS).map(|i| old_row(i, &zone)).unzip();
    insert(&mut connection, &rows).await;
    sqlx::Connection::close(connection).await.unwrap();
    let truth: BTreeSet<_> = truth.into_iter().flatten().collect();
    let before = old.bytes();

    // When it is imported
    let repo = MapRepo::default();
    let mut seen = Vec::new();
    let mut progress = |progress| seen.push(progress);
    let first = import_legacy(&old.file(), &repo, &zone, utc(NOW), &mut progress).await.unwrap();

    // Then all that can be known is there, at its true time
    let stored = repo.rows();
    assert!(stored.keys().eq(truth.iter()), "{first}");
    let per_oddity = u64::try_from(ROWS / 100).unwrap();
    let count = |noted: Option<&isems_adapters::sqlite::legacy::Noted>| noted.map(|n| n.count);
    for reason in [
        "time is before 2016",
        "time is after the import",
        "time is not readable",
        "node id holds a percent sign",
    ] {
        assert_eq!(count(first.not_imported.get(reason)), Some(per_oddity), "{reason}");
    }
    for remark in [
        "batteryHealthEstimate is infinite",
        "batteryVoltage is not a number",
        "longitude is not a number",
    ] {
        assert_eq!(count(first.unknown_values.get(remark)), Some(per_oddity), "{remark}");
    }
    assert_eq!(first.rows, first.imported + first.not_imported_in_all());
    assert_eq!(first.repaired_names.len(), 2);
    assert!(first.repeated_hour_winter > 0, "{first}");
    let total = u64::try_from(ROWS).unwrap();
    assert_eq!(seen.last(), Some(&ImportProgress { done: total, total }));
    assert!(seen.is_sorted_by_key(|progress| progress.done));

    // And once more changes nothing
    let second = import(&old.file(), &repo).await.unwrap();
    assert_eq!((second.imported, second.conflict), (0, 0));
    assert_eq!(second.duplicate, first.imported);
    assert_eq!(second.not_imported, first.not_imported);
    assert_eq!(second.unknown_values, first.unknown_values);
    assert_eq!(repo.rows(), stored);
    assert_eq!(old.bytes(), before, "the file, and nothing beside it");
}
