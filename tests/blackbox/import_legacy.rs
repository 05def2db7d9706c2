//! The move from the old Python collector's database.

#[expect(dead_code, reason = "the adapter's own tests use the rest")]
#[path = "../adapters/legacy_import/old_database.rs"]
mod old_database;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};

use self::old_database::{OldDatabase, OldRow};
use crate::{
    pruning::days_ahead,
    support::{Isems, Node, get, log},
};

const NODES: i64 = 16;
/// Seconds between two rows of a node: less than an hour, so that a clock that
/// goes back is seen by the node's next row.
const INTERVAL: i64 = 3_301;

/// What an old row was in truth: a node and a moment, or why it is no
/// measurement.
type Truth = Result<(String, i64), &'static str>;

/// Row number `i` of a fleet from spring to autumn, as the old collector left
/// it, with what it was in truth.
fn odd_row(i: i64, zone: &TimeZone) -> (OldRow, Truth) {
    let begin: Timestamp = "2021-03-20T00:00:00Z".parse().unwrap();
    let at = begin.as_second() + i / NODES * INTERVAL + i % NODES;
    let wall = zone.to_datetime(Timestamp::from_second(at).unwrap());
    let wall = wall.strftime("%Y-%m-%d %H:%M:%S.000000").to_string();
    let (name, garbled) = match i % NODES {
        0 => ("Dächer".to_owned(), "DÃ¤cher".to_owned()),
        other => (format!("Knoten {other}"), format!("Knoten {other}")),
    };
    // The same node before and after its operator's database was converted.
    let written = if i / NODES % 2 == 0 { &name } else { &garbled };
    // The old table allows a time only once per node.
    let in_year = |year: &str| {
        let (days, hours, minutes, seconds) = (i / 86_400, i / 3_600 % 24, i / 60 % 60, i % 60);
        let day = days + 1;
        format!("{year}-01-{day:02} {hours:02}:{minutes:02}:{seconds:02}.000000")
    };
    let row = OldRow::new(written, &wall);
    let good = Ok((name.clone(), at));
    match i % 100 {
        1 => (OldRow::new(written, &in_year("1970")), Err("time is before 2016")),
        2 => (OldRow::new(written, &in_year("2199")), Err("time is after the import")),
        3 => (OldRow::new(written, &format!("Zeit {i}")), Err("time is not readable")),
        4 => (row.with("nodeId", "'50% Dach'"), Err("node id holds a percent sign")),
        10 => (row.with("batteryHealthEstimate", "-9e999"), good),
        11 => (row.with("batteryVoltage", "'n/a'"), good),
        12 => (row.with("latitude", "'52,516'"), good),
        13 => (row.with("status", "NULL"), good),
        14 => (row.with("batteryChargeEstimate", "'-0'"), good),
        15 => (row.with("isPowerSaveMode", "'on'"), good),
        16 => (row.with("lowVoltageDisconnectVoltage", "11700"), good),
        _ => (row, good),
    }
}

/// An old database of so many rows, with the truth behind it.
struct Past {
    old: OldDatabase,
    measurements: BTreeSet<(String, i64)>,
    unusable: BTreeMap<&'static str, usize>,
}

impl Past {
    fn with_rows(count: i64) -> Self {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (rows, truths): (Vec<_>, Vec<_>) = (0..count).map(|i| odd_row(i, &zone)).unzip();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut past = Self {
            old: runtime.block_on(OldDatabase::with_rows(&rows)),
            measurements: BTreeSet::new(),
            unusable: BTreeMap::new(),
        };
        for truth in truths {
            match truth {
                Ok(measurement) => drop(past.measurements.insert(measurement)),
                Err(reason) => *past.unusable.entry(reason).or_default() += 1,
            }
        }
        past
    }

    fn file(&self) -> String {
        self.old.file().to_str().unwrap().to_owned()
    }
}

