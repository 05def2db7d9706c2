//! Clocks, end to end: real adapters, a real file, a real broker, and a clock
//! under manual control in the place of the machine's.
//!
//! Whatever a node's clock does, no line is lost, none is stored twice, and the
//! observed times are as near to the truth as promised.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod backlog;
mod http;
mod mqtt;
mod recorded_logs;
mod script;
mod station;
mod summer_time;
