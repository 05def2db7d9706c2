//! What is strange about a node that did deliver.

use std::{fmt, mem};

/// Something that an operator may want to know, though lines came in.
#[derive(Clone, Debug)]
pub(super) enum Oddity {
    LogTooLarge { limit: u64 },
    LogTooSlow,
    LogOutOfTime,
    OldLogTooLarge { limit: u64 },
    OldLogFailed { why: String },
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogTooLarge { limit } => {
                write!(f, "the log is longer than {limit} bytes; only what comes before is used")
            }
            Self::LogTooSlow => f.write_str(
                "the log came too slowly and was given up; what came is used \
                 (ISEMS_POLL_TIMEOUT grants more time)",
            ),
            Self::LogOutOfTime => f.write_str(
                "the log took longer than a poll interval; what came is used \
                 (ISEMS_POLL_INTERVAL grants more time)",
            ),
            Self::OldLogTooLarge { limit } => {
                write!(f, "the compressed old log holds more than {limit} bytes and is ignored")
            }
            Self::OldLogFailed { why } => write!(
                f,
                "the compressed old log could not be read and is tried again next round: {why}"
            ),
        }
    }
}

impl Oddity {
    /// Whether both are the same trouble, perhaps in other words.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        mem::discriminant(self) == mem::discriminant(other)
    }
}
