//! SQLite × the repository cases.

use std::{path::PathBuf, sync::Arc};

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{
    MeasurementRepo,
    testing::repo_suite::{self, RepoUnderTest},
};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

/// One file in a folder of its own; each opening is another set of connections,
/// as another process would have.
struct OneFile(tempfile::TempDir);

impl OneFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("isems.db")
    }
}

#[async_trait::async_trait]
impl RepoUnderTest for OneFile {
    async fn open(&self) -> Arc<dyn MeasurementRepo> {
        Arc::new(SqliteRepo::open(&self.path()).await.expect("the file opens"))
    }

    /// As another program would.
    async fn spoil_rollups(&self) -> bool {
        let options = SqliteConnectOptions::new().filename(self.path());
        let mut connection = options.connect().await.expect("the file opens");
        sqlx::raw_sql("DELETE FROM rollup WHERE hour % 7200 = 0; UPDATE rollup SET count = 7")
            .execute(&mut connection)
            .await
            .expect("there are rollups");
        connection.close().await.expect("the file closes");
        true
    }
}

#[tokio::test]
async fn the_sqlite_repository_conforms() {
    for case in repo_suite::CASES {
        case.run(&OneFile(tempfile::tempdir().unwrap())).await;
    }
}
