//! Disks that fail, files that somebody touches, locks that somebody holds:
//! nothing is acknowledged that is not stored, the API answers what it can,
//! people are told once, and all goes on by itself when the trouble ends.

mod journal;
mod preload;

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

pub(crate) use self::{
    journal::{Event, Journal, Remains},
    preload::{Fault, Preload},
};
use crate::support::{
    Broker, Database, Isems, Message, Node, Running, SentrySink, Told, eventually, get, log,
    of_a_fleet, told_by,
};

const TROUBLE: &str = "cannot store what nodes sent";
const STILL: &str = "still cannot store";
const BACK: &str = "storing works again";

/// Messages of nodes, by their number.
fn messages(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(of_a_fleet).collect()
}

/// A collector at work, with ten messages stored and acknowledged.
struct Bench {
    broker: Broker,
    sentry: SentrySink,
    isems: Isems,
    preload: Preload,
    serving: Running,
}

impl Bench {
    const BEFORE: usize = 10;

    fn start() -> Self {
        Self::start_with(Isems::new())
    }

    fn start_with(isems: Isems) -> Self {
        let broker = Broker::start();
        let sentry = SentrySink::new();
        let isems = isems
            .set("MQTT_SERVER", &broker.address())
            .set("ISEMS_COMMIT_INTERVAL", "20ms")
            .set("ISEMS_LOG", "info,isems=debug")
            .set("SENTRY_DSN", &sentry.dsn());
        let (isems, preload) = Preload::before(isems, Some(&broker));
        let serving = isems.serve();
        broker.wait_for_subscription(0);
        let bench = Self { broker, sentry, isems, preload, serving };
        bench.broker.publish(&messages(0..Self::BEFORE));
        bench.wait_for_acknowledged(Self::BEFORE);
        bench.database().wait_for_rows(Self::BEFORE);
        bench
    }

    fn database(&self) -> &Database {
        self.isems.database()
    }

    fn acknowledged(&self) -> usize {
        self.preload.journal().acknowledged().len()
    }

    fn wait_for_acknowledged(&self, count: usize) {
        eventually(&format!("{count} acknowledged messages"), || {
            (self.acknowledged() >= count).then_some(())
        });
    }

    /// Waits until storing was tried in vain so often.
    fn wait_for_tries(&self, count: usize) {
        self.serving.wait_for_log(TROUBLE);
        eventually(&format!("{count} more tries"), || {
            (self.serving.log().matches(STILL).count() >= count).then_some(())
        });
    }

    fn status_of(&self, path: &str) -> u16 {
        get(&format!("{}{path}", self.serving.api())).status
    }

    /// The voltages of all nodes, as the API shows them.
    fn shown(&self) -> Vec<f64> {
        let latest = get(&format!("{}/measurements/latest?all=true", self.serving.api())).json();
        let list = latest["measurements"].as_array().unwrap();
        list.iter().map(|node| node["batteryVoltage"].as_f64().unwrap()).collect()
    }

    /// Ends it and asserts that its trouble was told once, whoever suffered of
    /// it, and reported as often.
    #[track_caller]
    fn stop_after_one_trouble(self, told: &str) -> Isems {
        let (isems, errors) = self.stop();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(TROUBLE) && errors[0].contains(told), "{}", errors[0]);
        isems
    }

    /// Ends it; gives the errors in its log, each of which was reported.
    #[track_caller]
    fn stop(self) -> (Isems, Vec<String>) {
        let log = self.serving.stop().expect(0).stderr;
        let is_error = |line: &&str| line.contains(" ERROR ");
        let errors: Vec<String> = log.lines().filter(is_error).map(str::to_owned).collect();
        let envelopes = self.sentry.envelopes();
        assert_eq!(envelopes.len(), errors.len(), "{envelopes:#?}");
        (self.isems, errors)
    }
}

