//! Deliveries with known truth: no line lost, none stored twice, the error
//! within the bound.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::{Format, Framing, SourceKind, wire::csv_log};

#[derive(Deserialize)]
struct Fixture {
    name: String,
    max_error_s: i64,
    lines: Vec<String>,
    truth: Vec<i64>,
    deliveries: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    arrival: i64,
    date: Option<i64>,
    from: usize,
    to: usize,
}

impl Fixture {
    fn all() -> Vec<Self> {
        let folder = format!("{}/../tests/fixtures/clock", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
            .iter()
            .map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
            .collect()
    }

    /// The deliveries as the adapter for such a node makes them. With
    /// `remember` a log says how much of it was stored before.
    fn deliveries(&self, remember: bool) -> Vec<Delivery> {
        let by_mqtt = self.name.starts_with("mqtt");
        let mut stored = String::new();
        let deliver = |step: &Step| {
            let log = self.lines[step.from..step.to].join(
                "
",
            ) + "
";
            let known =
                if remember && !by_mqtt && log.starts_with(&stored) { stored.len() } else { 0 };
            stored.clone_from(&log);
            let payload = if by_mqtt { log.trim_end() } else { &log };
            Delivery {
                sender_clock: step.date.map(Timestamp::from_unix),
                framing: if by_mqtt { Framing::Whole } else { Framing::Log },
                kind: if by_mqtt { SourceKind::Mqtt } else { SourceKind::Http },
                format: Format::CsvLog,
                known_prefix: known,
                ..delivery("source", payload.as_bytes(), step.arrival)
            }
        };
        self.deliveries.iter().map(deliver).collect()
    }

    /// Compares what is stored with the truth, line by line.
    fn check(&self, world: &World, how: &str) {
        let name = &self.name;
        let mut truth: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (line, time) in self.lines.iter().zip(&self.truth) {
            truth.entry(line).or_default().push(*time);
        }
        let node = self.lines[0].split(';').next().unwrap();
        let history = world.history(node);
        assert_eq!(
            history.len(),
            self.lines.len(),
            "{name}, {how}: each line is stored exactly once"
        );
        let mut worst = 0;
        for row in history {
            let Reported::Time(reported) = row.reported else { panic!() };
            let reading = crate::wire::Reading { node: row.node, reported, sample: row.sample };
            let line = csv_log::format_line(&reading);
            let times = truth
                .get_mut(line.as_str())
                .unwrap_or_else(|| panic!("{name}: {line} was not sent"));
            let error = |time: &i64| (row.observed.as_unix() - time).abs();
            let (best, _) = times.iter().enumerate().min_by_key(|(_, time)| error(time)).unwrap();
            worst = worst.max(error(&times.swap_remove(best)));
        }
        assert!(
            worst <= self.max_error_s,
            "{name}, {how}: off by {worst} s, allowed are {} s",
            self.max_error_s
        );
    }
}

#[test]
fn every_delivery_on_its_own() {
    for fixture in Fixture::all() {
        let mut world = World::new();
        for delivery in fixture.deliveries(false) {
            world.take(delivery);
        }
        fixture.check(&world, "one by one");
    }
}

#[test]
fn with_a_known_prefix() {
    for fixture in Fixture::all() {
        let mut world = World::new();
        for delivery in fixture.deliveries(true) {
            world.take(delivery);
        }
        fixture.check(&world, "with a known prefix");
    }
}

#[test]
fn with_a_restart_between_any_two_deliveries() {
    for fixture in Fixture::all() {
        let mut world = World::new();
        for delivery in fixture.deliveries(false) {
            world.take(delivery);
            world.restart();
        }
        fixture.check(&world, "with restarts");
    }
}

#[test]
fn with_each_delivery_redelivered_at_once() {
    for fixture in Fixture::all() {
        let mut world = World::new();
        for delivery in fixture.deliveries(false) {
            world.take(delivery.clone());
            let again = world.take(delivery);
            assert_eq!(again.tally.stored, 0, "{}", fixture.name);
        }
        fixture.check(&world, "with redeliveries");
    }
}

#[test]
fn with_several_deliveries_in_one_transaction() {
    for fixture in Fixture::all() {
        let mut world = World::new();
        for several in fixture.deliveries(false).chunks(7) {
            world.ingest(several);
        }
        fixture.check(&world, "seven at a time");
    }
}
