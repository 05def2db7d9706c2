//! A collector on a database file, which can be ended and begun again.

use std::sync::Arc;

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{
    Collector, Delivery, HistoryRange, Measurement, MeasurementReader as _, NodeId, Tally,
    Timestamp, testing::ManualClock,
};
use tempfile::TempDir;

/// A moment before everything that is recorded in the fixtures.
const BUILT: Timestamp = Timestamp::from_unix(1_700_000_000);

pub(crate) struct Station {
    folder: TempDir,
    /// The clock of this machine.
    pub(crate) clock: Arc<ManualClock>,
    running: Option<Running>,
    /// What was counted since the beginning, over all restarts.
    pub(crate) tally: Tally,
}

/// What is gone when a process is.
struct Running {
    repo: Arc<SqliteRepo>,
    collector: Collector,
}

impl Station {
    pub(crate) async fn new() -> Self {
        let mut station = Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
            running: None,
            tally: Tally::default(),
        };
        station.restart().await;
        station
    }

    /// Forgets everything but the file. Nothing is closed in good order.
    pub(crate) async fn restart(&mut self) {
        self.running = None;
        let file = self.folder.path().join("isems.db");
        let repo = Arc::new(SqliteRepo::open(&file).await.unwrap());
        let collector = Collector::new(repo.clone(), BUILT);
        self.running = Some(Running { repo, collector });
    }

    pub(crate) fn repo(&self) -> &SqliteRepo {
        &self.running.as_ref().unwrap().repo
    }

    /// Stores these deliveries in one transaction, now; gives their counts.
    pub(crate) async fn ingest(&mut self, deliveries: &[Delivery]) -> Tally {
        use isems_core::Clock as _;
        let now = self.clock.now();
        let Running { collector, .. } = self.running.as_mut().unwrap();
        let mut tally = Tally::default();
        for report in collector.ingest(deliveries, now).await.unwrap() {
            tally.add(&report.tally);
        }
        self.tally.add(&tally);
        tally
    }

    pub(crate) fn set_clock(&self, now: i64) {
        self.clock.set(Timestamp::from_unix(now));
    }

    /// Everything that is stored of a node, oldest first.
    pub(crate) async fn history(&self, node: &str) -> Vec<Measurement> {
        let node = NodeId::new(node).unwrap();
        let rows = self.repo().history(&node, HistoryRange::ALL, usize::MAX).await.unwrap();
        rows.into_iter().rev().map(|row| row.measurement).collect()
    }
}
