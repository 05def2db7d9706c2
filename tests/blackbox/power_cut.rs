//! The power goes: only what was synced is left. Whenever that happens, the
//! database opens, is sound, and holds all that was acknowledged until then.

use std::{collections::BTreeSet, fs, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::{
    faults::{Event, Journal, Preload, Remains},
    support::{
        Broker, Database, Isems, Message, Node, Running, Told, eventually, log, of_a_fleet, told_by,
    },
};

/// So many cuts are looked at, at most; more are thinned out evenly.
const CUTS: usize = 250;

/// What is left after a cut, and found by the next start.
struct Found {
    told: BTreeSet<Told>,
    /// The bytes of the node's log that count as read.
    bytes_read: Option<u64>,
}

/// Opens what is left as the next start would; `None` if there is no database
/// yet.
fn open(remains: &Remains) -> Option<Found> {
    let database = Database::new();
    fs::copy(remains.database.as_ref()?, database.path()).unwrap();
    if let Some(log) = &remains.log {
        fs::copy(log, database.folder().join("isems.db-wal")).unwrap();
    }
    let one = |sql: &'static str| query(&database, sql);
    assert_eq!(one("PRAGMA integrity_check"), ["ok"]);
    if one("SELECT name FROM sqlite_schema WHERE name = 'measurement'").is_empty() {
        return None;
    }
    let position = one("SELECT read_position FROM source WHERE read_position IS NOT NULL");
    let bytes_read = position.first().map(|position| {
        let position: serde_json::Value = serde_json::from_str(position).unwrap();
        position["used"]["bytes"].as_u64().unwrap()
    });
    let told = database.told();
    let distinct: BTreeSet<Told> = told.iter().cloned().collect();
    assert_eq!(distinct.len(), told.len(), "nothing is there twice");
    Some(Found { told: distinct, bytes_read })
}

/// The rows of a statement that gives text.
fn query(database: &Database, sql: &'static str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(database.path());
        let mut connection = options.connect().await.unwrap();
        let rows = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    })
}

fn thinned(cuts: Vec<Remains>) -> Vec<Remains> {
    let (all, last) = (cuts.len(), cuts.len() - 1);
    let step = all.div_ceil(CUTS);
    cuts.into_iter()
        .enumerate()
        .filter(|(at, _)| at % step == 0 || *at == last)
        .map(|(_, cut)| cut)
        .collect()
}

/// A collector of a broker's messages, with its journal.
pub(crate) fn collector(broker: &Broker, interval: &str) -> (Isems, Preload) {
    let isems =
        Isems::new().set("MQTT_SERVER", &broker.address()).set("ISEMS_COMMIT_INTERVAL", interval);
    Preload::before(isems, Some(broker))
}

pub(crate) fn subscribed(isems: &Isems, broker: &Broker) -> Running {
    let before = broker.subscriptions();
    let serving = isems.serve();
    broker.wait_for_subscription(before);
    serving
}

pub(crate) fn messages(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(of_a_fleet).collect()
}

pub(crate) fn wait_for_acknowledged(preload: &Preload, count: usize) {
    eventually(&format!("{count} acknowledged messages"), || {
        (preload.journal().acknowledged().len() >= count).then_some(())
    });
}

#[test]
fn whenever_the_power_goes_every_acknowledged_message_is_left() {
    const MESSAGES: usize = 720;
    const AT_ONCE: usize = 6;
    let broker = Broker::start();
    let (isems, preload) = collector(&broker, "10ms");
    let serving = subscribed(&isems, &broker);

    // When nodes publish until the log has been moved into the file, and then
    // it ends in good order
    let mut publisher = broker.publisher();
    for burst in 0..MESSAGES / AT_ONCE {
        publisher.publish(&messages(burst * AT_ONCE..(burst + 1) * AT_ONCE));
        wait_for_acknowledged(&preload, burst * AT_ONCE);
    }
    wait_for_acknowledged(&preload, MESSAGES);
    serving.stop().expect(0);

    let journal = preload.journal();
    let acknowledged = journal.acknowledged();
    assert_eq!(acknowledged.len(), MESSAGES);
    assert!(journal.syncs("db") >= 2, "the log was moved into the file more than once");
    assert_folder_is_synced_before_the_first_acknowledgement(&journal);

    // Then whenever the power had gone
    let cuts = thinned(journal.cuts());
    assert!(cuts.len() > 100, "{} cuts", cuts.len());
    for (number, cut) in cuts.iter().enumerate() {
        let expected = told_by(&acknowledged[..cut.acknowledged]);
        let left = open(cut).map(|found| found.told).unwrap_or_default();
        let lost: Vec<_> = expected.difference(&left).take(3).collect();
        assert!(lost.is_empty(), "cut {number}: {cut:?} lost {lost:?}");
    }
}

