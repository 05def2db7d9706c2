//! A limit on the size of files: `ulimit -f`, `LimitFSIZE=`.

use std::fs;

use crate::support::{Broker, Isems, Message, Running, eventually, get, of_a_fleet, told_by};

const TROUBLE: &str = "cannot store what nodes sent";

/// Room for a new database, and for some commits.
const LIMIT: u32 = 300 * 1024;

/// More than there is room for.
const MESSAGES: usize = 2_000;

fn messages(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(of_a_fleet).collect()
}

fn collector(broker: &Broker) -> Isems {
    let isems = Isems::new().set("MQTT_SERVER", &broker.address());
    isems.set("ISEMS_COMMIT_INTERVAL", "20ms").set("ISEMS_LOG", "info,isems=debug")
}

/// Asserts that it lives, answers and said what is wrong, once.
#[track_caller]
fn assert_in_trouble(serving: &Running) {
    assert_eq!(get(&format!("{}/measurements/latest?all=true", serving.api())).status, 200);
    let told = serving.log();
    let errors: Vec<&str> = told.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].contains("`ulimit -f` or LimitFSIZE="), "{}", errors[0]);
}

#[test]
fn files_that_may_not_grow_are_trouble_as_a_full_disk_is_and_nothing_is_lost() {
    let broker = Broker::start();
    let isems = collector(&broker).file_size(LIMIT);
    let serving = isems.serve();
    broker.wait_for_subscription(0);

    // When more comes than its files may hold
    broker.publish(&messages(0..MESSAGES));
    serving.wait_for_log(TROUBLE);
    let still = || serving.log().matches("still cannot store").count();
    eventually("more tries", || (still() >= 2).then_some(()));
    assert_in_trouble(&serving);
    assert!((1..MESSAGES).contains(&isems.database().count()));
    serving.stop().expect(0);

    // Then all of it is there once it may grow
    let isems = Isems::with_database(isems.database()).set("MQTT_SERVER", &broker.address());
    let serving = isems.serve();
    isems.database().wait_for_rows(told_by(&messages(0..MESSAGES)).len());
    serving.stop().expect(0);
    isems.database().assert_holds_once(told_by(&messages(0..MESSAGES)));
}

#[test]
fn a_limit_that_leaves_no_room_for_a_database_is_told_once_and_waited_for() {
    let isems = Isems::new().file_size(16 * 1024).set("ISEMS_LOG", "info,isems=debug");
    let serving = isems.serve_in_trouble();
    assert_eq!(get(&format!("{}/healthz", serving.api())).status, 200);
    let still = || serving.log().matches("still cannot open").count();
    eventually("more tries", || (still() >= 3).then_some(()));

    let told = serving.stop().expect(0).stderr;
    let is_trouble = |line: &&str| {
        line.contains(" ERROR ") || line.contains(" WARN ") && line.contains("isems.db")
    };
    let troubles: Vec<&str> = told
        .lines()
        .filter(is_trouble)
        .filter(|line| !line.contains("lies in a temporary folder"))
        .collect();
    assert_eq!(troubles.len(), 1, "{troubles:#?}");
    assert!(troubles[0].contains("`ulimit -f` or LimitFSIZE="), "{}", troubles[0]);
}

#[test]
fn a_backup_that_may_not_be_so_large_fails_and_says_why() {
    let isems = Isems::new();
    let serving = isems.serve();
    serving.stop().expect(0);
    // The database can be opened, but is larger than a copy may be.
    let limited = Isems::with_database(isems.database()).file_size(48 * 1024);
    let told = limited.run(&["backup", "backup.db"]).expect(1).stderr;
    assert!(told.contains("backup.db") && told.contains("ulimit -f"), "{told}");
    assert!(!fs::exists(isems.database().folder().join("backup.db")).unwrap());
}
