//! The two sides at which technologies plug in.

mod account;
mod lookup;
mod measurement_repo;
mod node_source;
mod pages;

pub use account::{PartReport, SourceSummary, SourceUpdate, Tally};
pub use lookup::Identity;
pub use measurement_repo::{
    Batch, BatchOrigin, ClockMarks, ClockRun, HistoryRange, KnownTelemetry, MeasurementReader,
    MeasurementRepo, NodePrune, NodeState, NodeUpdate, NodeVersion, PruneMode, PruneReport,
    RepoError, SourcePart, StoreReport,
};
pub use node_source::{
    Delivery, Format, Framing, NodeSource, ReadPosition, Receipt, SourceError, SourceId, SourceKind,
};

pub use pages::Pages;

/// A cause that an adapter hands on without naming its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
