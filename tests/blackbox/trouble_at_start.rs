//! Trouble that is there already when the collector starts: it stays, answers
//! what it can, says so once, and begins when the trouble ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    faults::{Fault, Preload},
    support::{
        Broker, Isems, Lock, Message, Node, Running, SentrySink, eventually, get, of_a_fleet,
        told_by,
    },
};

const TROUBLE: &str = "cannot open the database";
const STILL: &str = "still cannot open the database";
const BACK: &str = "the database is open now";

/// What OPERATIONS.md says, and what a loaded machine needs beside it.
const SOON_ANSWERED: Duration = Duration::from_secs(3 + 4);

fn messages(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(of_a_fleet).collect()
}

/// A collector that stored ten messages and was stopped, a broker that holds
/// thirty more for it, and a way to break its disk.
struct Bench {
    broker: Broker,
    sentry: SentrySink,
    isems: Isems,
    preload: Preload,
}

impl Bench {
    const BEFORE: usize = 10;
    const ALL: usize = 40;

    fn new() -> Self {
        let broker = Broker::start();
        let sentry = SentrySink::new();
        let isems = Isems::new()
            .set("MQTT_SERVER", &broker.address())
            .set("ISEMS_COMMIT_INTERVAL", "20ms")
            .set("ISEMS_LOG", "info,isems=debug")
            .set("SENTRY_DSN", &sentry.dsn());
        let (isems, preload) = Preload::before(isems, Some(&broker));
        let bench = Self { broker, sentry, isems, preload };
        let serving = bench.isems.serve();
        bench.broker.wait_for_subscription(0);
        bench.broker.publish(&messages(0..Self::BEFORE));
        bench.wait_for_acknowledged(Self::BEFORE);
        serving.stop().expect(0);
        bench.broker.publish(&messages(Self::BEFORE..Self::ALL));
        bench
    }

    fn acknowledged(&self) -> usize {
        self.preload.journal().acknowledged().len()
    }

    fn wait_for_acknowledged(&self, count: usize) {
        eventually(&format!("{count} acknowledged messages"), || {
            (self.acknowledged() >= count).then_some(())
        });
    }

    /// Starts it in spite of the trouble, which `end` ends after so many tries;
    /// asserts that it waits, and then that nothing is missing.
    #[track_caller]
    fn waits_out(self, told: &str, tries: usize, end: impl FnOnce(&Self)) {
        // When it is started in spite of the trouble
        let serving = self.isems.serve_in_trouble();
        let line = serving.wait_for_log(TROUBLE);
        assert!(line.contains(" ERROR ") && line.contains(told), "{line}");
        eventually("more tries", || (serving.log().matches(STILL).count() >= tries).then_some(()));

        // Then it answers what it can, and acknowledges nothing
        assert_eq!(status_of(&serving, "/healthz"), 200);
        assert_eq!(status_of(&serving, "/"), 200);
        let latest = get(&format!("{}/measurements/latest?all=true", serving.api()));
        assert_eq!(latest.status, 200, "{}", latest.text());
        assert!(!latest.json()["measurements"].as_array().unwrap().is_empty());
        assert_eq!(self.acknowledged(), Self::BEFORE);

        // When it ends, everything is stored, and it was told once
        end(&self);
        serving.wait_for_log(BACK);
        self.wait_for_acknowledged(Self::ALL);
        assert_eq!(status_of(&serving, "/readyz"), 200);
        let log = serving.stop().expect(0).stderr;
        assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
        assert_eq!(self.sentry.envelopes().len(), 1, "{:#?}", self.sentry.envelopes());
        self.isems.database().assert_holds_once(told_by(&messages(0..Self::ALL)));
    }
}

fn status_of(serving: &Running, path: &str) -> u16 {
    get(&format!("{}{path}", serving.api())).status
}

#[test]
fn a_disk_that_is_full_is_waited_for() {
    let bench = Bench::new();
    bench.preload.begin(Fault::FULL);
    bench.waits_out("a full", 2, |bench| bench.preload.end());
}

