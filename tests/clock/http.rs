//! Scripts of nodes that are polled: a web server on the loopback interface,
//! the polling adapter, a database file.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use isems_adapters::http_polling::{HttpPolling, PollSettings, Schedule, parse_addresses};
use isems_core::{Delivery, MeasurementRepo as _, NodeSource as _, Timestamp};

use crate::{
    script::{Script, Step},
    station::Station,
};
use fake_node::{FakeNode, LOG};

#[expect(dead_code, reason = "the adapter's own tests need more of it")]
#[path = "../adapters/http_polling/fake_node.rs"]
mod fake_node;

/// All scripts that are played here, sorted.
pub(crate) const SCRIPTS: [&str; 7] = [
    "build-date-then-right",
    "first-line-unset",
    "ntp-arrives-mid-log",
    "two-boots-no-clock",
    "two-boots-no-clock-date",
    "year-ahead-falls-back",
    "year-ahead-falls-back-no-date",
];

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the node answers at a step, as uhttpd does.
fn answer(script: &Script, step: &Step) -> Vec<u8> {
    let log = script.text(step) + "\n";
    let date = step.date.map_or_else(String::new, |date| {
        let moment = UNIX_EPOCH + Duration::from_secs(date.try_into().unwrap());
        format!("Date: {}\r\n", httpdate::fmt_http_date(moment))
    });
    let length = log.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nETag: \"1-{length}\"\r\n{date}Content-Length: {length}\r\n\r\n"
    );
    (head + &log).into_bytes()
}

async fn polling(station: &Station, node: &FakeNode, schedule: Schedule) -> HttpPolling {
    let mut settings = PollSettings::one_round(parse_addresses(&node.address.to_string()).unwrap());
    settings.schedule = schedule;
    settings.concurrency = NonZeroUsize::MIN;
    if schedule == Schedule::Every {
        settings.interval = Duration::from_millis(250);
    }
    let positions = station.repo().read_positions().await.unwrap();
    HttpPolling::new(settings, &positions, station.clock.clone()).unwrap()
}

/// The next delivery. On a busy machine a round may be too short for an
/// answer; then the next one brings it.
async fn next(source: &mut HttpPolling) -> Delivery {
    let delivery = async {
        loop {
            if let Ok(delivery) = source.next().await {
                return delivery.expect("another round");
            }
        }
    };
    tokio::time::timeout(PATIENCE, delivery).await.expect("an answer within bounded time")
}

/// The node says what it says at this step, and it is stored.
async fn perform(
    script: &Script,
    step: &Step,
    node: &FakeNode,
    station: &mut Station,
    source: &mut HttpPolling,
) {
    node.answer(LOG, answer(script, step));
    station.set_clock(step.arrival);
    let delivery = next(source).await;
    assert_eq!(delivery.arrival, Timestamp::from_unix(step.arrival));
    assert_eq!(delivery.sender_clock, step.date.map(Timestamp::from_unix));
    let receipt = delivery.receipt;
    station.ingest(&[delivery]).await;
    source.confirm(receipt).await.unwrap();
}

async fn in_one_process(name: &str) {
    let script = Script::load(name);
    let (node, mut station) = (FakeNode::start().await, Station::new().await);
    let mut source = polling(&station, &node, Schedule::Every).await;
    for step in &script.deliveries {
        perform(&script, step, &node, &mut station, &mut source).await;
    }
    script.check(&station, script.repeated_beyond_known_beginnings()).await;
}

async fn killed_between_any_two_deliveries(name: &str) {
    let script = Script::load(name);
    let (node, mut station) = (FakeNode::start().await, Station::new().await);
    for step in &script.deliveries {
        station.restart().await;
        let mut source = polling(&station, &node, Schedule::Once).await;
        perform(&script, step, &node, &mut station, &mut source).await;
    }
    script.check(&station, script.repeated_beyond_known_beginnings()).await;
}

/// What was read and not stored when the process was killed is read again.
async fn killed_before_every_store(name: &str) {
    let script = Script::load(name);
    let (node, mut station) = (FakeNode::start().await, Station::new().await);
    for step in &script.deliveries {
        node.answer(LOG, answer(&script, step));
        station.set_clock(step.arrival);
        let unstored = next(&mut polling(&station, &node, Schedule::Once).await).await;
        assert!(!unstored.payload.is_empty());
        station.restart().await;
        let mut source = polling(&station, &node, Schedule::Once).await;
        perform(&script, step, &node, &mut station, &mut source).await;
    }
    script.check(&station, script.repeated_beyond_known_beginnings()).await;
}

/// Nothing is known of how far the log was read: every answer is judged whole.
async fn with_forgotten_positions(name: &str) {
    let script = Script::load(name);
    let (node, mut station) = (FakeNode::start().await, Station::new().await);
    for step in &script.deliveries {
        station.restart().await;
        let settings = PollSettings::one_round(parse_addresses(&node.address.to_string()).unwrap());
        let clock = Arc::clone(&station.clock);
        let mut source = HttpPolling::new(settings, &BTreeMap::new(), clock).unwrap();
        perform(&script, step, &node, &mut station, &mut source).await;
    }
    script.check(&station, script.repeated()).await;
}

macro_rules! scripts {
    ($($name:ident: $script:literal,)*) => {$(
        mod $name {
            #[tokio::test]
            async fn in_one_process() {
                super::in_one_process($script).await;
            }

            #[tokio::test]
            async fn killed_between_any_two_deliveries() {
                super::killed_between_any_two_deliveries($script).await;
            }

            #[tokio::test]
            async fn killed_before_every_store() {
                super::killed_before_every_store($script).await;
            }

            #[tokio::test]
            async fn with_forgotten_positions() {
                super::with_forgotten_positions($script).await;
            }
        }
    )*};
}

scripts! {
    build_date_then_right: "build-date-then-right",
    first_line_unset: "first-line-unset",
    ntp_arrives_mid_log: "ntp-arrives-mid-log",
    two_boots_no_clock: "two-boots-no-clock",
    two_boots_no_clock_date: "two-boots-no-clock-date",
    year_ahead_falls_back: "year-ahead-falls-back",
    year_ahead_falls_back_no_date: "year-ahead-falls-back-no-date",
}
