//! Writes databases as the old collector did, oddities included.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

/// What the old collector's migrations made of an empty file.
const SCHEMA: &str = r#"
    CREATE TABLE alembic_version (
        version_num VARCHAR(32) NOT NULL,
        CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    );
    INSERT INTO alembic_version VALUES ('5bdcd5b3e0b4');
    CREATE TABLE measurement (
        id INTEGER NOT NULL,
        "nodeId" VARCHAR,
        "isemsRevision" VARCHAR,
        timestamp DATETIME,
        "openMPPTFirmwareVersion" VARCHAR,
        "timeToShutdown" FLOAT,
        "isPowerSaveMode" BOOLEAN,
        "openCircuitVoltage" FLOAT,
        "mppVoltage" FLOAT,
        "batteryVoltage" FLOAT,
        "batteryChargeEstimate" FLOAT,
        "batteryHealthEstimate" FLOAT,
        "batteryTemperature" FLOAT,
        "lowVoltageDisconnectVoltage" FLOAT,
        "temperatureCorrectedVoltage" FLOAT,
        "rateBatteryCapacity" FLOAT,
        "ratedSolarModuleCapacity" FLOAT,
        latitude FLOAT,
        longitude FLOAT,
        status INTEGER,
        PRIMARY KEY (id),
        UNIQUE ("nodeId", timestamp)
    );
    CREATE INDEX latest_by_node_id ON measurement ("nodeId", timestamp DESC);
"#;

/// A row as SQL literals; what is not set has an everyday value.
#[derive(Clone, Debug)]
pub(super) struct OldRow(BTreeMap<&'static str, String>);

impl OldRow {
    pub(super) fn new(node: &str, wall_time: &str) -> Self {
        let everyday = [
            ("isemsRevision", "'1'"),
            ("openMPPTFirmwareVersion", "'ESP_2.0'"),
            ("timeToShutdown", "3592"),
            ("isPowerSaveMode", "0"),
            ("openCircuitVoltage", "13.513"),
            ("mppVoltage", "13.588"),
            ("batteryVoltage", "12.999"),
            ("batteryChargeEstimate", "95"),
            ("batteryHealthEstimate", "100"),
            ("batteryTemperature", "27.84"),
            ("lowVoltageDisconnectVoltage", "11.9"),
            ("temperatureCorrectedVoltage", "14.014"),
            ("rateBatteryCapacity", "50"),
            ("ratedSolarModuleCapacity", "60"),
            ("latitude", "52.47388"),
            ("longitude", "13.39051"),
            ("status", "256"),
        ];
        Self(everyday.map(|(column, sql)| (column, sql.to_owned())).into())
            .with("nodeId", &quoted(node))
            .with("timestamp", &quoted(wall_time))
    }

    /// The same row with an SQL literal in a column.
    pub(super) fn with(mut self, column: &'static str, sql: &str) -> Self {
        self.0.insert(column, sql.to_owned());
        self
    }
}

/// A text as SQL literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A database of the old collector, alone in a folder.
#[derive(Debug)]
pub(super) struct OldDatabase {
    folder: TempDir,
}

impl OldDatabase {
    /// A database with the given rows, whose ids are 1, 2, 3 …
    pub(super) async fn with_rows(rows: &[OldRow]) -> Self {
        Self::with_schema(SCHEMA, rows).await
    }

    pub(super) async fn with_schema(schema: &'static str, rows: &[OldRow]) -> Self {
        let database = Self { folder: tempfile::tempdir().unwrap() };
        let mut connection = database.connect().await;
        connection.execute(schema).await.unwrap();
        insert(&mut connection, rows).await;
        connection.close().await.unwrap();
        database
    }

    /// A file that is no such database.
    pub(super) fn with_bytes(bytes: &[u8]) -> Self {
        let database = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(database.file(), bytes).unwrap();
        database
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("100% old?.db")
    }

    /// As the old collector would open it.
    pub(super) async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.file())
            .create_if_missing(true)
            .disable_statement_logging()
            .connect()
            .await
            .unwrap()
    }

    /// Every file of the folder with its content.
    pub(super) fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }
}

/// Adds rows, as the old collector did: what is there already stays.
pub(super) async fn insert(connection: &mut SqliteConnection, rows: &[OldRow]) {
    let mut transaction = connection.begin().await.unwrap();
    for rows in rows.chunks(500) {
        let Some(first) = rows.first() else { continue };
        let columns: Vec<String> = first.0.keys().map(|name| format!(r#""{name}""#)).collect();
        let values: Vec<String> = rows
            .iter()
            .map(|row| {
                let values: Vec<&str> = row.0.values().map(String::as_str).collect();
                format!("({})", values.join(","))
            })
            .collect();
        let sql = format!(
            "INSERT OR IGNORE INTO measurement ({}) VALUES {}",
            columns.join(","),
            values.join(",")
        );
        transaction.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    transaction.commit().await.unwrap();
}
