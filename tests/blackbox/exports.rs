//! A node's whole history as a file, however long it is, in constant memory.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::support::{Database, Isems};

const ROWS: usize = 1_000_000;

/// The most that exports may add to the memory of the collector, in bytes.
const MOST_GROWTH: u64 = 20_000_000;

/// One row each minute, for nearly two years.
fn fill(database: &Database) {
    let sql = format!(
        "INSERT INTO node (id, name, version) VALUES (1, 'Dach', 1);
         WITH RECURSIVE row (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < {ROWS})
         INSERT INTO measurement
             (node, observed, reported, kind, basis, received, revision, firmware,
              time_to_shutdown, power_save, open_circuit_voltage, mpp_voltage, battery_voltage,
              state_of_charge, battery_health, battery_temperature, low_voltage_disconnect,
              charge_end_voltage, battery_capacity, module_power, latitude, longitude, status)
         SELECT 1, 1600000000 + 60 * n, 1600000000 + 60 * n, 0, 0, 1600000020 + 60 * n, '1',
                'ESP_2.0', 3592, 0, 21.04, 18.46, 11.0 + (n % 3000) / 1000.0, n % 100, 100,
                n % 40, 11.9, 14.25, 7.2, 10, 52.47388, 13.39051, 2304
         FROM row"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(database.path());
        let mut connection = options.disable_statement_logging().connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// The lines of an answer, of which nothing is kept.
fn count_lines(api: &str, path: &str) -> usize {
    let mut stream = TcpStream::connect(api.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    // HTTP/1.0: the body comes as it is, up to the end of the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: isems\r\n\r\n").unwrap();
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let (mut head, mut lines) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        lines += 1;
        line.clear();
    }
    lines
}

#[test]
fn exports_of_a_million_rows_are_whole_and_take_hardly_any_memory() {
    let isems = Isems::new();
    let serving = isems.serve();
    fill(isems.database());
    let api = serving.api();
    let both = |range: &str| {
        let [csv, ndjson] =
            ["csv", "ndjson"].map(|format| format!("/api/v1/nodes/Dach/export.{format}{range}"));
        std::thread::scope(|scope| {
            let csv = scope.spawn(|| count_lines(&api, &csv));
            (count_lines(&api, &ndjson), csv.join().unwrap())
        })
    };
    // Shorter ones before, for what is needed once however long it is: caches.
    assert_eq!(both("?from=1657000060").0, ROWS / 20);
    let before = serving.memory();

    let (of_ndjson, of_csv) = both("");

    let growth = serving.most_memory().saturating_sub(before);
    assert_eq!((of_ndjson, of_csv), (ROWS, ROWS + 1), "CSV begins with its header");
    assert!(growth < MOST_GROWTH, "{growth} bytes more than {before}");
}
