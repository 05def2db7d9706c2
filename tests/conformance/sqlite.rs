//! SQLite × the repository cases.

use std::sync::Arc;

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{
    MeasurementRepo,
    testing::repo_suite::{self, RepoUnderTest},
};

/// One file in a folder of its own; each opening is another set of connections,
/// as another process would have.
struct OneFile(tempfile::TempDir);

#[async_trait::async_trait]
impl RepoUnderTest for OneFile {
    async fn open(&self) -> Arc<dyn MeasurementRepo> {
        let path = self.0.path().join("isems.db");
        Arc::new(SqliteRepo::open(&path).await.expect("the file opens"))
    }
}

#[tokio::test]
async fn the_sqlite_repository_conforms() {
    for case in repo_suite::CASES {
        case.run(&OneFile(tempfile::tempdir().unwrap())).await;
    }
}
