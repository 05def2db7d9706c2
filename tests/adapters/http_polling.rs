//! What HTTP polling promises, against servers that answer byte by byte as
//! real nodes do.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod addresses;
mod answers;
mod fake_node;
mod known_prefix;
mod limits;
mod requests;
mod rotation;
mod rounds;
mod warnings;

use std::{collections::BTreeMap, io::Write as _, num::NonZeroUsize, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use isems_adapters::http_polling::{HttpPolling, PollSettings, Schedule, parse_addresses};
use isems_core::{
    Delivery, NodeSource, ReadPosition, SourceError, SourceId, Timestamp, testing::ManualClock,
};

use fake_node::{FakeNode, LOG};

/// When everything in these tests happens, by our clock.
const NOW: Timestamp = Timestamp::from_unix(1_795_472_500);

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

type Positions = BTreeMap<SourceId, ReadPosition>;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The body of a recorded answer.
fn body_of(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    &answer[head + 4..]
}

/// Settings for these nodes: full URLs or addresses, separated by blanks.
fn settings(nodes: &str) -> PollSettings {
    PollSettings {
        timeout: Duration::from_secs(8),
        ..PollSettings::one_round(parse_addresses(nodes).unwrap())
    }
}

/// Rounds without end, each long enough for a busy machine.
fn many_rounds(nodes: &str) -> PollSettings {
    PollSettings {
        schedule: Schedule::Every,
        interval: Duration::from_millis(600),
        ..settings(nodes)
    }
}

fn polling(settings: PollSettings) -> HttpPolling {
    resumed(settings, &Positions::new())
}

fn resumed(settings: PollSettings, positions: &Positions) -> HttpPolling {
    HttpPolling::new(settings, positions, Arc::new(ManualClock::at(NOW))).unwrap()
}

async fn next(source: &mut HttpPolling) -> Result<Option<Delivery>, SourceError> {
    let next = tokio::time::timeout(PATIENCE, source.next());
    next.await.expect("something within bounded time")
}

async fn delivery(source: &mut HttpPolling) -> Delivery {
    next(source).await.unwrap().expect("a delivery")
}

/// What one round over one node brings, with nothing remembered.
async fn poll_once(node: &FakeNode) -> Result<Delivery, SourceError> {
    poll_from(node, &Positions::new()).await
}

/// What one round over one node brings after a restart with these positions.
async fn poll_from(node: &FakeNode, positions: &Positions) -> Result<Delivery, SourceError> {
    let mut source = resumed(settings(&node.address.to_string()), positions);
    let first = next(&mut source).await;
    assert!(next(&mut source).await.unwrap().is_none(), "one result");
    first.map(|delivery| delivery.expect("a result"))
}

/// What the repository remembers once this is stored.
fn remembered(delivery: &Delivery) -> Positions {
    let position = delivery.position.clone().expect("a position");
    Positions::from([(delivery.source.clone(), position)])
}

/// A log line of minute `n`.
fn line(n: u32) -> String {
    let time = 1_795_400_000 + 61 * u64::from(n);
    format!("Dach;1;{time};ATmega8_A_1;4795;0;0;0;12.457;83;100;3;11.7;14.2;7;20;52.5;13.4;500\n")
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(line).collect()
}

/// uhttpd's answer with a file.
fn file(etag: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=20\r\n\
         ETag: \"{etag}\"\r\nDate: Mon, 23 Nov 2026 22:20:21 GMT\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_ref()).unwrap();
    packer.finish().unwrap()
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.payload.clone()).unwrap()
}

fn at_most(nodes: usize) -> NonZeroUsize {
    NonZeroUsize::new(nodes).unwrap()
}

fn not_modified() -> Vec<u8> {
    fixture("http/router_log_304_etag.raw")
}
