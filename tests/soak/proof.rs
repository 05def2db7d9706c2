//! What is in the database, compared with what was said.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::{
    counters::Counters,
    fleet::{Books, Sample},
};

/// So far from the truth an observed time may be, in seconds. Nodes without a
/// clock are counted from the arrival of what may have waited for a while.
const OBSERVED_WITHIN: i64 = 180;

/// So many differences of a kind are shown.
const SHOWN: usize = 5;

/// The collector's file.
#[derive(Clone, Debug)]
pub(crate) struct Database(PathBuf);

/// What the comparison came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) measured: usize,
    pub(crate) owed: usize,
    pub(crate) stored: usize,
    pub(crate) beyond_owed: usize,
    pub(crate) missing: usize,
    pub(crate) farthest: i64,
    pub(crate) sources: BTreeMap<String, i64>,
}

/// A row, as far as it is compared.
struct Row {
    node: String,
    number: Option<f64>,
    is_telemetry: bool,
    reported: i64,
    observed: i64,
    columns: [Option<f64>; 13],
}

impl Database {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// How many measurements that are owed are not there (yet).
    pub(crate) fn missing(&self, books: &Books) -> usize {
        self.compare(books, &Counters::default(), true).missing
    }

    /// Compares; what differs is found.
    pub(crate) fn prove(&self, books: &Books, counters: &Counters) -> Outcome {
        let mut outcome = self.compare(books, counters, false);
        let (integrity, sources) = self.with_connection(async |connection| {
            let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            let sql = "SELECT sum(stored), sum(duplicate), sum(conflict), sum(expired), \
                       sum(retimed) FROM source";
            let row = sqlx::query(sql).fetch_one(&mut *connection).await.unwrap();
            let mut sources: BTreeMap<String, i64> =
                ["stored", "duplicate", "conflict", "expired", "retimed"]
                    .into_iter()
                    .zip(0..)
                    .map(|(name, column): (&str, usize)| (name.to_owned(), row.get(column)))
                    .collect();
            let sql = "SELECT 'rejected: ' || reason, sum(amount) FROM rejection GROUP BY reason";
            let rejected: Vec<(String, i64)> =
                sqlx::query_as(sql).fetch_all(connection).await.unwrap();
            sources.extend(rejected);
            (integrity, sources)
        });
        if integrity != "ok" {
            counters.find(format!("integrity_check: {integrity}"));
        }
        if sources["stored"] != i64::try_from(outcome.stored).unwrap() {
            counters.find(format!(
                "the counters of the sources say {} stored, there are {}",
                sources["stored"], outcome.stored
            ));
        }
        for never in ["conflict", "expired"] {
            if sources[never] != 0 {
                counters.find(format!("{} times {never}, which nobody caused", sources[never]));
            }
        }
        outcome.sources = sources;
        outcome
    }

    fn compare(&self, books: &Books, counters: &Counters, only_count: bool) -> Outcome {
        let mut differences = Differences { counters, only_count, shown: BTreeMap::new() };
        let mut seen: BTreeMap<&str, Vec<Option<i64>>> = books
            .entries
            .iter()
            .map(|(node, entries)| (node.as_str(), vec![None; entries.len()]))
            .collect();
        let mut outcome = Outcome::default();
        for row in self.rows() {
            outcome.stored += 1;
            let Some((number, entry)) = row.find(books) else {
                differences.note("was never measured", &row.describe());
                continue;
            };
            let known = seen.get_mut(row.node.as_str()).unwrap();
            if known[number].replace(row.observed).is_some() {
                differences.note("is stored more than once", &row.describe());
            }
            if row.columns != Sample::of(&row.node, number).columns(row.is_telemetry)
                || (!row.is_telemetry && Some(row.reported) != entry.reported)
                || row.is_telemetry != entry.reported.is_none()
            {
                differences.note("is not stored as it was measured", &row.describe());
            }
            let off = row.observed - entry.truth;
            if off.abs() > outcome.farthest.abs() {
                outcome.farthest = off;
            }
            if off.abs() > OBSERVED_WITHIN {
                differences.note("is observed at a wrong time", &row.describe());
            }
            outcome.beyond_owed += usize::from(!entry.owed);
        }
        for (node, entries) in &books.entries {
            outcome.measured += entries.len();
            for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.owed) {
                outcome.owed += 1;
                if seen[node.as_str()][number].is_none() {
                    outcome.missing += 1;
                    let text = format!("{node} number {number}, {entry:?}");
                    differences.note("was accepted and is not there", &text);
                }
            }
        }
        for (node, numbers) in &books.ordered {
            let observed = numbers.iter().filter_map(|number| seen[node.as_str()][*number]);
            if !observed.clone().is_sorted_by(|earlier, later| earlier < later) {
                let observed: Vec<i64> = observed.collect();
                let text = format!("{node} numbers {numbers:?} at {observed:?}");
                differences.note("is not in the order of its message", &text);
            }
        }
        differences.end();
        outcome
    }

    fn rows(&self) -> Vec<Row> {
        let sql = format!(
            "SELECT node.name, time_to_shutdown, kind, reported, observed, {} \
             FROM measurement JOIN node ON node.id = measurement.node ORDER BY measurement.id",
            Sample::COLUMNS.map(|column| format!("CAST({column} AS REAL)")).join(", ")
        );
        self.with_connection(async |connection| {
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
            rows.iter().map(Row::of).collect()
        })
    }

    fn with_connection<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = SqliteConnectOptions::new()
                .filename(&self.0)
                .read_only(true)
                .busy_timeout(Duration::from_secs(30))
                .disable_statement_logging();
            let mut connection = options.connect().await.unwrap();
            let found = work(&mut connection).await;
            connection.close().await.unwrap();
            found
        })
    }
}

impl Row {
    fn of(row: &SqliteRow) -> Self {
        const TELEMETRY: i64 = 1;
        Self {
            node: row.get(0),
            number: row.get(1),
            is_telemetry: row.get::<i64, _>(2) == TELEMETRY,
            reported: row.get(3),
            observed: row.get(4),
            columns: std::array::from_fn(|column| row.get(5 + column)),
        }
    }

    /// What it was when it was measured.
    fn find<'a>(&self, books: &'a Books) -> Option<(usize, &'a crate::fleet::Entry)> {
        let number = self.number.filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
        let entries = books.entries.get(&self.node)?;
        // A whole number that is printed without a point.
        let number: usize = number.to_string().parse().ok()?;
        Some((number, entries.get(number)?))
    }

    fn describe(&self) -> String {
        let Self { node, number, reported, observed, .. } = self;
        let number = number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        format!("{node} number {number}, reported {reported}, observed {observed}")
    }
}

/// Shows the first differences of each kind and counts the rest.
struct Differences<'a> {
    counters: &'a Counters,
    only_count: bool,
    shown: BTreeMap<&'static str, usize>,
}

impl Differences<'_> {
    fn note(&mut self, kind: &'static str, which: &str) {
        let count = self.shown.entry(kind).or_default();
        *count += 1;
        if *count <= SHOWN && !self.only_count {
            self.counters.find(format!("{which} {kind}"));
        }
    }

    fn end(self) {
        for (kind, count) in self.shown.into_iter().filter(|(_, count)| *count > SHOWN) {
            if !self.only_count {
                self.counters.find(format!("in all {count} times: … {kind}"));
            }
        }
    }
}
