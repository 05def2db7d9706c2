//! Boots that look like what is stored already, and yet are others.

use super::*;
use crate::Framing;

const T: i64 = 1_748_768_945;

/// The firmware's build date: where a clock stands until it is set.
const BUILD_DATE: i64 = 1_534_377_630;

fn message(lines: &[(i64, f64)], arrival: i64) -> Delivery {
    let payload: String =
        lines.iter().map(|(reported, voltage)| line("A", *reported, *voltage)).collect();
    Delivery { framing: Framing::Whole, ..delivery("broker", payload.as_bytes(), arrival) }
}

/// What the lines measured, in the order of their observed times.
fn voltages(world: &World) -> Vec<f64> {
    world.history("A").iter().filter_map(|row| row.sample.battery_voltage).collect()
}

fn tallies(report: &DeliveryReport) -> (u64, u64, u64) {
    (report.tally.stored, report.tally.duplicate, report.tally.conflict)
}

#[test]
fn a_boot_that_counts_from_where_the_last_one_began_is_another() {
    let mut world = World::new();
    world.take(message(&[(99, 12.0)], T));
    let both = message(&[(99, 12.0), (179, 12.1), (99, 11.0)], T + 600);
    assert_eq!(tallies(&world.take(both.clone())), (2, 1, 0));
    assert_eq!(tallies(&world.take(both)), (0, 3, 0), "when it comes again");
    assert_eq!(voltages(&world), [12.0, 12.1, 11.0]);
}

#[test]
fn a_boot_within_the_seconds_of_the_last_one_is_another() {
    let mut world = World::new();
    world.take(message(&[(99, 12.0), (159, 12.1)], T));
    let next = message(&[(159, 11.0), (220, 11.1)], T + 300);
    assert_eq!(tallies(&world.take(next.clone())), (2, 0, 0));
    assert_eq!(tallies(&world.take(next)), (0, 2, 0), "when it comes again");
}

#[test]
fn lines_of_two_boots_that_came_mixed_are_known_again() {
    let mut world = World::new();
    world.take(message(&[(100, 12.0), (120, 12.1)], T));
    world.take(message(&[(100, 11.0), (110, 11.1), (120, 11.2)], T + 600));
    let mixed = message(&[(100, 12.0), (110, 11.1), (120, 11.2)], T + 700);
    assert_eq!(tallies(&world.take(mixed)), (0, 3, 0));
}

#[test]
fn each_boot_at_the_build_date_is_stored_though_the_clock_is_wrong_ever_after() {
    let mut world = World::new();
    let boot = |voltage: f64, arrival: i64| Delivery {
        sender_clock: Some(Timestamp::from_unix(arrival - 3_600)),
        ..message(&[(BUILD_DATE, voltage), (arrival - 3_610, voltage + 0.1)], arrival)
    };
    assert_eq!(tallies(&world.take(boot(12.0, T))), (2, 0, 0));
    let second = boot(11.0, T + 86_400);
    assert_eq!(tallies(&world.take(second.clone())), (2, 0, 0));
    assert_eq!(tallies(&world.take(second)), (0, 2, 0), "when it comes again");
}

#[test]
fn a_site_whose_nodes_all_stand_at_the_build_date_says_nothing_against_our_clock() {
    let mut world = World::new();
    for node in ["A", "B", "C"] {
        let log = line(node, BUILD_DATE + 60, 12.0);
        let report = world.take(Delivery {
            sender_clock: Some(Timestamp::from_unix(BUILD_DATE + 70)),
            ..delivery(node, log.as_bytes(), T)
        });
        assert_eq!(report.tally.stored, 1);
    }
    for node in ["A", "B", "C"] {
        let row = &world.history(node)[0];
        assert_eq!((row.observed, row.basis), (Timestamp::from_unix(T - 10), Basis::Corrected));
    }
}

#[test]
fn a_first_line_that_is_read_alone_after_the_clock_was_set_is_stored_once_at_its_time() {
    // Given a router with a right clock that boots
    let mut world = World::new();
    let log = |lines: &[(i64, f64)], arrival: i64| Delivery {
        sender_clock: Some(Timestamp::from_unix(arrival)),
        framing: Framing::Log,
        ..message(lines, arrival)
    };
    world.take(log(&[(T - 61, 12.0), (T, 12.1)], T + 5));
    // When its first line is read before the second, and then both
    let first = (BUILD_DATE, 11.0);
    world.take(log(&[first], T + 600));
    let report = world.take(log(&[first, (T + 640, 11.1)], T + 660));
    // Then it is known, and stored at about the time when it was read
    assert_eq!(tallies(&report), (1, 1, 0));
    assert_eq!(voltages(&world), [12.0, 12.1, 11.0, 11.1]);
    assert_eq!(world.history("A")[2].observed, Timestamp::from_unix(T + 600));
}

#[test]
fn of_a_backlog_of_boots_without_a_clock_no_line_takes_the_place_of_another() {
    // Given a node without a clock that boots alike three times, while we are away
    let mut world = World::new();
    let of_boot = |boot: i32| {
        let number = move |at: i64| (at * 15, 12.0 + f64::from(boot) / 10.0 + at as f64 / 1e4);
        (0..20).map(move |batch| {
            let lines: Vec<(i64, f64)> = (1..=4).map(|at| number(batch * 4 + at)).collect();
            message(&lines, T)
        })
    };
    let backlog: Vec<Delivery> = (0..3).flat_map(of_boot).collect();
    // When all its messages come at once
    let reports = world.ingest(&backlog);
    // Then all are stored, each in its order
    assert!(reports.iter().all(|report| tallies(report) == (4, 0, 0)));
    for delivery in &backlog {
        assert_eq!(tallies(&world.take(delivery.clone())), (0, 4, 0), "when it comes again");
    }
}

#[test]
fn a_line_that_was_believed_where_it_was_read_alone_is_known_when_the_next_tells_better() {
    // Given a node that is heard for the first time, by a line of its build date
    let mut world = World::new();
    let first = (BUILD_DATE, 12.0);
    world.take(message(&[first], T));
    // When the line comes again with one of after its clock was set
    let both = message(&[first, (T + 61, 12.1)], T + 65);
    // Then it is known
    assert_eq!(tallies(&world.take(both.clone())), (1, 1, 0));
    assert_eq!(tallies(&world.take(both)), (0, 2, 0), "when it comes again");
}

#[test]
fn a_line_counted_from_a_late_arrival_is_known_when_the_next_tells_when_it_was() {
    // Given a node that booted three days ago, whose first line waited alone
    let mut world = World::new();
    let first = (5, 12.0);
    world.take(message(&[first], T));
    let measured = T - 3 * 86_400;
    // When the line comes again with those of after its clock was set
    let more = message(&[first, (measured, 12.1), (measured + 15, 12.2)], T);
    // Then it is known
    assert_eq!(tallies(&world.take(more)), (2, 1, 0));
}
