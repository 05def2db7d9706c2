//! What the recorded fixtures hold, as deliveries.

use std::fs;

use isems_core::{Delivery, Format, Framing, SourceKind, testing::delivery};
use serde::Deserialize;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A router's log, as it is polled.
pub(crate) fn log(name: &str) -> String {
    String::from_utf8(fixture(&format!("logs/{name}.log"))).unwrap()
}

/// A message that an ESP32 published.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Message {
    /// When, truly.
    pub(crate) t: i64,
    topic: String,
    pub(crate) payload: String,
}

impl Message {
    /// All messages that were recorded of a node.
    pub(crate) fn all_of(name: &str) -> Vec<Self> {
        let text = String::from_utf8(fixture(&format!("mqtt/{name}.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the node said of the time, line by line.
    pub(crate) fn reported(&self) -> Vec<i64> {
        self.payload.lines().map(reported).collect()
    }

    /// As it comes out of the adapter at `arrival`.
    pub(crate) fn delivery(&self, arrival: i64) -> Delivery {
        Delivery {
            kind: SourceKind::Mqtt,
            format: Format::CsvLog,
            framing: Framing::Whole,
            topic: Some(self.topic.clone()),
            ..delivery("mqtt://127.0.0.1", self.payload.as_bytes(), arrival)
        }
    }
}

/// What a line says of the time.
pub(crate) fn reported(line: &str) -> i64 {
    line.split(';').nth(2).unwrap().parse().unwrap()
}
