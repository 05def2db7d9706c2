//! The nodes' web servers, asked over real sockets under a clock that only the
//! test moves.

use std::time::Duration;

use isems_core::testing::ManualClock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::*;

/// 2025-06-21T10:00:00Z.
const NOW: i64 = 1_750_500_000;
const PATIENCE: Duration = Duration::from_secs(10);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_unix(NOW)))
}

async fn fleet(clock: &Arc<ManualClock>) -> Hosts {
    let clock: Arc<dyn Clock> = clock.clone();
    Hosts::start(clock).await.expect("free ports")
}

/// Head and body of the answer to one request.
async fn ask(entry: &Entry, method: &str, path: &str, headers: &str) -> (String, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(entry.address).await?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(PATIENCE, exchange).await.expect("in time").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_ascii_lowercase(), body.to_owned())
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("no {name} in {head}"))
}

fn node<'a>(hosts: &'a Hosts, name: &str) -> &'a Entry {
    let mut entries = hosts.entries.iter();
    entries.find(|entry| entry.name == name).expect("in the fleet")
}

#[tokio::test]
async fn a_router_serves_days_of_history_as_uhttpd_does() {
    let clock = clock();
    let hosts = fleet(&clock).await;
    let roof = node(&hosts, "Rathaus-Dach");

    let (head, body) = ask(roof, "GET", uhttpd::LOG_PATH, "").await;

    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert_eq!(header(&head, "content-type"), "text/plain");
    assert_eq!(header(&head, "content-length"), body.len().to_string());
    assert_eq!(header(&head, "date"), "sat, 21 jun 2025 10:00:00 gmt");
    assert!(body.starts_with("Rathaus-Dach;1;99;ATmega8_A_1;9940;0;"));
    assert!(body.ends_with('\n') && body.lines().count() > 3_500);
    hosts.stop().await;
}

#[tokio::test]
async fn a_known_tag_is_answered_304_until_the_next_line() {
    let clock = clock();
    let hosts = fleet(&clock).await;
    let roof = node(&hosts, "Rathaus-Dach");
    let (head, before) = ask(roof, "GET", uhttpd::LOG_PATH, "").await;
    let known = format!("If-None-Match: {}\r\n", header(&head, "etag"));

    let (head, body) = ask(roof, "GET", uhttpd::LOG_PATH, &known).await;
    assert!(head.starts_with("http/1.1 304"), "{head}");
    assert_eq!(body, "");

    clock.advance(62);
    let (head, after) = ask(roof, "GET", uhttpd::LOG_PATH, &known).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(after.starts_with(&before), "the log only grows");
    assert_eq!(after.lines().count(), before.lines().count() + 1);
    hosts.stop().await;
}

#[tokio::test]
async fn a_full_log_is_rotated() {
    let clock = clock();
    let hosts = fleet(&clock).await;
    let roof = node(&hosts, "Rathaus-Dach");
    // Given: the log is full some two hours later. When: minutes go by.
    clock.advance(100 * 60);
    let mut statuses = Vec::new();
    for _ in 0..40 {
        clock.advance(59);
        let (head, _) = ask(roof, "HEAD", uhttpd::LOG_PATH, "").await;
        statuses.push(head.starts_with("http/1.1 200"));
    }
    // Then: it is missing for about a minute, and its archive is there.
    let missing = statuses.iter().filter(|found| !**found).count();
    assert!((1..=2).contains(&missing), "{statuses:?}");
    let (head, _) = ask(roof, "HEAD", "/ISEMS/ffopenmppt.log.gz", "").await;
    assert_eq!(header(&head, "content-type"), "application/x-gzip");
    hosts.stop().await;
}

#[tokio::test]
async fn an_esp32_serves_its_last_five_lines_without_length_or_last_line_end() {
    let clock = clock();
    let hosts = fleet(&clock).await;
    let balcony = node(&hosts, "Balkon-ESP");

    let (head, body) = ask(balcony, "GET", esp32::LOG_PATH, "").await;

    assert!(head.starts_with("http/1.0 200 ok"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    assert_eq!(body.lines().count(), 5);
    assert!(!body.ends_with('\n'));
    let (_, page) = ask(balcony, "GET", "/unknown", "").await;
    assert!(page.starts_with("<html>"), "{page}");
    hosts.stop().await;
}

#[tokio::test]
async fn other_paths_of_a_router_are_not_found() {
    let hosts = fleet(&clock()).await;
    for path in ["/", "/ISEMS/", "/ISEMS/ffopenmppt.log.gz"] {
        let (head, _) = ask(node(&hosts, "Funkmast Süd"), "GET", path, "").await;
        assert!(head.starts_with("http/1.1 404"), "{path}: {head}");
    }
    hosts.stop().await;
}

#[tokio::test]
async fn a_fleet_that_is_switched_off_takes_no_connection_and_drops_open_ones() {
    let hosts = fleet(&clock()).await;
    let entries = hosts.entries.clone();
    let mut idle = TcpStream::connect(entries[0].address).await.expect("open");

    timeout(PATIENCE, hosts.stop()).await.expect("in time");

    let read = timeout(PATIENCE, idle.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    for entry in entries {
        let refused = TcpStream::connect(entry.address).await;
        assert!(refused.is_err(), "{} still listens", entry.name);
    }
}