/// Every file of a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_hundred_thousand_odd_rows_are_imported_completely_and_twice_with_the_same_result() {
    let past = Past::with_rows(100_000);
    let before = past.old.bytes();
    let isems = Isems::new();

    // When it is imported, then all that can be known is there, at its true time
    let told = isems.run(&["import-legacy", &past.file()]).expect(0);
    let database = isems.database();
    let moments = database.moments();
    assert_eq!(moments.len(), database.count());
    assert!(moments == past.measurements, "{told:#?}");
    let unusable: usize = past.unusable.values().sum();
    let good = past.measurements.len();
    let sum = format!("100000 rows read: {good} imported, 0 already there, 0 in conflict");
    assert!(told.stdout.starts_with(&sum), "{told:#?}");

    // and it says what could not be converted
    assert!(told.stdout.contains(&format!("{unusable} not imported")), "{told:#?}");
    let remarks = ["batteryHealthEstimate is infinite", "batteryVoltage is not a number"];
    let noted = past.unusable.iter().map(|(reason, count)| (*reason, *count));
    for (reason, count) in noted.chain(remarks.map(|remark| (remark, 1_000))) {
        let line = format!("  {reason}: {count} (for example row ");
        assert!(told.stdout.contains(&line), "{line} in {told:#?}");
    }
    assert!(told.stdout.contains(r#""DÃ¤cher" is "Dächer""#), "{told:#?}");

    // When it is imported again, then nothing changes
    let rows = database.dump();
    let told = isems.run(&["import-legacy", &past.file()]).expect(0);
    let sum = format!("100000 rows read: 0 imported, {good} already there, 0 in conflict");
    assert!(told.stdout.starts_with(&sum), "{told:#?}");
    assert!(database.dump() == rows);
    assert!(past.old.bytes() == before, "the old file, and nothing beside it");
}

#[test]
fn an_import_that_was_killed_is_finished_by_the_next() {
    let past = Past::with_rows(20_000);
    let before = past.old.bytes();
    let isems = Isems::new();

    let importing = isems.start(&["import-legacy", &past.file()]);
    isems.database().wait_for_rows(1);
    importing.kill();
    let half = isems.database().count();
    assert!(half < past.measurements.len(), "the kill came too late to tell anything");

    let told = isems.run(&["import-legacy", &past.file()]).expect(0);
    let known = format!(", {half} already there, 0 in conflict");
    assert!(told.stdout.contains(&known), "{told:#?}");
    assert!(isems.database().moments() == past.measurements);
    assert!(past.old.bytes() == before);
}

#[test]
fn the_imported_is_served_beside_the_new() {
    let past = Past::with_rows(200);
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    isems.run(&["import-legacy", &past.file()]).expect(0);
    isems.run(&["update-data"]).expect(0);

    let serving = isems.unset("ISEMS_ROUTER_IPS").serve();
    let all = get(&format!("{}/measurements/latest?all=true", serving.api())).json();
    let nodes: BTreeSet<&str> = all["measurements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|measurement| measurement["nodeId"].as_str().unwrap())
        .collect();
    let mut expected: BTreeSet<&str> =
        past.measurements.iter().map(|(node, _)| node.as_str()).collect();
    expected.insert("Ålesund-Nord");
    assert_eq!(nodes, expected);
}

#[test]
fn an_old_database_in_database_url_is_refused_by_every_command_and_stays_as_it_is() {
    let past = Past::with_rows(10);
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new()
        .nodes([&node])
        .set("MQTT_SERVER", "127.0.0.1:1")
        .set("ISEMS_KEEP_PER_NODE", "1");
    fs::copy(past.old.file(), isems.database().path()).unwrap();
    let before = files(isems.database().folder());
    let name = isems.database().path().display().to_string();
    let copy = isems.database().folder().join("copy.db").display().to_string();

    for command in [
        &["serve"][..],
        &["update-data"],
        &["subscribe"],
        &["prune"],
        &["prune", "--dry-run"],
        &["import-legacy", &past.file()],
        &["import-legacy", &name],
        &["backup", &copy],
        &["forget", "Knoten 1", "--yes"],
        &["rebuild-rollups"],
        &["check-config"],
        &["demo"],
    ] {
        // What systemd runs says that it is no use to start it again.
        let code = if matches!(command[0], "serve" | "subscribe") { 65 } else { 1 };
        let told = isems.run(command).expect(code);
        let way_out = format!("isems import-legacy {name}");
        assert!(told.stderr.contains(&way_out), "{command:?}: {told:#?}");
        assert!(files(isems.database().folder()) == before, "{command:?}");
    }
    assert_eq!(node.requests(), [""; 0], "nobody is asked in vain");
}

#[test]
fn progress_is_shown_only_to_people() {
    const BAR: &str = "/2000 rows";
    let past = Past::with_rows(2_000);
    let seen = Isems::new().run_on_a_terminal(&["import-legacy", &past.file()]).expect(0);
    assert!(seen.stdout.contains(BAR), "{seen:#?}");
    assert!(seen.stdout.contains("2000 rows read:"), "{seen:#?}");

    let told = Isems::new().run(&["import-legacy", &past.file()]).expect(0);
    assert!(!told.stderr.contains(BAR) && !told.stdout.contains(BAR), "{told:#?}");
    assert!(!told.stderr.contains('\u{1b}'), "{told:#?}");
}

#[test]
fn what_is_no_old_database_is_refused_with_its_name_and_a_way_out() {
    let isems = Isems::new();
    let folder = isems.database().folder();
    let letters = folder.join("letters.txt").display().to_string();
    fs::write(&letters, "somebody's letters").unwrap();
    let missing = folder.join("missing.db").display().to_string();
    for (file, reason) in [(&letters, "not a database of the old collector"), (&missing, "no such")]
    {
        let told = isems.run(&["import-legacy", file]).expect(1);
        for part in [file.as_str(), reason, "DATABASE_URL"] {
            assert!(told.stderr.contains(part), "{part} in {told:#?}");
        }
    }
    assert_eq!(fs::read(&letters).unwrap(), b"somebody's letters");
}

#[test]
fn what_is_known_only_from_an_import_is_not_pruned_by_a_clock_that_runs_ahead() {
    // Given rows of 2021 and nothing else
    let isems = Isems::new().set("ISEMS_KEEP_DAYS", "3000");
    let past = Past::with_rows(200);
    isems.run(&["import-legacy", &past.file()]).expect(0);
    let rows = isems.database().count();

    // When our clock shows a time at which they would be too old
    let ahead = days_ahead(isems, 3650);
    let pruned = ahead.run(&["prune"]).expect(0);

    // Then they stay
    assert_eq!(pruned.last_line(), "Removed 0 measurements of 0 nodes");
    assert_eq!(ahead.database().count(), rows);
}
