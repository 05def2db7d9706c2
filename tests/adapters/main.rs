//! What each adapter promises beyond its port.

#[cfg(feature = "api")]
mod api;
#[cfg(feature = "http-polling")]
mod http_polling;
#[cfg(feature = "sqlite")]
mod legacy_import;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "sqlite")]
mod sqlite;