#[test]
fn a_file_system_that_is_read_only_is_waited_for() {
    let bench = Bench::new();
    bench.preload.begin(Fault::READ_ONLY);
    bench.waits_out("read-only", 2, |bench| bench.preload.end());
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for() {
    let bench = Bench::new();
    let lock = Lock::on(bench.isems.database());
    bench.waits_out("held by another process", 0, |_| drop(lock));
}

#[test]
fn a_file_system_that_does_not_answer_is_waited_for() {
    let bench = Bench::new();
    bench.preload.begin(Fault::OPENING_HANGS);
    let begun = Instant::now();
    let serving = bench.isems.serve_in_trouble();

    // Then the API answers as soon as with other trouble, and it is told once
    assert!(begun.elapsed() < SOON_ANSWERED, "{:?}", begun.elapsed());
    assert_eq!(status_of(&serving, "/healthz"), 200);
    assert_eq!(status_of(&serving, "/"), 200);
    assert_eq!(status_of(&serving, "/readyz"), 503);
    assert_eq!(status_of(&serving, "/measurements/latest"), 503);
    let told = serving.wait_for_log("is not open yet, nothing is collected");
    assert!(told.contains(" WARN ") && told.contains("file system does not answer"), "{told}");

    // When it answers, everything is stored
    bench.preload.end();
    serving.wait_for_log(BACK);
    bench.wait_for_acknowledged(Bench::ALL);
    assert_eq!(status_of(&serving, "/readyz"), 200);
    serving.stop().expect(0);
    bench.isems.database().assert_holds_once(told_by(&messages(0..Bench::ALL)));
}

#[test]
fn sigterm_ends_the_waiting_for_a_file_system_that_does_not_answer() {
    let bench = Bench::new();
    bench.preload.begin(Fault::OPENING_HANGS);

    // Also before the API listens.
    let early = bench.isems.start(&["serve"]);
    early.wait_for_log("lies in a temporary folder");
    early.stop().expect(0);

    let serving = bench.isems.serve_in_trouble();
    let asked = Instant::now();
    let told = serving.stop().expect(0).stderr;
    assert!(asked.elapsed() < Duration::from_secs(4), "{told}");
    assert!(told.contains("the API has stopped"), "{told}");

    let node = Node::empty();
    let isems = bench.isems.nodes([&node]);
    for command in ["update-data", "check-config"] {
        let running = isems.start(&[command]);
        running.wait_for_log("lies in a temporary folder");
        let told = running.stop().expect(1).stderr;
        assert!(told.contains("interrupted"), "{command}: {told}");
    }
}

#[test]
fn until_a_first_database_can_be_made_what_needs_it_is_refused_and_nothing_else() {
    // Given no database, and no folder for one
    let sentry = SentrySink::new();
    let isems = Isems::new().set("SENTRY_DSN", &sentry.dsn());
    let folder = isems.database().folder().join("not mounted yet");
    let isems = isems.set("DATABASE_URL", &format!("sqlite:///{}/isems.db", folder.display()));
    let serving = isems.serve_in_trouble();
    serving.wait_for_log(TROUBLE);

    for (path, status) in [
        ("/healthz", 200),
        ("/", 200),
        ("/readyz", 503),
        ("/measurements/latest", 503),
        ("/sources", 503),
        ("/api/v1/nodes", 503),
        ("/api/v1/events", 503),
        ("/nowhere", 404),
    ] {
        assert_eq!(status_of(&serving, path), status, "{path}");
    }

    // When there is one
    fs::create_dir(&folder).unwrap();

    // Then it begins by itself, and nothing else was said of it
    serving.wait_for_log(BACK);
    assert_eq!(status_of(&serving, "/readyz"), 200);
    let log = serving.stop().expect(0).stderr;
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
    assert_eq!(sentry.envelopes().len(), 1);
}

#[test]
fn sigterm_ends_the_waiting_at_once_as_asked() {
    let bench = Bench::new();
    bench.preload.begin(Fault::FULL);
    let serving = bench.isems.serve_in_trouble();
    serving.wait_for_log(TROUBLE);

    let asked = Instant::now();
    let told = serving.stop().expect(0).stderr;

    assert!(asked.elapsed() < Duration::from_secs(4), "{told}");
    assert!(told.contains("the API has stopped"), "{told}");
    assert_eq!(bench.acknowledged(), Bench::BEFORE);
}

#[test]
fn what_turns_out_to_be_damaged_while_it_waits_is_refused_for_good() {
    let bench = Bench::new();
    bench.preload.begin(Fault::FULL);
    let mut serving = bench.isems.serve_in_trouble();
    serving.wait_for_log(TROUBLE);

    let path = bench.isems.database().path();
    fs::write(path.with_extension("new"), "no database").unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();

    let status = serving.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(65), "{}", serving.log());
    assert_eq!(fs::read(&path).unwrap(), b"no database");
}

#[test]
fn what_is_refused_is_not_started_again() {
    const UNIT: &str = include_str!("../../isems-bin/packaging/isems.service");
    assert!(UNIT.lines().any(|line| line == "RestartPreventExitStatus=64 65"));
    let isems = Isems::new();
    fs::write(isems.database().path(), "no database").unwrap();
    isems.run(&["serve"]).expect(65);
    isems.set("MQTT_SERVER", "127.0.0.1:1").run(&["subscribe"]).expect(65);
}

#[test]
fn an_empty_file_where_measurements_should_be_is_warned_of() {
    const EMPTY: &str = "isems.db was there but empty";
    let isems = Isems::new();
    // As a salvage that failed leaves it.
    fs::write(isems.database().path(), "").unwrap();
    let first = isems.serve().stop().expect(0).stderr;
    assert!(first.contains(EMPTY) && first.contains(" WARN "), "{first}");

    let later = isems.serve().stop().expect(0).stderr;
    assert!(!later.contains(EMPTY), "{later}");
    let fresh = Isems::new().serve().stop().expect(0).stderr;
    assert!(!fresh.contains(EMPTY), "{fresh}");
}

#[test]
fn an_empty_file_is_warned_of_once_however_often_it_is_tried() {
    const EMPTY: &str = "was there but empty";
    let isems = Isems::new().set("ISEMS_LOG", "info,isems=debug");
    fs::write(isems.database().path(), "").unwrap();
    let (isems, preload) = Preload::before(isems, None);
    preload.begin(Fault::FULL);
    let serving = isems.serve_in_trouble();
    eventually("more tries", || (serving.log().matches(STILL).count() >= 2).then_some(()));
    preload.end();
    serving.wait_for_log(BACK);

    let log = serving.stop().expect(0).stderr;

    assert_eq!(log.matches(EMPTY).count(), 1, "{log}");
}
