//! What the black-box tests share.
//!
//! Everything happens on the loopback interface, at ports that the system
//! chooses, in folders that vanish; every wait is bounded.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part of this")]

mod broker;
mod database;
mod fixtures;
mod http;
mod link;
mod load;
mod lock;
mod messages;
mod node;
mod process;
mod publisher;
mod rough_node;
mod sentry_sink;
mod stored;
mod usage;

use std::time::{Duration, Instant};

use isems_adapters::SystemClock;
use isems_core::Clock as _;

pub(crate) use self::{
    broker::{Broker, free_port, run_tool},
    database::Database,
    fixtures::{fixture, log},
    http::{Answer, get, request, send},
    link::Link,
    load::Load,
    lock::Lock,
    messages::{Message, of_a_fleet, recorded, repetitions_in, told_by},
    node::Node,
    process::{Isems, Outcome, Running, full_pipe},
    publisher::Publisher,
    rough_node::{RoughNode, Then},
    sentry_sink::SentrySink,
    stored::Told,
};

/// How long anything may take that should happen soon. Generous: the machine
/// that runs the tests may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The present, in Unix seconds.
pub(crate) fn now() -> i64 {
    SystemClock.now().as_unix()
}

/// Waits until what comes is of another second than what came: what is of the
/// same is known by its time alone.
pub(crate) fn wait_for_another_second() {
    let before = now();
    eventually("another second", || (now() > before).then_some(()));
}

/// Waits until `condition` gives something; asks every few milliseconds.
///
/// # Panics
/// If it gives nothing within [`SOON`]; `what` says what was waited for.
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(SOON, what, condition)
}

/// Waits as [`eventually`] does, for something that takes its time.
///
/// # Panics
/// If `condition` gives nothing within `limit`.
pub(crate) fn within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
