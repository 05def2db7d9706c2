//! Technologies for the ports of `isems-core`, one room each; no room has a
//! door to another.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "http-polling")]
pub mod http_polling;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod system_clock;

pub use system_clock::SystemClock;
