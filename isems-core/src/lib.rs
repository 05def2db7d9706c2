//! What ISEMS solar mesh nodes send, which of it to believe, and what to keep:
//! the domain of the ISEMS collector, without I/O, runtime or wall clock.
//!
//! A *collector* gathers what solar-powered mesh nodes measure, keeps each
//! measurement exactly once, and answers questions about it. This crate holds
//! the rules; technologies plug in at two ports:
//!
//! - a [`NodeSource`] hands over [`Delivery`]s: raw bytes, and what is known of
//!   their way here;
//! - a [`MeasurementRepo`] keeps [`Measurement`]s.
//!
//! Between them the [`Collector`] parses ([`wire`]), judges the clock of each
//! node ([`clock_rule`]) and stores; the receipt of a delivery is confirmed when
//! what it held is durable. [`Query`] reads, by the [`ActivityRule`];
//! [`RetentionPolicy`] says what may go.
//!
//! # Example
//! A log line in, a measurement out:
//!
//! ```
//! use std::sync::Arc;
//! use isems_core::{
//!     ActivityRule, Collector, Delivery, Format, Framing, MemoryRepo, Nodes, Query, Receipt,
//!     SourceId, SourceKind, Timestamp,
//! };
//!
//! # pollster::block_on(async {
//! let repo = Arc::new(MemoryRepo::default());
//! let now = Timestamp::from_unix(1_743_163_330);
//! let mut collector = Collector::new(repo.clone(), Timestamp::from_unix(1_700_000_000));
//!
//! let line = b"Elektra-Dach;1;1743163321;ATmega8_A_1;9940;0;21.002;17.041;12.58;23;100;17;11.7;14.2;7;20;52.507309;13.458635;880\n";
//! let delivery = Delivery {
//!     source: SourceId::new("http://10.0.0.1/ISEMS/ffopenmppt.log"),
//!     kind: SourceKind::Http,
//!     format: Format::CsvLog,
//!     payload: line.to_vec(),
//!     known_prefix: 0,
//!     framing: Framing::Log,
//!     topic: None,
//!     node: None,
//!     arrival: now,
//!     sender_clock: None,
//!     redelivered: false,
//!     retained: false,
//!     bytes: line.len() as u64,
//!     position: None,
//!     receipt: Receipt(0),
//! };
//! let reports = collector.ingest(&[delivery], now).await?;
//! assert_eq!(reports[0].tally.stored, 1);
//!
//! let latest = Query::new(repo, ActivityRule::default()).latest(Nodes::Active, now).await?;
//! assert_eq!(latest[0].measurement.node.as_str(), "Elektra-Dach");
//! assert_eq!(latest[0].measurement.sample.battery_voltage, Some(12.58));
//! # Ok::<(), isems_core::RepoError>(())
//! # }).unwrap();
//! ```
//!
//! # Plugging in
//! Implement a port, and run its conformance suite from
//! `isems_core::testing` (feature `testing`): `repo_suite` for repositories,
//! `source_suite` for sources. The shortest complete examples are [`MemoryRepo`], and
//! `tests/conformance/stranger_source.rs` in the project's repository.

mod activity;
mod bucket;
mod checks;
pub mod clock_rule;
mod collect;
mod field;
mod ledger;
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
mod yield_now;

pub use activity::ActivityRule;
pub use bucket::{Bucket, Buckets, HOUR, Spread, roll_up};
pub use checks::{Check, Level, checks};
pub use collect::{ClockTrust, Collector, DeliveryReport, Doubt, Note};
pub use field::Field;
pub use ledger::{Ledger, Put};
pub use measurement::{
    Basis, Measurement, NodeId, NodeIdError, Reported, RowId, Sample, StoredMeasurement,
};
pub use memory::MemoryRepo;
pub use ports::{
    Batch, BatchOrigin, BoxError, ClockMarks, ClockRun, Delivery, Format, Framing, HistoryRange,
    Identity, KnownTelemetry, MeasurementReader, MeasurementRepo, NodePrune, NodeSource, NodeState,
    NodeUpdate, NodeVersion, Pages, PartReport, PruneMode, PruneReport, ReadPosition, Receipt,
    RepoError, SourceError, SourceId, SourceKind, SourcePart, SourceSummary, SourceUpdate,
    StoreReport, Tally,
};
pub use query::{Nodes, Query};
pub use retention::{Reckoning, Removal, RetentionPolicy, SortedOut};
pub use status::NodeStatus;
pub use time::{Clock, Timestamp};