/// A file whose folder was never synced may be gone after a power cut.
#[track_caller]
fn assert_folder_is_synced_before_the_first_acknowledgement(journal: &Journal) {
    let place = |is: fn(&Event) -> bool| journal.events().iter().position(is);
    let log = place(|event| matches!(event, Event::Synced { file, .. } if file == "wal")).unwrap();
    let first = place(|event| matches!(event, Event::Acknowledged(_))).unwrap();
    let between = &journal.events()[log..first];
    assert!(between.contains(&Event::FolderSynced), "{:?}", &journal.events()[..first]);
}

#[test]
fn whenever_the_power_goes_the_rows_of_a_read_position_are_left() {
    const LINES: usize = 40;
    let text = String::from_utf8(log("aa-ring")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').take(LINES).collect();
    let node = Node::empty();
    let isems = Isems::new().nodes([&node]).set("ISEMS_COMMIT_INTERVAL", "0s");
    let (isems, preload) = Preload::before(isems, None);

    // When it is polled while its log grows
    for read in (5..=LINES).step_by(5) {
        node.set_log(lines[..read].concat());
        isems.run(&["update-data"]).expect(0);
    }

    // Then whenever the power had gone
    let mut positions = BTreeSet::new();
    for (number, cut) in thinned(preload.journal().cuts()).iter().enumerate() {
        let Some(found) = open(cut) else { continue };
        let bytes = usize::try_from(found.bytes_read.unwrap_or_default()).unwrap();
        let expected: BTreeSet<Told> = text[..bytes].lines().map(Told::by_line).collect();
        let lost: Vec<_> = expected.difference(&found.told).take(3).collect();
        assert!(lost.is_empty(), "cut {number}: {cut:?} counts {bytes} bytes, lost {lost:?}");
        positions.insert(bytes);
    }
    assert!(positions.len() >= LINES / 5, "{positions:?}");
}

#[test]
fn what_arrives_together_is_synced_together() {
    const BURST: usize = 200;
    let broker = Broker::start();
    let (isems, preload) = collector(&broker, "500ms");
    let _serving = subscribed(&isems, &broker);
    let before = preload.journal();

    broker.publish(&messages(0..BURST));
    wait_for_acknowledged(&preload, BURST);

    let after = preload.journal();
    let syncs = after.syncs("wal") - before.syncs("wal");
    eprintln!(
        "cost of {BURST} messages together: {syncs} syncs of the log, {} bytes written",
        after.bytes("wal") - before.bytes("wal")
    );
    // One for each commit and one for the head of a new log. On a busy machine
    // they take longer to arrive.
    assert!(syncs <= 4, "{syncs} syncs");
}

#[test]
fn a_lone_message_waits_no_longer_than_it_may() {
    let broker = Broker::start();
    let (isems, preload) = collector(&broker, "1s");
    let _serving = subscribed(&isems, &broker);
    broker.publish(&messages(0..1));
    let published = std::time::Instant::now();

    wait_for_acknowledged(&preload, 1);

    let waited = published.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    isems.database().assert_holds_once(told_by(&messages(0..1)));
}

#[test]
fn a_full_window_is_stored_at_once() {
    const WINDOW: usize = 512;
    let broker = Broker::start();
    let (isems, preload) = collector(&broker, "60s");
    let _serving = subscribed(&isems, &broker);

    broker.publish(&messages(0..WINDOW + 50));

    // Long before the minute is over.
    wait_for_acknowledged(&preload, WINDOW);
    assert_eq!(isems.database().count(), WINDOW);
}

#[test]
fn a_full_window_of_mqtt_3_1_1_is_stored_at_once() {
    // What mosquitto sends of that version without an acknowledgement.
    const WINDOW: usize = 20;
    let broker = Broker::start();
    let isems = Isems::new()
        .set("MQTT_SERVER", &broker.address())
        .set("MQTT_PROTOCOL", "3.1.1")
        .set("ISEMS_COMMIT_INTERVAL", "60s");
    let _serving = subscribed(&isems, &broker);

    broker.publish(&messages(0..WINDOW + 5));

    // Long before the minute is over.
    eventually("all of the window acknowledged", || {
        (broker.acknowledgements() >= WINDOW).then_some(())
    });
    assert_eq!(isems.database().count(), WINDOW);
}
