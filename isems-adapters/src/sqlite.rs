//! Measurements in one SQLite file: [`SqliteRepo`].
//!
//! - One connection writes, in few and large transactions; each is on disk when
//!   it returns.
//! - A few connections read and cannot write: [`SqliteReader`]. With the
//!   write-ahead log neither side waits for the other.
//! - A file that is not ours is never written to: it is looked at first, through
//!   a connection that takes no locks and creates no files.
//!
//! A change of the schema is a new file in `migrations/`; a database that holds
//! a migration unknown to this program is a newer one's and is refused.

mod accounts;
mod backup;
mod connect;
mod database_url;
mod fault;
mod files;
mod find;
mod forget;
mod hours;
mod inspect;
pub mod legacy;
mod nodes;
mod one_name;
mod place;
#[cfg(test)]
mod plan_tests;
mod prune;
mod reader;
mod repo;
mod rollups;
mod row;
mod rows;
mod sources;
mod spreads;
mod standby;
mod store;
mod writer;

pub use backup::backup;
pub use database_url::{DatabaseUrl, DatabaseUrlError};
pub use fault::is_locked;
pub use reader::SqliteReader;
pub use repo::SqliteRepo;
