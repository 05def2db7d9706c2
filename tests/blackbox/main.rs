//! The real binary against real nodes, a real broker, a real database file.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and says where"
)]

mod cli;
mod commands;
mod config;
mod demo;
mod sentry;
mod support;
