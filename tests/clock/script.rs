//! `fixtures/clock/*.json`: deliveries of one node, with the true time of each
//! line.

use std::{collections::BTreeMap, fs, path::PathBuf};

use isems_core::{
    Basis, Measurement, Reported, Tally,
    wire::{Reading, csv_log},
};
use serde::Deserialize;

use crate::station::Station;

#[derive(Deserialize)]
pub(crate) struct Script {
    pub(crate) name: String,
    /// By how many seconds an observed time may be off.
    max_error_s: i64,
    lines: Vec<String>,
    /// When each line was measured.
    truth: Vec<i64>,
    pub(crate) deliveries: Vec<Step>,
}

/// One answer or message.
#[derive(Deserialize)]
pub(crate) struct Step {
    /// When it arrives, by our clock, which is right.
    pub(crate) arrival: i64,
    /// The node's clock, if the answer tells it.
    pub(crate) date: Option<i64>,
    from: usize,
    to: usize,
}

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/clock").into()
}

/// The names of all scripts.
pub(crate) fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

impl Script {
    pub(crate) fn load(name: &str) -> Self {
        let file = folder().join(name).with_extension("json");
        let script: Self = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(script.lines.len(), script.truth.len());
        script
    }

    pub(crate) fn node(&self) -> &str {
        self.lines[0].split(';').next().unwrap()
    }

    /// The lines of a step, without a newline at the end.
    pub(crate) fn text(&self, step: &Step) -> String {
        self.lines[step.from..step.to].join("\n")
    }

    /// Steps that arrive at the same moment belong together.
    pub(crate) fn bursts(&self) -> impl Iterator<Item = &[Step]> {
        self.deliveries.chunk_by(|one, next| one.arrival == next.arrival)
    }

    /// How many lines these steps repeat, all of which are looked at.
    pub(crate) fn repeated(&self) -> usize {
        lines_in(&self.deliveries) - self.lines.len()
    }

    /// As [`repeated`](Self::repeated), where the beginning of a log that is the
    /// one stored last is known without a look.
    pub(crate) fn repeated_beyond_known_beginnings(&self) -> usize {
        let pairs = self.deliveries.windows(2);
        let known = pairs.filter(|pair| {
            let [last, log] = [&pair[0], &pair[1]].map(|step| self.text(step) + "\n");
            log.starts_with(&last)
        });
        self.repeated() - known.map(|pair| lines_in(&pair[..1])).sum::<usize>()
    }

    /// No line lost, none stored twice, so many known when they came, all others
    /// that are not dated as reported counted, the error within the bound.
    pub(crate) async fn check(&self, station: &Station, known: usize) {
        let stored = station.history(self.node()).await;
        let (name, lines) = (&self.name, self.lines.len());
        assert_eq!(stored.len(), lines, "{name}: each line is stored exactly once");
        let expected = Tally {
            stored: lines as u64,
            duplicate: known as u64,
            retimed: stored.iter().filter(|row| row.basis != Basis::Node).count() as u64,
            ..Tally::default()
        };
        assert_eq!(station.tally, expected, "{name}: nothing but new and known lines");
        let worst = self.worst_error(stored);
        let allowed = self.max_error_s;
        assert!(worst <= allowed, "{name}: off by {worst} s, allowed are {allowed} s");
    }

    /// By how many seconds the worst row is off. Equal lines (two boots can
    /// begin alike) are told apart by what is nearest.
    fn worst_error(&self, stored: Vec<Measurement>) -> i64 {
        let mut truth: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (line, time) in self.lines.iter().zip(&self.truth) {
            truth.entry(line).or_default().push(*time);
        }
        let mut worst = 0;
        for row in stored {
            let observed = row.observed.as_unix();
            let line = line_of(row);
            let times = truth.get_mut(line.as_str());
            let times = times.unwrap_or_else(|| panic!("{}: {line} was not sent", self.name));
            let error = |at: &usize| (observed - times[*at]).abs();
            let nearest = (0..times.len()).min_by_key(error);
            let nearest = nearest.unwrap_or_else(|| panic!("{}: {line} comes twice", self.name));
            worst = worst.max(error(&nearest));
            times.swap_remove(nearest);
        }
        worst
    }
}

/// How many lines these steps hold.
pub(crate) fn lines_in(steps: &[Step]) -> usize {
    steps.iter().map(|step| step.to - step.from).sum()
}

/// The line that a row was made of.
fn line_of(row: Measurement) -> String {
    let Reported::Time(reported) = row.reported else { panic!("a line tells a time: {row:?}") };
    csv_log::format_line(&Reading { node: row.node, reported, sample: row.sample })
}

#[test]
fn every_script_is_played_by_http_or_by_mqtt() {
    let by_mqtt = |name: &String| name.starts_with("mqtt-");
    let (mqtt, http): (Vec<_>, Vec<_>) = names().into_iter().partition(by_mqtt);
    assert_eq!(http, crate::http::SCRIPTS);
    assert_eq!(mqtt, crate::mqtt::SCRIPTS);
}
