//! Another process that holds the database.

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::runtime::{self, Runtime};

use super::Database;

/// Nobody else can write to the database until this is dropped.
pub(crate) struct Lock {
    runtime: Runtime,
    connection: Option<SqliteConnection>,
}

impl Lock {
    /// Takes it; the database must be there.
    pub(crate) fn on(database: &Database) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(database.path());
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await.unwrap();
            sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
            connection
        });
        Self { runtime, connection: Some(connection) }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // A failure shows in what waits for the lock.
            let _ = self.runtime.block_on(connection.close());
        }
    }
}
