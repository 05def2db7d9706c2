//! The fleet, lived through at many times of the year.

use isems_core::{NodeStatus, Timestamp, time::DAY, wire::csv_log};

use super::{
    super::fleet::{HISTORY, fleet},
    Event,
};

/// 2025-01-15T00:00:00Z.
const JANUARY: i64 = 1_736_899_200;

/// Noon and midnight, morning and evening, in each month.
fn moments() -> impl Iterator<Item = Timestamp> {
    (0..12 * 4).map(|n| Timestamp::from_unix(JANUARY + n / 4 * 30 * DAY + n % 4 * DAY / 4))
}

fn measured(events: &[Event]) -> Vec<(Timestamp, Vec<&str>)> {
    let mut lines = Vec::new();
    for event in events {
        if let Event::Measured { at, line } = event {
            lines.push((*at, line.split(';').collect()));
        }
    }
    lines
}

/// The events of one node up to `now`.
fn lived(name: &str, now: Timestamp) -> Vec<Event> {
    let mut fleet = fleet(now).into_iter();
    let (_, mut node) = fleet.find(|(persona, _)| persona.name == name).expect("in the fleet");
    node.advance(now)
}

/// Every node's name.
fn names() -> Vec<&'static str> {
    let fleet = fleet(Timestamp::from_unix(JANUARY));
    fleet.into_iter().map(|(persona, _)| persona.name).collect()
}

fn status(fields: &[&str]) -> NodeStatus {
    NodeStatus::from_hex(fields[18]).expect("three hex digits")
}

fn number(fields: &[&str], field: usize) -> f64 {
    fields[field - 1].parse().expect("a number")
}

/// The last line of `name` at `now`.
fn with_last_line(name: &str, now: Timestamp, check: impl Fn(Timestamp, &[&str])) {
    let events = lived(name, now);
    let lines = measured(&events);
    let (at, fields) = lines.last().expect("it measured");
    check(*at, fields);
}

#[test]
fn every_line_is_what_the_firmware_would_write() {
    for now in moments().step_by(13) {
        for name in names() {
            for (_, fields) in measured(&lived(name, now)) {
                assert_eq!(fields.len(), 19, "{fields:?}");
                assert_eq!((fields[0], fields[1]), (name, "1"));
                assert!(fields[2].parse::<u32>().is_ok(), "time in {fields:?}");
                for field in [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18] {
                    let text = fields[field - 1];
                    assert!(!text.starts_with("-0"), "{fields:?}");
                    assert!(text.len() <= 10 && number(&fields, field).is_finite(), "{fields:?}");
                }
                assert_eq!(fields[18].len(), 3, "{fields:?}");
                assert!((0.0..=100.0).contains(&number(&fields, 10)), "{fields:?}");
            }
        }
    }
}

#[test]
fn a_router_has_nearly_a_full_log_when_the_demo_begins() {
    let now = Timestamp::from_unix(JANUARY);
    for name in names() {
        let events = lived(name, now);
        let lines = measured(&events);
        match name {
            "Balkon-ESP" => assert_eq!(lines.len(), 53 * 240 + 1),
            "Funkmast Süd" => assert!((1_700..2_000).contains(&lines.len()), "{}", lines.len()),
            "Imkerei Britz" => assert!((2_100..2_150).contains(&lines.len()), "{}", lines.len()),
            _ => assert!((3_500..3_600).contains(&lines.len()), "{name}: {}", lines.len()),
        }
    }
}

#[test]
fn the_first_line_has_an_unset_clock_and_the_others_the_true_time() {
    let now = Timestamp::from_unix(JANUARY);
    for name in names() {
        let events = lived(name, now);
        // The ESP32 reboots once within its history.
        let mut boots = 1 + events.iter().filter(|event| **event == Event::Booted).count();
        for (at, fields) in measured(&events) {
            let reported: i64 = fields[2].parse().expect("a number");
            if reported == at.as_unix() {
                continue;
            }
            assert!([5, 99].contains(&reported), "{name}: {reported} at {at}");
            boots -= 1;
        }
        assert_eq!(boots, 0, "{name}: one unset clock for each boot");
    }
}

#[test]
fn panels_are_dark_exactly_when_a_node_discharges() {
    for now in moments().step_by(13) {
        for name in names() {
            for (_, fields) in measured(&lived(name, now)) {
                let status = status(&fields);
                if status.contains(NodeStatus::CONTROLLER_SILENT) {
                    continue;
                }
                let dark = number(&fields, 8) == 0.0;
                assert_eq!(dark, status.contains(NodeStatus::DISCHARGING), "{fields:?}");
                assert_eq!(dark, number(&fields, 7) == 0.0, "{fields:?}");
            }
        }
    }
}

