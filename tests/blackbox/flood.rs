//! Large messages while nothing can be stored.

use std::{
    thread,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::{
    serve::{collector, subscribed},
    support::{Broker, Message, Running, told_by},
};

const MESSAGES: usize = 400;

/// All that the collector may take meanwhile, in MiB: much less than the
/// messages, which are 95.
const MOST_MEMORY: u64 = 90;

/// A message of 250 kB, most of which is a text.
fn large(i: usize) -> Message {
    let (time, firmware) = (1_760_000_000 + 15 * i, "x".repeat(250_000));
    let line =
        format!("Flut;1;{time};{firmware};60;0;21;17;12.5;80;100;20;11.9;14.2;7;20;52.5;13.4;800");
    ("/isems/Flut/csvlog".to_owned(), line)
}

/// The most memory that it takes once it takes no more.
fn memory_at_rest(serving: &Running) -> u64 {
    let mut last = (serving.peak_memory(), Instant::now());
    while last.1.elapsed() < Duration::from_secs(3) {
        thread::sleep(Duration::from_millis(100));
        let memory = serving.peak_memory();
        if memory != last.0 {
            last = (memory, Instant::now());
        }
    }
    last.0
}

#[test]
fn large_messages_wait_at_the_broker_and_not_in_memory() {
    // Given a database that is held by another process
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let serving = subscribed(&isems, &broker);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = SqliteConnectOptions::new().filename(isems.database().path());
    let mut other = runtime.block_on(options.connect()).unwrap();
    let lock = runtime.block_on(other.begin_with("BEGIN EXCLUSIVE")).unwrap();

    // When large messages come in
    let messages: Vec<Message> = (0..MESSAGES).map(large).collect();
    broker.publish(&messages);
    serving.wait_for_log("cannot store what nodes sent");
    let memory = memory_at_rest(&serving);

    // Then they are not held in memory, and none is lost
    assert!(memory < MOST_MEMORY, "{memory} MiB");
    runtime.block_on(lock.rollback()).unwrap();
    runtime.block_on(other.close()).unwrap();
    isems.database().wait_for_rows(MESSAGES);
    isems.database().assert_holds_once(told_by(&messages));
}
