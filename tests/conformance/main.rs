//! Every adapter × every case of its port.

mod broken_sources;
#[cfg(feature = "http-polling")]
mod http_polling;
mod memory;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stranger;
mod stranger_source;
