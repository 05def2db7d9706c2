//! For tests of adapters and of programs that embed this crate (feature
//! `testing`): conformance suites for both ports, a clock under manual control,
//! a scripted source, and mockall mocks.

#![expect(clippy::unwrap_used, reason = "a case that does not hold is meant to panic")]

mod manual_clock;
mod mocks;
pub mod repo_suite;
mod samples;
mod scripted_source;
pub mod source_suite;

pub use manual_clock::ManualClock;
pub use mocks::{MockMeasurementRepo, MockNodeSource};
pub use samples::{delivery, measurement, node, sample, telemetry};
pub use scripted_source::ScriptedSource;
