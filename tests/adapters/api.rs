//! The API, spoken to over real sockets.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on ends its test")]

mod abuse;
mod app_files;
mod broken_off;
mod http;
mod json;
mod lifecycle;
mod mounting;
mod sources;
mod support;
mod v1;
