//! What is in a database file, read past the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::Database;

/// How long storing a few thousand messages may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(45);

/// A measurement, as far as it tells one from another: what the node said, and
/// what it was. Telemetry tells no time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told(String);

impl Told {
    /// What a line of a node's log tells.
    pub(crate) fn by_line(line: &str) -> Self {
        let field: Vec<&str> = line.split(';').collect();
        let number = |at: usize| field[at].parse::<f64>().unwrap();
        let values = [4, 6, 7, 8, 9, 11].map(number);
        let status = i64::from_str_radix(field[18].trim_end(), 16).unwrap();
        Self::new(field[0], Some(field[2].parse().unwrap()), values, status)
    }

    /// What a telemetry message of a node tells.
    pub(crate) fn by_telemetry(node: &str, payload: &str) -> Self {
        let json: serde_json::Value = serde_json::from_str(payload).unwrap();
        let values = [
            "timeToShutdown",
            "openCircuitVoltage",
            "mppVoltage",
            "batteryVoltage",
            "batteryChargeEstimate",
            "batteryTemperature",
        ]
        .map(|name| json[name].as_f64().unwrap());
        let status = i64::from_str_radix(json["status"].as_str().unwrap(), 16).unwrap();
        Self::new(node, None, values, status)
    }

    fn by_row(row: &SqliteRow) -> Self {
        const LOG_LINE: i64 = 0;
        let node: String = row.get("name");
        let reported = (row.get::<i64, _>("kind") == LOG_LINE).then(|| row.get("reported"));
        let values = [
            "time_to_shutdown",
            "open_circuit_voltage",
            "mpp_voltage",
            "battery_voltage",
            "state_of_charge",
            "battery_temperature",
        ]
        .map(|column| row.get(column));
        Self::new(&node, reported, values, row.get("status"))
    }

    fn new(node: &str, reported: Option<i64>, values: [f64; 6], status: i64) -> Self {
        let reported = reported.map_or_else(|| "telemetry".to_owned(), |time| time.to_string());
        let values = values.map(|value| value.to_string()).join(";");
        Self(format!("{node};{reported};{values};{status:03x}"))
    }
}

impl Database {
    /// Every row.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.with_connection(async |connection| {
            let sql = "SELECT * FROM measurement JOIN node ON node.id = measurement.node";
            let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
            rows.iter().map(Told::by_row).collect()
        })
    }

    /// How many rows there are; none if the program did not make it yet.
    pub(crate) fn count(&self) -> usize {
        if !self.path().exists() {
            return 0;
        }
        let count: i64 = self.with_connection(async |connection| {
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'measurement'";
            let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap();
            if tables == 0 {
                return 0;
            }
            let sql = "SELECT count(*) FROM measurement";
            sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
        });
        usize::try_from(count).unwrap()
    }

    /// Every row in full, with its number.
    pub(crate) fn dump(&self) -> Vec<String> {
        self.with_connection(async |connection| {
            let sql = "SELECT name FROM pragma_table_info('measurement')";
            let columns: Vec<String> =
                sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
            let cells: Vec<String> =
                columns.iter().map(|column| format!("quote(m.{column})")).collect();
            let sql = format!(
                "SELECT node.name || '|' || {} FROM measurement m \
                 JOIN node ON node.id = m.node ORDER BY m.id",
                cells.join(" || '|' || ")
            );
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap()
        })
    }

    /// Node and observed time of every row.
    pub(crate) fn moments(&self) -> BTreeSet<(String, i64)> {
        self.with_connection(async |connection| {
            let sql = "SELECT name, observed FROM measurement JOIN node ON node.id = node";
            let rows = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
            rows.into_iter().collect()
        })
    }

    /// Waits until there are at least so many rows.
    #[track_caller]
    pub(crate) fn wait_for_rows(&self, rows: usize) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let there = self.count();
            if there >= rows {
                return;
            }
            assert!(Instant::now() < deadline, "{there} of {rows} rows are stored");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asserts that the rows are these, each once.
    #[track_caller]
    pub(crate) fn assert_holds_once(&self, expected: impl IntoIterator<Item = Told>) {
        let mut balance: BTreeMap<Told, i64> = BTreeMap::new();
        for told in expected {
            balance.insert(told, 1);
        }
        assert_ne!(balance.len(), 0);
        for told in self.told() {
            *balance.entry(told).or_default() -= 1;
        }
        let which = |wrong: fn(i64) -> bool| {
            let found: Vec<&Told> =
                balance.iter().filter(|(_, left)| wrong(**left)).map(|(told, _)| told).collect();
            (found.len(), found.into_iter().take(3).cloned().collect::<Vec<_>>())
        };
        let (lost, too_many) = (which(|left| left > 0), which(|left| left < 0));
        assert!(
            lost.0 == 0 && too_many.0 == 0,
            "of {} measurements {} are missing ({:?}), {} come too often or were never sent ({:?})",
            balance.len(),
            lost.0,
            lost.1,
            too_many.0,
            too_many.1,
        );
    }

    /// Gives the only node so many hours of rollups before its newest, each like
    /// that.
    pub(crate) fn roll_up_hours_before(&self, hours: usize) {
        self.connected(false, async |connection| {
            let sql = "WITH RECURSIVE back (n) AS \
                 (SELECT 1 UNION ALL SELECT n + 1 FROM back WHERE n < ?) \
                 INSERT OR IGNORE INTO rollup (node, hour, count, status, closed, spreads) \
                 SELECT node, hour - 3600 * n, count, status, 1, spreads \
                 FROM back, (SELECT * FROM rollup ORDER BY hour DESC LIMIT 1)";
            let hours = i64::try_from(hours).unwrap();
            sqlx::query(sql).bind(hours).execute(connection).await.unwrap();
        });
    }

    /// Gives so many other nodes a measurement each, like the newest of all.
    pub(crate) fn multiply_nodes(&self, count: usize) {
        self.connected(false, async |connection| {
            let sql = "SELECT name FROM pragma_table_info('measurement') \
                 WHERE name NOT IN ('id', 'node')";
            let columns: Vec<String> =
                sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
            let columns = columns.join(", ");
            let nodes = "WITH RECURSIVE other (n) AS \
                 (SELECT 1 UNION ALL SELECT n + 1 FROM other WHERE n < ?) \
                 INSERT INTO node (name, version) \
                 SELECT format('many %06d', n), 1000000 + n FROM other";
            let count = i64::try_from(count).unwrap();
            sqlx::query(nodes).bind(count).execute(&mut *connection).await.unwrap();
            let rows = format!(
                "INSERT INTO measurement (node, {columns}) SELECT node.id, {columns} FROM node, \
                 (SELECT * FROM measurement ORDER BY id DESC LIMIT 1) WHERE name LIKE 'many %'"
            );
            sqlx::query(AssertSqlSafe(rows)).execute(connection).await.unwrap();
        });
    }

    fn with_connection<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        self.connected(true, work)
    }

    fn connected<T>(
        &self,
        read_only: bool,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> T,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = SqliteConnectOptions::new()
                .filename(self.path())
                .read_only(read_only)
                .busy_timeout(LIMIT)
                .disable_statement_logging();
            let mut connection = options.connect().await.unwrap();
            let found = work(&mut connection).await;
            connection.close().await.unwrap();
            found
        })
    }
}
