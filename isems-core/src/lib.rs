//! The domain of the ISEMS collector.

mod activity;
mod measurement;
mod memory;
mod ports;
mod retention;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod wire;

pub use activity::ActivityRule;
pub use measurement::{
    Basis, Measurement, NodeId, NodeIdError, Reported, RowId, Sample, StoredMeasurement,
};
pub use memory::MemoryRepo;
pub use ports::*;
pub use retention::{Removal, RetentionPolicy};
pub use status::NodeStatus;
pub use time::{Clock, Timestamp};
