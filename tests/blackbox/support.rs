//! What the black-box tests share.
//!
//! Everything happens on the loopback interface, at ports that the system
//! chooses, in folders that vanish; every wait is bounded.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part of this")]

mod database;
mod fixtures;
mod http;
mod node;
mod process;
mod sentry_sink;

use std::time::{Duration, Instant};

pub(crate) use self::{
    database::Database,
    fixtures::{fixture, log},
    http::{Answer, get, request},
    node::Node,
    process::{Isems, Outcome, Running},
    sentry_sink::SentrySink,
};

/// How long anything may take that should happen soon. Generous: the machine
/// that runs the tests may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits until `condition` gives something; asks every few milliseconds.
///
/// # Panics
/// If it gives nothing within [`SOON`]; `what` says what was waited for.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