#[test]
fn healthy_nodes_are_healthy_all_year() {
    let bad = 0x0FD;
    for now in moments() {
        for name in ["Rathaus-Dach", "Höllentalhütte", "Balkon-ESP"] {
            with_last_line(name, now, |_, fields| {
                let status = status(fields);
                assert_eq!(status.bits() & bad, 0, "{name} at {now}: {fields:?}");
                assert!(status.contains(NodeStatus::HEALTHY), "{name} at {now}: {fields:?}");
            });
        }
    }
}

#[test]
fn the_neglected_node_runs_low_all_year_but_is_still_there() {
    for now in moments() {
        with_last_line("Kleingarten Abendruh", now, |at, fields| {
            assert!(now.since(at) < 70, "silent at {now}: {fields:?}");
            assert!(status(fields).contains(NodeStatus::BATTERY_LOW), "{now}: {fields:?}");
            assert!(number(fields, 9) < 12.0, "{now}: {fields:?}");
        });
    }
}

#[test]
fn the_lively_node_goes_silent_comes_back_and_runs_low_within_four_minutes() {
    for now in moments() {
        let (_, mut node) = fleet(now).pop().expect("in the fleet");
        let before = node.advance(now);
        let after = node.advance(now.plus(6 * 60));
        let (last, fields) = measured(&before).pop().expect("it measured");
        let quiet = last.plus(DAY).since(now);
        assert!((60..=76).contains(&quiet), "silent after {quiet} s at {now}");
        assert!(!status(&fields).contains(NodeStatus::BATTERY_LOW), "{now}: {fields:?}");

        let low = |fields: &[&str]| status(fields).contains(NodeStatus::BATTERY_LOW);
        let story: Vec<_> =
            measured(&after).iter().map(|(at, fields)| (at.since(now), low(fields))).collect();
        let [(back, false), (low, true), rest @ ..] = &story[..] else {
            panic!("back and then low at {now}: {story:?}");
        };
        assert!(*back > quiet + 25, "hardly silent at {now}: {quiet} s, {story:?}");
        assert!(*low < 200, "{now}: {story:?}");
        assert!(rest.len() > 1 && rest.iter().all(|(_, low)| *low), "{now}: {story:?}");
    }
}

#[test]
fn an_empty_node_falls_silent_for_want_of_power() {
    let now = Timestamp::from_unix(JANUARY);
    let (_, mut node) = fleet(now).remove(1);
    let later = now.plus(3 * DAY);
    let events = node.advance(later);
    let lines = measured(&events);
    let (last, fields) = lines.last().expect("it measured");
    assert!(later.since(*last) > DAY, "still measures: {fields:?}");
    assert!(number(fields, 9) < 11.75, "{fields:?}");
}

#[test]
fn the_core_reads_every_line() {
    let now = Timestamp::from_unix(JANUARY);
    for name in names() {
        for event in lived(name, now) {
            let Event::Measured { line, .. } = event else {
                continue;
            };
            let read = csv_log::parse_line(line.as_bytes()).expect("a good line");
            let csv_log::Line::Reading(reading) = read else {
                panic!("no reading: {line}");
            };
            assert_eq!(reading.node.as_str(), name);
            assert_eq!(csv_log::format_line(&reading), line);
        }
    }
}

#[test]
fn misfortunes_show_as_in_the_real_logs() {
    for now in moments() {
        with_last_line("Werkhof-Giebel", now, |_, fields| {
            assert!(status(fields).contains(NodeStatus::SENSOR_MISSING), "{fields:?}");
            assert_eq!(fields[11], "0");
        });
        with_last_line("Bootshaus-Steg", now, |_, fields| {
            let zeros = ";;0;0;0;0;0;0;0;0;0;0;36;60;52.48977;13.49135;0B2";
            assert!(fields.join(";").ends_with(zeros), "{fields:?}");
        });
        with_last_line("Funkmast Süd", now, |at, _| {
            assert!((DAY..HISTORY).contains(&now.since(at)), "last heard at {at}");
        });
    }
}

#[test]
fn history_does_not_depend_on_how_often_one_looks() {
    let now = Timestamp::from_unix(JANUARY);
    for ((persona, mut at_once), (_, mut in_steps)) in fleet(now).into_iter().zip(fleet(now)) {
        let mut seen = Vec::new();
        for minute in (0..=HISTORY / 60).rev() {
            seen.extend(in_steps.advance(now.plus(-60 * minute)));
        }
        assert_eq!(at_once.advance(now), seen, "{}", persona.name);
    }
}
