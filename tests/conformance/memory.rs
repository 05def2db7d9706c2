//! The reference adapter and its scripted counterpart of a source.

use std::sync::Arc;

use async_trait::async_trait;
use isems_core::{MeasurementRepo, MemoryRepo, testing::repo_suite};

struct Memory(Arc<MemoryRepo>);

#[async_trait]
impl repo_suite::RepoUnderTest for Memory {
    async fn open(&self) -> Arc<dyn MeasurementRepo> {
        self.0.clone()
    }
}

#[tokio::test]
async fn the_repository_in_memory_conforms() {
    for case in repo_suite::CASES {
        case.run(&Memory(Arc::default())).await;
    }
}