/// A disk fails like this while nodes send, until it works again.
#[track_caller]
fn survives(fault: Fault, told: &str) {
    let bench = Bench::start();

    // When it begins to fail, and nodes go on
    bench.preload.begin(fault);
    bench.broker.publish(&messages(10..40));
    bench.wait_for_tries(1);
    bench.broker.publish(&messages(40..60));
    bench.wait_for_tries(2);

    // Then nothing is acknowledged, and what was stored is shown
    assert_eq!(bench.acknowledged(), Bench::BEFORE);
    assert_eq!(bench.status_of("/measurements/latest?all=true"), 200);
    assert_eq!(bench.status_of("/measurements/Dach-0/latest"), 200);
    assert!(!bench.shown().contains(&volts(59)));

    // When it works again, everything is there, once, and shown
    bench.preload.end();
    bench.serving.wait_for_log(BACK);
    bench.wait_for_acknowledged(60);
    assert!(bench.shown().contains(&volts(59)), "the API shows what came last");
    let isems = bench.stop_after_one_trouble(told);
    isems.database().assert_holds_once(told_by(&messages(0..60)));
}

/// What message number `i` tells of the battery.
fn volts(i: u32) -> f64 {
    10.0 + f64::from(i) / 1000.0
}

#[test]
fn a_full_disk_costs_nothing() {
    survives(Fault::FULL, "no room is left");
}

#[test]
fn a_file_system_that_becomes_read_only_costs_nothing() {
    survives(Fault::READ_ONLY, "became read-only");
}

#[test]
fn a_disk_that_does_not_sync_costs_nothing() {
    survives(Fault::NO_SYNC, "the file system refuses");
}

