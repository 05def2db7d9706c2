//! Pruning by age while the machine's clock is right, and while it is not: what
//! is removed is gone for ever.

use std::{
    path::Path,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use isems_adapters::SystemClock;
use isems_core::Clock as _;
use tempfile::TempDir;

use crate::support::{Isems, Node, Running};

const DAY: i64 = 24 * 60 * 60;

/// The library that sets the clock of one process.
fn clock_ahead() -> &'static str {
    static BUILT: OnceLock<(TempDir, String)> = OnceLock::new();
    let (_, library) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("clock_ahead.so");
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/blackbox/pruning/clock_ahead.c");
        let built = Command::new("cc")
            .args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output()
            .unwrap_or_else(|error| panic!("this test needs cc ({error}): apt-get install gcc"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let library = library.to_str().unwrap().to_owned();
        (folder, library)
    });
    library
}

/// With a clock that is so many days ahead.
pub(crate) fn days_ahead(isems: Isems, days: i64) -> Isems {
    isems.set("LD_PRELOAD", clock_ahead()).set("CLOCK_AHEAD", &(days * DAY).to_string())
}

/// A log of one line a day, from so many days ago until now.
fn daily_since(days_ago: i64) -> String {
    let now = SystemClock.now().as_unix() - 60;
    let line = |days: i64| {
        let time = now - days * DAY;
        format!("Alt;1;{time};fw;60;0;21;17;12.5;80;100;20;11.9;14.2;7;20;52.5;13.4;800\n")
    };
    (0..=days_ago).rev().map(line).collect()
}

/// A collector that keeps 30 days, and has read a node's log.
fn filled(days: i64) -> (Isems, Node) {
    let node = Node::with_log(daily_since(days));
    let isems = Isems::new().nodes([&node]).set("ISEMS_KEEP_DAYS", "30");
    isems.run(&["update-data"]).expect(0);
    assert_eq!(isems.database().count(), daily_since(days).lines().count());
    (isems, node)
}

/// Waits for what `serve` says of its first pruning, half a minute after its
/// start.
fn first_pruning(serving: &Running) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let log = serving.log();
        if let Some(line) = log.lines().find(|line| line.contains("pruning: removed")) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "nothing was pruned:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn serve_prunes_by_age_and_number_and_says_why() {
    let (isems, _node) = filled(40);
    let serving = isems.set("ISEMS_KEEP_PER_NODE", "40").serve();
    let told = first_pruning(&serving);
    let expected =
        "removed 11 measurements of 1 node (1 beyond the newest 40, 10 older than 30 days)";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_clock_that_runs_a_year_ahead_does_not_prune_what_is_young() {
    // Given what only a clock that is a year ahead takes for old
    let (isems, node) = filled(20);
    let ahead = days_ahead(isems, 366);

    // When it prunes, also while its own arrivals are those of a year ahead
    let serving = ahead.serve();
    let told = first_pruning(&serving);

    // Then nothing goes, and the log says why
    assert!(told.contains("removed 0 measurements"), "{told}");
    assert_eq!(ahead.database().count(), 21);
    assert!(serving.log().contains("the clock of this machine"), "{}", serving.log());
    drop(node);
}

#[test]
fn the_command_does_not_believe_a_clock_that_runs_a_year_ahead_either() {
    let (isems, _node) = filled(20);
    let told = days_ahead(isems, 366).run(&["prune"]).expect(0);
    assert_eq!(told.last_line(), "Removed 0 measurements of 0 nodes");
    let warned = "366 days after the last one that is known to have passed";
    assert!(told.stderr.contains(warned), "{}", told.stderr);
}

#[test]
fn what_came_in_while_the_clock_ran_a_year_ahead_does_not_confirm_it() {
    // Given a collector whose clock is wrong, and which has read one node by it
    // and missed another
    let (isems, node) = filled(20);
    let gone = "127.0.0.1:9";
    let ahead = days_ahead(isems, 366)
        .set("ISEMS_ROUTER_IPS", &format!("{},{gone}", node.address()))
        .set("ISEMS_POLL_TIMEOUT", "2s");
    let told = ahead.run(&["update-data"]);
    assert!(told.stdout.contains("cannot connect"), "{told:#?}");

    // When another process prunes
    let told = ahead.run(&["prune"]).expect(0);

    // Then that goes by no more than before
    assert_eq!(told.last_line(), "Removed 0 measurements of 0 nodes");
    assert!(told.stderr.contains("no node confirms the clock"), "{}", told.stderr);
    assert_eq!(ahead.database().count(), 21);
}

#[test]
fn what_serve_received_by_a_wrong_clock_is_not_believed_after_its_restart() {
    let (isems, _node) = filled(20);
    let ahead = days_ahead(isems, 366);
    let serving = ahead.serve();
    serving.wait_for_log("polling round");
    serving.stop().expect(0);

    let told = first_pruning(&ahead.serve());

    assert!(told.contains("removed 0 measurements"), "{told}");
    assert_eq!(ahead.database().count(), 21);
}

#[test]
fn a_clock_that_a_node_once_confirmed_is_gone_by_until_two_days_later() {
    // Given a node that confirmed our clock, and is not heard of any more
    let (isems, node) = filled(40);
    drop(node);

    // When it is the day after
    let told = days_ahead(isems, 1).run(&["prune"]).expect(0);

    // Then what is old goes
    assert_eq!(told.last_line(), "Removed 12 measurements of 1 node");
    assert!(!told.stderr.contains("the clock"), "{}", told.stderr);
}

#[test]
fn a_clock_that_was_set_back_prunes_nothing_by_age() {
    let (isems, _node) = filled(40);
    let told = days_ahead(isems, -5).run(&["prune"]).expect(0);
    assert_eq!(told.last_line(), "Removed 0 measurements of 0 nodes");
    assert!(told.stderr.contains("is doubted"), "{}", told.stderr);
}
