//! What the import of the old collector's database promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod fleet;
mod map_repo;
mod old_database;

use std::path::Path;

use isems_adapters::sqlite::SqliteRepo;
use isems_adapters::sqlite::legacy::{ImportError, ImportProgress, ImportReport, import_legacy};
use isems_core::{
    Basis, HistoryRange, Measurement, MeasurementReader as _, MeasurementRepo, NodeId, NodeStatus,
    Reported, Sample, Timestamp,
};
use jiff::tz::TimeZone;

use map_repo::MapRepo;
use old_database::{OldDatabase, OldRow};

const BERLIN: &str = "Europe/Berlin";

/// The moment of every import here.
const NOW: &str = "2024-05-01T12:00:00Z";

fn utc(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_unix(at.as_second())
}

fn node(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

async fn import(file: &Path, into: &dyn MeasurementRepo) -> Result<ImportReport, ImportError> {
    let zone = TimeZone::get(BERLIN).unwrap();
    import_legacy(file, into, &zone, utc(NOW), &mut |_| {}).await
}

/// Imports rows into an empty repository.
async fn imported(rows: &[OldRow]) -> (MapRepo, ImportReport) {
    let old = OldDatabase::with_rows(rows).await;
    let repo = MapRepo::default();
    let report = import(&old.file(), &repo).await.unwrap();
    (repo, report)
}

/// The values that an otherwise everyday row has with `sql` in `column`, and
/// the remark that the report makes of it.
async fn converted(column: &'static str, sql: &str) -> (Sample, Option<String>) {
    let row = OldRow::new("Dach", "2018-06-30 15:16:15.000000").with(column, sql);
    let (repo, report) = imported(&[row]).await;
    let sample = repo.rows().into_values().next().unwrap().sample;
    (sample, report.unknown_values.into_keys().next())
}

#[tokio::test]
async fn every_column_becomes_its_field() {
    let (repo, report) =
        imported(&[OldRow::new("Dach", "2018-06-30 15:16:15.000000").with("isPowerSaveMode", "1")])
            .await;

    let at = utc("2018-06-30T15:16:15+02:00");
    let expected = Measurement {
        node: node("Dach"),
        observed: at,
        reported: Reported::Time(at),
        basis: Basis::Node,
        received: None,
        sample: Sample {
            revision: "1".to_owned(),
            firmware: "ESP_2.0".to_owned(),
            time_to_shutdown: Some(3592.0),
            power_save: true,
            open_circuit_voltage: Some(13.513),
            mpp_voltage: Some(13.588),
            battery_voltage: Some(12.999),
            state_of_charge: Some(95.0),
            battery_health: Some(100.0),
            battery_temperature: Some(27.84),
            low_voltage_disconnect: Some(11.9),
            charge_end_voltage: Some(14.014),
            battery_capacity: Some(50.0),
            module_power: Some(60.0),
            latitude: Some(52.47388),
            longitude: Some(13.39051),
            status: Some(NodeStatus::HEALTHY),
        },
    };
    assert_eq!(repo.rows().into_values().collect::<Vec<_>>(), [expected]);
    assert_eq!((report.rows, report.imported), (1, 1));
}

type Field = fn(&Sample) -> Option<f64>;

#[tokio::test]
async fn an_odd_value_costs_only_itself() {
    let voltage = |sample: &Sample| sample.battery_voltage;
    let health = |sample: &Sample| sample.battery_health;
    let disconnect = |sample: &Sample| sample.low_voltage_disconnect;
    let latitude = |sample: &Sample| sample.latitude;
    let cases: [(_, _, Field, Option<f64>, Option<&str>); 12] = [
        ("batteryVoltage", "NULL", voltage, None, None),
        ("batteryVoltage", "' 12.5 '", voltage, Some(12.5), None),
        ("batteryVoltage", "'n/a'", voltage, None, Some("batteryVoltage is not a number")),
        ("batteryVoltage", "X'31322e35'", voltage, Some(12.5), None),
        (
            "batteryHealthEstimate",
            "-9e999",
            health,
            None,
            Some("batteryHealthEstimate is infinite"),
        ),
        (
            "batteryHealthEstimate",
            "'-inf'",
            health,
            None,
            Some("batteryHealthEstimate is infinite"),
        ),
        ("batteryHealthEstimate", "-905", health, Some(-905.0), None),
        ("lowVoltageDisconnectVoltage", "11700", disconnect, Some(11.7), None),
        ("latitude", "'52,516'", latitude, Some(52.516), None),
        ("latitude", "''", latitude, None, None),
        ("latitude", "-0.0", latitude, Some(0.0), None),
        ("latitude", "90.5", latitude, None, Some("latitude is out of range")),
    ];
    for (column, sql, field, value, remark) in cases {
        let (sample, made) = converted(column, sql).await;
        assert_eq!(field(&sample), value, "{column} {sql}");
        assert_eq!(made.as_deref(), remark, "{column} {sql}");
    }
}

#[tokio::test]
async fn status_and_power_save_are_read_in_every_form() {
    for (sql, status) in [
        ("NULL", None),
        ("2304", Some(NodeStatus::from_bits(0x900))),
        ("'0B2'", Some(NodeStatus::from_bits(0x0B2))),
        ("'kaputt'", None),
    ] {
        assert_eq!(converted("status", sql).await.0.status, status, "{sql}");
    }
    for (sql, on) in
        [("NULL", false), ("0", false), ("'false'", false), ("6", true), ("'on'", true)]
    {
        assert_eq!(converted("isPowerSaveMode", sql).await.0.power_save, on, "{sql}");
    }
}

#[tokio::test]
async fn garbled_texts_are_repaired() {
    let (sample, _) = converted("openMPPTFirmwareVersion", "'RÃ¶hre_1.0'").await;
    assert_eq!(sample.firmware, "Röhre_1.0");
    let (sample, _) = converted("openMPPTFirmwareVersion", "CAST(X'52F6687265' AS TEXT)").await;
    assert_eq!(sample.firmware, "Röhre");
}

#[tokio::test]
async fn a_garbled_name_is_the_same_node_as_the_right_one() {
    let (repo, report) = imported(&[
        OldRow::new("DachSÃ¼d", "2018-06-30 15:16:15"),
        OldRow::new("DachSüd", "2018-06-30 15:17:15"),
        OldRow::new("", "2018-06-30 15:18:15").with("nodeId", "CAST(X'4461636853FC64' AS TEXT)"),
        OldRow::new("DachSüd", "2018-06-30 15:16:15"),
        OldRow::new("DachSÃ¼d", "2018-06-30 15:17:15").with("batteryVoltage", "12.0"),
    ])
    .await;

    let keys: Vec<_> = repo.rows().into_keys().collect();
    let at = ["13:16:15", "13:17:15", "13:18:15"];
    assert_eq!(keys, at.map(|at| (node("DachSüd"), utc(&format!("2018-06-30T{at}Z")))));
    assert_eq!((report.imported, report.duplicate, report.conflict), (3, 1, 1));
    let names: Vec<_> = report.repaired_names.into_iter().collect();
    assert_eq!(names, [("DachSÃ¼d".to_owned(), node("DachSüd"))]);
}

#[tokio::test]
async fn a_row_without_usable_name_or_time_is_counted_with_its_reason() {
    let good = "2018-06-30 15:16:15";
    for (row, reason) in [
        (OldRow::new("a%b", good), "node id holds a percent sign"),
        (OldRow::new("", good), "node id is empty"),
        (OldRow::new(" Dach", good), "node id begins or ends with a blank"),
        (OldRow::new("a\tb", good), "node id holds a control character"),
        (OldRow::new(&"ü".repeat(65), good), "node id is longer than 128 bytes"),
        (OldRow::new("", good).with("nodeId", "NULL"), "node id is missing"),
        (OldRow::new("Dach", "").with("timestamp", "NULL"), "time is missing"),
        (OldRow::new("Dach", "gestern"), "time is not readable"),
        (OldRow::new("Dach", "9998-12-31 23:59:59"), "time is after the import"),
        (OldRow::new("Dach", "1970-01-01 01:01:39"), "time is before 2016"),
        (OldRow::new("Dach", "2016-01-01 00:59:59"), "time is before 2016"),
        (OldRow::new("Dach", "2024-05-01 14:00:01"), "time is after the import"),
    ] {
        let (repo, report) = imported(&[row, OldRow::new("gut", good)]).await;
        let reasons: Vec<_> = report
            .not_imported
            .iter()
            .map(|(reason, noted)| (reason.as_str(), noted.count, noted.row))
            .collect();
        assert_eq!(reasons, [(reason, 1, 1)]);
        assert_eq!(repo.rows().len(), 1, "{reason}: the next row is imported");
    }
}

#[tokio::test]
async fn the_first_and_the_last_possible_moment_are_imported() {
    let (repo, _) = imported(&[
        OldRow::new("Dach", "2016-01-01 01:00:00"),
        OldRow::new("Dach", "2024-05-01 14:00:00"),
    ])
    .await;
    let times: Vec<_> = repo.rows().into_keys().map(|(_, at)| at).collect();
    assert_eq!(times, [utc("2016-01-01T00:00:00Z"), utc(NOW)]);
}

#[tokio::test]
async fn the_repeated_hour_is_read_by_the_order_of_the_rows_of_a_node() {
    // The second node's garbled name must not hide its earlier row.
    let rows = [
        ("a", "02:00:00", "00:00:00"),
        ("SÃ¼d", "02:30:00", "00:30:00"),
        ("a", "02:50:00", "00:50:00"),
        ("a", "02:10:00", "01:10:00"),
        ("Süd", "02:20:00", "01:20:00"),
        ("a", "02:40:00", "01:40:00"),
    ];
    let (repo, report) = imported(
        &rows.map(|(name, wall, _)| OldRow::new(name, &format!("2021-10-31 {wall}.000000"))),
    )
    .await;

    let mut expected: Vec<_> = rows
        .map(|(name, _, at)| {
            let name = if name == "a" { "a" } else { "Süd" };
            (node(name), utc(&format!("2021-10-31T{at}Z")))
        })
        .into();
    expected.sort();
    assert_eq!(repo.rows().into_keys().collect::<Vec<_>>(), expected);
    assert_eq!((report.repeated_hour_summer, report.repeated_hour_winter), (3, 3));
}

#[tokio::test]
async fn times_are_read_in_the_zone_that_was_asked_for() {
    let old = OldDatabase::with_rows(&[OldRow::new("Dach", "2018-06-30 15:16:15")]).await;
    let repo = MapRepo::default();
    let zone = TimeZone::UTC;
    let outcome = import_legacy(&old.file(), &repo, &zone, utc(NOW), &mut |_| {}).await;
    assert_eq!(outcome.unwrap().imported, 1);
    let at = utc("2018-06-30T15:16:15Z");
    assert!(repo.rows().contains_key(&(node("Dach"), at)));
}

#[tokio::test]
async fn what_is_stored_already_stays() {
    let now = OldDatabase::with_rows(&[OldRow::new("Dach", "2018-06-30 15:16:15")]).await;
    let other = OldDatabase::with_rows(&[
        OldRow::new("Dach", "2018-06-30 15:16:15").with("batteryVoltage", "1")
    ])
    .await;
    let repo = MapRepo::default();
    import(&now.file(), &repo).await.unwrap();
    let before = repo.rows();

    let report = import(&other.file(), &repo).await.unwrap();

    assert_eq!((report.imported, report.conflict), (0, 1));
    assert_eq!(repo.rows(), before);
}

#[tokio::test]
async fn an_import_that_could_not_be_stored_can_be_finished_later() {
    let rows: Vec<_> = (0..5_000)
        .map(|i| {
            OldRow::new(
                "Dach",
                &format!("2018-06-30 {:02}:{:02}:{:02}", i / 3600, i / 60 % 60, i % 60),
            )
        })
        .collect();
    let old = OldDatabase::with_rows(&rows).await;
    let repo = MapRepo::default();
    repo.accept(Some(1));

    let error = import(&old.file(), &repo).await.unwrap_err().to_string();
    let stored = u64::try_from(repo.rows().len()).unwrap();
    assert!(error.contains(&format!("after {stored} of 5000 rows")), "{error}");
    assert!(error.contains("no space left"), "{error}");

    repo.accept(None);
    let report = import(&old.file(), &repo).await.unwrap();
    assert_eq!((report.imported, report.duplicate), (5_000 - stored, stored));
}

#[tokio::test]
async fn progress_goes_from_nothing_to_all_rows() {
    let old = OldDatabase::with_rows(&[
        OldRow::new("a", "2018-06-30 15:16:15"),
        OldRow::new("b", "gestern"),
    ])
    .await;
    let mut seen = Vec::new();
    let zone = TimeZone::get(BERLIN).unwrap();
    let mut progress = |progress| seen.push(progress);
    import_legacy(&old.file(), &MapRepo::default(), &zone, utc(NOW), &mut progress).await.unwrap();
    let steps = [0, 2].map(|done| ImportProgress { done, total: 2 });
    assert_eq!(seen, steps);
}

#[tokio::test]
async fn the_report_reads_alone() {
    let (_, report) = imported(&[
        OldRow::new("DachSÃ¼d", "2021-10-31 02:30:00").with("batteryVoltage", "'n/a'"),
        OldRow::new("Dach", "1970-01-01 01:01:39"),
        OldRow::new("Dach", "2021-03-28 02:30:00"),
    ])
    .await;
    let expected = "\
3 rows read: 2 imported, 0 already there, 0 in conflict with what is there (which stays), 1 not imported
Not imported:
  time is before 2016: 1 (for example row 2: \"1970-01-01 01:01:39\")
Imported with an unknown value, because a value could not be converted:
  batteryVoltage is not a number: 1 (for example row 1: \"n/a\")
Node names repaired:
  \"DachSÃ¼d\" is \"DachSüd\"
Repeated hour at the end of summer time: 1 row read as summer time, 0 as winter time
Times that do not exist in this time zone (is it the right one?): 1 row, moved on by the hour that summer time skips";
    assert_eq!(report.to_string(), expected);
}

#[tokio::test]
async fn an_import_lasts_in_the_new_database() {
    let old = OldDatabase::with_rows(&[
        OldRow::new("Süd", "2018-06-30 15:16:15").with("batteryHealthEstimate", "-9e999"),
        OldRow::new("SÃ¼d", "2018-06-30 15:17:15"),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let repo = SqliteRepo::open(&folder.path().join("new.db")).await.unwrap();
    let first = import(&old.file(), &repo).await.unwrap();
    let second = import(&old.file(), &repo).await.unwrap();
    let history = repo.history(&node("Süd"), HistoryRange::ALL, 10).await.unwrap();

    let times: Vec<_> = history.iter().map(|row| row.measurement.observed).collect();
    assert_eq!(times, ["13:17:15", "13:16:15"].map(|at| utc(&format!("2018-06-30T{at}Z"))));
    assert_eq!((first.imported, first.duplicate), (2, 0));
    assert_eq!((second.imported, second.duplicate), (0, 2));
}

#[test]
fn an_import_can_run_as_a_task() {
    fn sendable<T: Send>(_: T) {}
    let (repo, zone) = (MapRepo::default(), TimeZone::UTC);
    let file = Path::new("old.db");
    sendable(import_legacy(file, &repo, &zone, utc(NOW), &mut |_| {}));
}