#[test]
fn a_dead_disk_is_survived_and_nothing_stale_is_shown_later() {
    let bench = Bench::start();
    bench.preload.begin(Fault::DEAD);
    bench.broker.publish(&messages(10..40));
    bench.wait_for_tries(2);
    assert_eq!(bench.acknowledged(), Bench::BEFORE);
    // Every connection meets the trouble; it answers with something.
    for _ in 0..8 {
        bench.status_of("/measurements/latest?all=true");
        bench.status_of("/sources");
    }
    assert_eq!(bench.status_of("/"), 200);

    bench.preload.end();
    bench.wait_for_acknowledged(40);
    for round in 0..8 {
        assert!(bench.shown().contains(&volts(39)), "round {round}");
    }
    let (isems, errors) = bench.stop();
    assert_eq!(errors.iter().filter(|error| error.contains(TROUBLE)).count(), 1, "{errors:#?}");
    assert!(errors[0].contains("its disk fails"), "{errors:#?}");
    // And one of the API.
    assert!(errors.len() <= 2, "{errors:#?}");
    isems.database().assert_holds_once(told_by(&messages(0..40)));
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for() {
    let bench = Bench::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = SqliteConnectOptions::new().filename(bench.database().path());
    let mut other = runtime.block_on(options.connect()).unwrap();
    let lock = runtime.block_on(other.begin_with("BEGIN EXCLUSIVE")).unwrap();

    bench.broker.publish(&messages(10..40));
    bench.serving.wait_for_log(TROUBLE);
    assert_eq!(bench.acknowledged(), Bench::BEFORE);
    assert_eq!(bench.status_of("/measurements/latest?all=true"), 200);
    assert_eq!(bench.status_of("/sources"), 200);

    runtime.block_on(lock.rollback()).unwrap();
    runtime.block_on(other.close()).unwrap();
    bench.serving.wait_for_log(BACK);
    bench.wait_for_acknowledged(40);
    let isems = bench.stop_after_one_trouble("held by another process");
    isems.database().assert_holds_once(told_by(&messages(0..40)));
}

#[test]
fn a_database_that_is_moved_away_is_complete_and_a_new_one_goes_on() {
    let bench = Bench::start();
    let (path, aside) = (bench.database().path(), Database::new());
    fs::rename(&path, aside.path()).unwrap();

    bench.broker.publish(&messages(10..40));
    bench.serving.wait_for_log(BACK);
    bench.wait_for_acknowledged(40);
    assert!(bench.shown().contains(&volts(39)), "the API follows");

    let isems = bench.stop_after_one_trouble("was moved or removed while in use");
    aside.assert_holds_once_at_least(0..10);
    // Nothing acknowledged later is only in the old file.
    isems.database().assert_holds_once(told_by(&messages(10..40)));
}

#[test]
fn what_is_committed_into_a_file_that_moves_meanwhile_comes_again_into_the_new_one() {
    let bench = Bench::start();

    // When the database is moved away in the middle of the next commit
    bench.preload.begin(Fault::MOVED_MEANWHILE);
    bench.broker.publish(&messages(10..40));
    bench.serving.wait_for_log(BACK);
    bench.wait_for_acknowledged(40);

    let (moved, aside) = (bench.database().folder().join("isems.db.moved"), Database::new());
    fs::rename(moved, aside.path()).unwrap();
    let isems = bench.stop_after_one_trouble("was moved or removed while in use");
    let told = aside.told();
    let late = told_by(&messages(10..40)).intersection(&told.into_iter().collect()).count();
    assert!(late > 0, "it was moved after the look before the commit");
    // Then nothing of that commit counted: all is in the file that has the name.
    isems.database().assert_holds_once(told_by(&messages(10..40)));
}

#[test]
fn a_backup_that_is_put_in_its_place_is_taken_up() {
    let bench = Bench::start();
    let (path, aside) = (bench.database().path(), Database::new());
    let backup = bench.database().folder().join("backup.db");
    bench.isems.run(&["backup", backup.to_str().unwrap()]).expect(0);
    bench.broker.publish(&messages(10..20));
    bench.wait_for_acknowledged(20);
    fs::rename(&path, aside.path()).unwrap();
    fs::rename(&backup, &path).unwrap();

    bench.broker.publish(&messages(20..40));
    bench.wait_for_acknowledged(40);

    let isems = bench.stop_after_one_trouble("was replaced while in use");
    aside.assert_holds_once_at_least(0..20);
    isems.database().assert_holds_once(told_by(&[messages(0..10), messages(20..40)].concat()));
}

#[test]
fn what_a_backup_lacks_is_asked_of_the_nodes_again_even_if_their_logs_did_not_change() {
    // Given a node whose log grew since the backup, and was read
    let whole = String::from_utf8(log("aa-ring")).unwrap();
    let node = Node::with_log(whole.split_inclusive('\n').take(20).collect::<String>());
    let isems = Isems::new().nodes([&node]).set("ISEMS_POLL_INTERVAL", "1s");
    let serving = isems.serve();
    isems.database().wait_for_rows(20);
    let folder = isems.database().folder();
    let backup = folder.join("backup.db");
    isems.run(&["backup", backup.to_str().unwrap()]).expect(0);
    node.set_log(whole.as_str());
    isems.database().wait_for_rows(42);

    // When the backup is put in its place
    let aside = Database::new();
    fs::rename(isems.database().path(), aside.path()).unwrap();
    fs::rename(&backup, isems.database().path()).unwrap();

    // Then nothing that the node still has is missing
    serving.wait_for_log("was replaced while in use");
    isems.database().wait_for_rows(42);
    serving.stop().expect(0);
    isems.database().assert_holds_once(whole.lines().map(Told::by_line));
}

#[test]
fn a_log_that_is_removed_costs_nothing() {
    let bench = Bench::start();
    fs::remove_file(bench.database().folder().join("isems.db-wal")).unwrap();

    bench.broker.publish(&messages(10..40));
    bench.wait_for_acknowledged(40);

    let isems = bench.stop_after_one_trouble("lost its -wal or -shm file");
    isems.database().assert_holds_once(told_by(&messages(0..40)));
}

#[test]
fn damage_while_it_runs_stops_the_intake_until_a_sound_file_is_there() {
    // Given a database with some years in it, as far as a page cache is
    // concerned, and a backup of it
    let isems = Isems::new();
    let node = Node::with_log(log("elektra-dach"));
    let isems = isems.nodes([&node]);
    isems.run(&["update-data"]).expect(0);
    let isems = isems.unset("ISEMS_ROUTER_IPS");
    let before = isems.database().told();
    let backup = isems.database().folder().join("backup.db");
    isems.run(&["backup", backup.to_str().unwrap()]).expect(0);
    let path = isems.database().path();

    let broker = Broker::start();
    let sentry = SentrySink::new();
    let isems = isems
        .set("MQTT_SERVER", &broker.address())
        .set("ISEMS_COMMIT_INTERVAL", "20ms")
        .set("ISEMS_LOG", "info,isems=debug")
        .set("SENTRY_DSN", &sentry.dsn());
    let (isems, preload) = Preload::before(isems, Some(&broker));
    let serving = isems.serve();
    broker.wait_for_subscription(0);

    // When it is damaged
    damage(&path);
    let damaged = fs::read(&path).unwrap();
    broker.publish(&messages(0..30));
    let told = serving.wait_for_log(TROUBLE);
    assert!(told.contains(".recover"), "{told}");
    eventually("more tries", || (serving.log().matches(STILL).count() >= 2).then_some(()));

    // Then nothing is acknowledged or written, and the API says that it cannot
    assert_eq!(preload.journal().acknowledged(), []);
    assert_eq!(fs::read(&path).unwrap(), damaged);
    assert_eq!(get(&format!("{}/", serving.api())).status, 200);
    for _ in 0..3 {
        for path in READS {
            assert!(get(&format!("{}{path}", serving.api())).status >= 500, "{path}");
        }
    }

    // When a sound file is put in its place
    let aside = Database::new();
    fs::rename(&path, aside.path()).unwrap();
    fs::rename(&backup, &path).unwrap();
    serving.wait_for_log(BACK);
    eventually("all acknowledged", || (preload.journal().acknowledged().len() >= 30).then_some(()));
    assert_eq!(get(&format!("{}/measurements/latest?all=true", serving.api())).status, 200);

    let log = serving.stop().expect(0).stderr;
    let storing: Vec<&str> = log.lines().filter(|line| line.contains(TROUBLE)).collect();
    assert_eq!(storing.len(), 1, "{storing:#?}");
    // One of the intake, one of the API, whatever was asked of it.
    assert_eq!(sentry.envelopes().len(), log.matches(" ERROR ").count());
    assert!(sentry.envelopes().len() <= 2, "{log}");
    assert_eq!(fs::read(aside.path()).unwrap(), damaged, "it is left for salvage");
    isems.database().assert_holds_once(before.into_iter().chain(told_by(&messages(0..30))));
}

/// Every way in which the API reads the database.
const READS: [&str; 11] = [
    "/measurements/latest?all=true",
    "/measurements/Elektra-Dach/latest",
    "/sources",
    "/readyz",
    "/api/v1/nodes",
    "/api/v1/nodes/Elektra-Dach",
    "/api/v1/nodes/Elektra-Dach/history",
    "/api/v1/nodes/Elektra-Dach/export.csv",
    "/api/v1/latest",
    "/api/v1/sources",
    "/api/v1/events",
];

/// Overwrites everything behind the first page, as a failing card does.
fn damage(path: &Path) {
    const PAGE: u64 = 4096;
    let length = fs::metadata(path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let rubbish = vec![0xA5; usize::try_from(length - PAGE).unwrap()];
    file.write_all_at(&rubbish, PAGE).unwrap();
}

#[test]
fn what_is_damaged_at_the_start_is_refused_and_left_for_salvage() {
    let sound = Isems::new();
    let node = Node::with_log(log("elektra-dach"));
    let sound = sound.nodes([&node]);
    sound.run(&["update-data"]).expect(0);
    let sound = fs::read(sound.database().path()).unwrap();
    let mut scrambled = sound.clone();
    scrambled[100..4096].fill(0xA5);

    for (what, bytes) in [
        ("cut short", sound[..sound.len() / 2].to_vec()),
        ("scrambled", scrambled),
        ("zeroed", vec![0; sound.len()]),
    ] {
        let isems = Isems::new();
        let path = isems.database().path();
        fs::write(&path, &bytes).unwrap();
        let begun = Instant::now();

        let told = isems.run(&["serve"]).expect(65).stderr;

        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        assert!(told.contains("nothing in it was changed"), "{what}: {told}");
        assert!(told.contains(".recover"), "{what}: {told}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
        assert_eq!(fs::read_dir(isems.database().folder()).unwrap().count(), 1, "{what}");
    }
}

impl Database {
    /// Asserts that these messages are there, each once, whatever else is.
    #[track_caller]
    fn assert_holds_once_at_least(&self, numbers: std::ops::Range<usize>) {
        let told = self.told();
        for expected in told_by(&messages(numbers)) {
            assert_eq!(told.iter().filter(|told| **told == expected).count(), 1, "{expected:?}");
        }
    }
}
