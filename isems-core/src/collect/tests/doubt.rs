//! While our own clock is doubted, and after.

use super::*;
use crate::{Framing, MeasurementReader as _, PruneMode, RetentionPolicy};

const T: i64 = 1_748_768_945;
const DAY: i64 = 86_400;
const YEAR: i64 = 366 * DAY;

/// Before the program was built.
const UNSET: i64 = 946_684_800;

impl World {
    /// The newest observed time of a node.
    fn newest(&self, node: &str) -> i64 {
        self.history(node).last().unwrap().observed.as_unix()
    }

    fn keep_one(&self, now: i64) {
        let policy = RetentionPolicy { keep_per_node: Some(1), keep_days: None };
        let now = Timestamp::from_unix(now);
        block_on(self.repo.prune(&policy, now, PruneMode::Apply)).unwrap();
    }
}

/// A message of a node at a broker, whose clock counts from its boot.
fn message(node: &str, uptime: i64, arrival: i64) -> Delivery {
    Delivery {
        framing: Framing::Whole,
        kind: SourceKind::Mqtt,
        ..delivery("broker", line(node, uptime, uptime as f64 / 100.0).as_bytes(), arrival)
    }
}

/// A log of these nodes with `Date`, which is `ahead` of our clock.
fn dated(source: &str, nodes: &[&str], ahead: i64, arrival: i64) -> Delivery {
    let log: String = nodes.iter().map(|node| line(node, arrival + ahead - 9, 12.0)).collect();
    Delivery {
        sender_clock: Some(Timestamp::from_unix(arrival + ahead)),
        ..delivery(source, log.as_bytes(), arrival)
    }
}

#[test]
fn a_node_is_not_hidden_by_what_was_guessed_before_our_clock_was_set() {
    let mut world = World::new();
    world.take(message("A", 190, UNSET));
    world.restart();
    world.take(message("A", 310, T));
    assert_eq!(world.newest("A"), T);
    assert_eq!(world.history("A").len(), 2);
}

#[test]
fn while_our_clock_is_not_set_time_goes_on_from_what_surely_passed() {
    for (known, from) in [(None, BUILT.as_unix()), (Some(T), T)] {
        let mut world = World::new();
        if let Some(known) = known {
            world.take(dated("s", &["known"], 0, known));
            world.restart();
        }
        world.take(message("A", 190, UNSET));
        world.take(message("B", 99, UNSET + 600));
        assert_eq!((world.newest("A"), world.newest("B")), (from, from + 600));
    }
}

#[test]
fn whatever_was_pruned_what_is_new_is_stored() {
    // Given a node that was stored and pruned while our clock was a year ahead
    let mut world = World::new();
    for uptime in [99, 160, 221] {
        world.take(message("A", uptime, T + YEAR + uptime));
    }
    world.keep_one(T + YEAR + 300);
    // When our clock is set right, or not set at all
    for (now, uptime) in [(T, 35), (UNSET, 500_000)] {
        world.restart();
        let before = world.history("A").len();
        world.take(message("A", uptime, now));
        // Then what it sends after its next boot is stored
        assert_eq!(world.history("A").len(), before + 1, "at {now}");
    }
}

#[test]
fn a_log_of_several_nodes_is_one_clock() {
    let mut world = World::new();
    let reports = world.ingest(&[
        dated("right", &["A"], 0, T),
        dated("wrong", &["X", "Y", "Z"], YEAR, T),
        message("E", 129, T),
    ]);
    assert!(reports.iter().all(|report| report.notes.iter().all(is_no_doubt)), "{reports:?}");
    assert_eq!(world.newest("E"), T);
}

fn is_no_doubt(note: &Note) -> bool {
    !matches!(note, Note::OwnClockDoubted(_))
}

#[test]
fn what_was_heard_before_our_clock_was_set_says_nothing_against_it_after() {
    let slow = 1_800;
    for tell in [true, false] {
        // Given a clock that is half an hour slow, as two nodes say
        let mut world = World::new();
        let both = [dated("a", &["A"], slow, T), dated("b", &["B"], slow, T)];
        world.ingest(&both);
        // When it is set, and something comes that had been on its way
        if tell {
            world.collector.clock_was_set(Timestamp::from_unix(T + slow + 1));
        }
        let now = Timestamp::from_unix(T + slow + 2);
        let late = message("E", 129, T + slow + 2);
        let [one, two] = both;
        let reports = block_on(world.collector.ingest(&[one, two, late], now)).unwrap();
        // Then it is believed
        assert_eq!(reports[2].notes.iter().all(is_no_doubt), tell);
    }
}

#[test]
fn a_node_is_not_kept_in_the_future_by_a_clock_that_most_nodes_contradict() {
    // Given a clock that is a year ahead, and a node that was alone with it
    let mut world = World::new();
    let now = T + YEAR;
    world.take(dated("a", &["A"], -YEAR, now));
    assert!(world.newest("A") > T + DAY);
    // When others are heard as well
    world.ingest(&[dated("b", &["B"], -YEAR, now + 10), dated("c", &["C"], -YEAR, now + 10)]);
    world.take(Delivery {
        sender_clock: Some(Timestamp::from_unix(T + 61)),
        ..delivery("a", line("A", T + 52, 12.5).as_bytes(), now + 61)
    });
    // Then its next line is believed as reported
    let node = NodeId::new("A").unwrap();
    let rows = block_on(world.repo.history(&node, HistoryRange::ALL, 9)).unwrap();
    let observed: Vec<i64> = rows.iter().map(|row| row.measurement.observed.as_unix()).collect();
    assert_eq!(observed.iter().min(), Some(&(T + 52)), "{observed:?}");
}

#[test]
fn a_node_that_is_polled_and_publishes_has_one_clock() {
    // Given a node whose clock is a year ahead, heard both ways
    let mut world = World::new();
    let published = Delivery {
        framing: Framing::Whole,
        kind: SourceKind::Mqtt,
        ..delivery("broker", line("A", T + YEAR - 9, 12.0).as_bytes(), T)
    };
    let reports = world.ingest(&[dated("a", &["A"], YEAR, T), published]);
    // Then it does not outvote us
    assert!(reports.iter().all(|report| report.notes.iter().all(is_no_doubt)), "{reports:?}");
    assert_eq!(world.newest("A"), T - 9);
}
