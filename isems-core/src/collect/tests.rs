//! The write side over a repository in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on is meant to panic")]

mod clock_fixtures;
mod confirmed;
mod deliveries;
mod doubt;
mod look_ups;
mod reboots;
mod telemetry;
mod writers;

use std::sync::Arc;

use pollster::block_on;

use super::*;
use crate::{Basis, HistoryRange, Measurement, MemoryRepo, Reported, testing::delivery};

/// A moment before all fixtures.
const BUILT: Timestamp = Timestamp::from_unix(1_700_000_000);

struct World {
    repo: Arc<MemoryRepo>,
    collector: Collector,
}

impl World {
    fn new() -> Self {
        let repo = Arc::new(MemoryRepo::default());
        Self { collector: Collector::new(repo.clone(), BUILT), repo }
    }

    /// A collector that knows only what the repository holds.
    fn restart(&mut self) {
        self.collector = Collector::new(self.repo.clone(), BUILT);
    }

    fn ingest(&mut self, deliveries: &[Delivery]) -> Vec<DeliveryReport> {
        let now = deliveries.iter().map(|delivery| delivery.arrival).max().unwrap();
        block_on(self.collector.ingest(deliveries, now)).unwrap()
    }

    fn take(&mut self, delivery: Delivery) -> DeliveryReport {
        self.ingest(&[delivery]).remove(0)
    }

    /// All measurements of a node, oldest first.
    fn history(&self, node: &str) -> Vec<Measurement> {
        let node = NodeId::new(node).unwrap();
        let rows = block_on(crate::MeasurementReader::history(
            &*self.repo,
            &node,
            HistoryRange::ALL,
            usize::MAX,
        ));
        rows.unwrap().into_iter().rev().map(|row| row.measurement).collect()
    }
}

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A line of a node at this reported time with this battery voltage.
fn line(node: &str, reported: i64, battery_voltage: f64) -> String {
    format!(
        "{node};1;{reported};ATmega8_A_1;9940;0;21.002;17.041;{battery_voltage};23;100;17;11.7;14.2;7;20;52.5;13.4;880\n"
    )
}
