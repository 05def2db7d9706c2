//! Time as an argument: [`Timestamp`] and the [`Clock`] port.

use std::fmt;

/// A moment in UTC, in whole seconds since 1970-01-01T00:00:00Z.
///
/// Nodes report whole seconds (firmware: `os.time()` on routers, `time()` on
/// ESP32 boards), so nothing finer exists in this domain.
///
/// Arithmetic saturates: a node can report any number, and no number may
/// panic the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `seconds` after the Unix epoch.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix(self) -> i64 {
        self.0
    }

    /// This moment moved by `seconds` (negative: into the past).
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The last moment not after this one that is a multiple of `step` seconds
    /// from the epoch.
    #[must_use]
    pub const fn floor_to(self, step: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(step)))
    }

    /// The first moment of the UTC day that this moment lies in.
    #[must_use]
    pub const fn start_of_day(self) -> Self {
        self.floor_to(DAY)
    }

    /// Seconds from `earlier` to this moment; negative if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds between this moment and `other`, whichever is earlier.
    #[must_use]
    pub const fn distance(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }
}

impl fmt::Display for Timestamp {
    /// Unix seconds. The core knows no calendar; adapters that show times to
    /// people convert them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds in a minute.
pub const MINUTE: i64 = 60;
/// Seconds in a day of 24 hours.
pub const DAY: i64 = 86_400;

/// Tells the time. Only adapters implement it over a real clock; everything in
/// this crate takes `now` as an argument.
pub trait Clock: Send + Sync {
    /// The present moment, as far as this machine knows.
    fn now(&self) -> Timestamp;
}
