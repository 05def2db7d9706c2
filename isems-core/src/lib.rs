//! The domain of the ISEMS collector.

mod activity;
pub mod clock_rule;
mod collect;
mod measurement;
mod memory;
mod ports;
mod query;
mod retention;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod wire;

pub use activity::ActivityRule;
pub use collect::{Collector, DeliveryReport, Doubt, Note};
pub use measurement::{
    Basis, Measurement, NodeId, NodeIdError, Reported, RowId, Sample, StoredMeasurement,
};
pub use memory::MemoryRepo;
pub use ports::*;
pub use query::{Nodes, Query};
pub use retention::{Removal, RetentionPolicy};
pub use status::NodeStatus;
pub use time::{Clock, Timestamp};
