//! Telemetry messages: which are new, and which came before.

use super::*;
use crate::{Format, Framing, SourceKind};

const T: i64 = 1_748_790_070;

fn message(payload: &str, arrival: i64) -> Delivery {
    Delivery {
        kind: SourceKind::Mqtt,
        format: Format::TelemetryJson,
        framing: Framing::Whole,
        node: Some("A".into()),
        ..delivery("broker", payload.as_bytes(), arrival)
    }
}

fn payload(battery_voltage: f64) -> String {
    format!(
        r#"{{"batteryVoltage":{battery_voltage},"status":"880","timeToShutdown":9940,"batteryChargeEstimate":23,"isPowerSaveMode":0}}"#
    )
}

#[test]
fn a_message_is_dated_by_its_arrival() {
    let mut world = World::new();
    world.take(message(&payload(12.5), T));
    let row = &world.history("A")[0];
    assert_eq!((row.observed, row.basis), (Timestamp::from_unix(T), Basis::Estimated));
    assert!(matches!(row.reported, Reported::Fingerprint(_)));
}

#[test]
fn a_message_is_known_if_it_is_redelivered_or_repeats_the_previous_one_at_once() {
    let again =
        |payload: &str, after, redelivered| Delivery { redelivered, ..message(payload, T + after) };
    let (first, other) = (payload(12.5), payload(12.6));
    for (why, second, stored) in [
        ("another message", again(&other, 1, false), 1),
        ("the same at once", again(&first, 30, false), 0),
        ("the same values later", again(&first, 31, false), 1),
        ("redelivered much later", again(&first, 100_000, true), 0),
        ("marked as redelivered, but never stored", again(&other, 1, true), 1),
    ] {
        let mut world = World::new();
        world.take(message(&first, T));
        world.restart();
        assert_eq!(world.take(second).tally.stored, stored, "{why}");
    }
}

#[test]
fn of_many_messages_within_a_second_the_previous_one_is_the_one_that_came_last() {
    let (one, other) = (payload(12.5), payload(12.6));
    for backlog in [[&one, &other], [&other, &one]] {
        let mut world = World::new();
        world.ingest(&backlog.map(|payload| message(payload, T)));
        world.restart();
        assert_eq!(world.take(message(backlog[1], T + 1)).tally.duplicate, 1);
    }
}

#[test]
fn a_message_that_repeats_the_previous_one_is_known_also_after_our_clock_was_set_back() {
    let mut world = World::new();
    let hour = 3_600;
    world.take(message(&payload(12.5), T + hour));
    world.take(message(&payload(12.6), T));
    world.restart();
    assert_eq!(world.take(message(&payload(12.6), T + 2)).tally.duplicate, 1);
}

#[test]
fn a_whole_window_of_messages_that_comes_again_is_known() {
    let mut world = World::new();
    let window = |redelivered, arrival| -> Vec<Delivery> {
        let payloads = (0..512).map(|n| payload(12.0 + f64::from(n) / 1_000.0));
        payloads.map(|payload| Delivery { redelivered, ..message(&payload, arrival) }).collect()
    };
    let stored = |reports: &[DeliveryReport]| -> u64 {
        reports.iter().map(|report| report.tally.stored).sum()
    };
    assert_eq!(stored(&world.ingest(&window(false, T))), 512);
    world.restart();
    assert_eq!(stored(&world.ingest(&window(true, T + 100))), 0);
}

#[test]
fn a_redelivered_message_is_looked_for_among_the_newest_measurements_only() {
    let mut world = World::new();
    let first = payload(12.5);
    world.take(message(&first, T));
    let lines: String = (1..=1_000).map(|n| line("A", T + n * 61, 12.0)).collect();
    world.take(delivery("A", lines.as_bytes(), T + 61_100));
    let again = Delivery { redelivered: true, ..message(&first, T + 62_000) };
    // It is among the last few of telemetry.
    assert_eq!(world.take(again).tally.duplicate, 1);
    for n in 0..32 {
        world.take(message(&payload(11.0 + f64::from(n) / 100.0), T + 63_000 + i64::from(n) * 100));
    }
    let again = Delivery { redelivered: true, ..message(&first, T + 70_000) };
    assert_eq!(world.take(again).tally.stored, 1);
}

#[test]
fn a_message_that_repeats_a_recent_line_is_covered() {
    for (why, observed, battery_voltage, stored) in [
        ("a line of now", T, 12.5, 0),
        ("a line of two minutes ago", T - 120, 12.5, 0),
        ("an older line", T - 121, 12.5, 1),
        ("a line with other values", T, 12.6, 1),
    ] {
        let mut world = World::new();
        world.take(delivery("node", line("A", observed, battery_voltage).as_bytes(), T));
        assert_eq!(world.take(message(&payload(12.5), T)).tally.stored, stored, "{why}");
    }
}

#[test]
fn within_one_transaction_the_same_is_told() {
    let mut world = World::new();
    let reports = world.ingest(&[message(&payload(12.5), T), message(&payload(12.5), T + 1)]);
    assert_eq!((reports[0].tally.stored, reports[1].tally.duplicate), (1, 1));
}

#[test]
fn a_retained_message_without_a_time_is_rejected() {
    let mut world = World::new();
    let report = world.take(Delivery { retained: true, ..message(&payload(12.5), T) });
    assert_eq!(report.tally.rejected["retained"], 1);
    assert_eq!(world.history("A"), []);
}

#[test]
fn retained_lines_are_stored_if_their_time_is_possible() {
    let mut world = World::new();
    let lines = [line("A", 99, 12.0), line("A", T - 1_000_000, 12.1)].concat();
    let report = world.take(Delivery {
        retained: true,
        topic: Some("/isems/A/csvlog".into()),
        framing: Framing::Whole,
        ..delivery("broker", lines.as_bytes(), T)
    });
    assert_eq!((report.tally.stored, report.tally.rejected["retained"]), (1, 1));
    assert_eq!(world.history("A")[0].observed, Timestamp::from_unix(T - 1_000_000));
}

#[test]
fn a_message_is_known_again_while_our_clock_is_doubted() {
    let mut world = World::new();
    for node in ["B", "C"] {
        world.take(Delivery {
            sender_clock: Some(Timestamp::from_unix(T + 86_400)),
            ..delivery(node, line(node, T + 86_390, 12.0).as_bytes(), T)
        });
    }
    let first = world.take(message(&payload(12.5), T));
    assert!(matches!(first.notes[..], [Note::OwnClockDoubted(_)]), "{first:?}");
    let again = world.take(message(&payload(12.5), T + 5));
    assert_eq!((first.tally.stored, again.tally.duplicate), (1, 1));
}
