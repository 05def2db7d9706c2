//! A server over a repository in memory, with a clock under manual control.

use std::sync::Arc;

use isems_adapters::api::{ApiLimits, ApiSettings};
use isems_core::{
    Batch, Measurement, MeasurementRepo, MemoryRepo, SourcePart, Timestamp, testing::ManualClock,
};

use crate::api::support::{Api, NOW, settings, start_over};

/// A server, what it reads and the clock it goes by.
pub(super) struct World {
    pub(super) api: Api,
    pub(super) repo: Arc<MemoryRepo>,
    pub(super) clock: Arc<ManualClock>,
}

impl World {
    pub(super) async fn of(rows: Vec<Measurement>) -> Self {
        Self::with(rows, |_| {}).await
    }

    /// Under limits of the test's choosing.
    pub(super) async fn with(rows: Vec<Measurement>, limit: impl FnOnce(&mut ApiLimits)) -> Self {
        let mut settings: ApiSettings = settings();
        limit(&mut settings.limits);
        let repo = Arc::new(MemoryRepo::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let api = start_over(Arc::clone(&repo) as _, Arc::clone(&clock) as _, settings).await;
        let world = Self { api, repo, clock };
        world.store(rows).await;
        world
    }

    pub(super) async fn store(&self, rows: Vec<Measurement>) {
        let parts = vec![SourcePart { update: None, rows }];
        let batch = Batch { parts, ..Batch::default() };
        self.repo.store(&batch).await.unwrap();
    }
}

/// A measurement of `node`, `age` seconds old.
pub(super) fn measured(node: &str, age: i64) -> Measurement {
    crate::api::support::row(0, node, age).measurement
}

/// A measurement at a moment in Unix seconds.
pub(super) fn measured_at(node: &str, observed: i64) -> Measurement {
    measured(node, NOW.since(Timestamp::from_unix(observed)))
}
