//! How far a node was read, kept by the repository with the rows.

use isems_core::{Framing, ReadPosition, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    fetch::is_one_tag,
    lines::{first_line, terminated_len},
};

/// A log that is missing for longer is not being rotated, in seconds: that takes
/// about a minute, and a busy router is given three. Time tells, not the number
/// of polls, which may be a second or a day apart.
const ROTATION_AT_MOST: i64 = 180;

/// What is remembered of a node's log. All of it speaks of deliveries that
/// were confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Position {
    /// Of the log, if it was read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// The lines of the log that were used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) used: Option<Prefix>,
    /// The log's first line: another one means another log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_line: Option<Digest>,
    /// Of the compressed old log that was read last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old_etag: Option<String>,
    /// The log began anew and the old one could not be read yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) old_wanted: bool,
    /// The log was missing when it was asked for last: since then, by our
    /// clock, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_missing_since: Option<i64>,
}

/// Recognises bytes at the beginning of a log without keeping them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prefix {
    pub(super) bytes: usize,
    sha256: Digest,
}

/// A SHA-256, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Digest(String);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    pub(super) fn of_first_line(log: &[u8]) -> Self {
        Self::of(first_line(log))
    }
}

impl Prefix {
    pub(super) fn of(used: &[u8]) -> Self {
        Self { bytes: used.len(), sha256: Digest::of(used) }
    }
}

impl Position {
    /// Reads what [`to_stored`](Self::to_stored) wrote; `None` if it is not
    /// that (then everything is read again, which the repository recognises).
    pub(super) fn from_stored(stored: &ReadPosition) -> Option<Self> {
        let mut position: Self = serde_json::from_str(&stored.0).ok()?;
        position.etag = position.etag.filter(|tag| is_one_tag(tag));
        position.old_etag = position.old_etag.filter(|tag| is_one_tag(tag));
        Some(position)
    }

    pub(super) fn to_stored(&self) -> ReadPosition {
        // A struct of texts and numbers always becomes JSON.
        ReadPosition(serde_json::to_string(self).unwrap_or_default())
    }

    /// How many bytes of `payload` are whole lines that a confirmed delivery
    /// held before.
    pub(super) fn known_prefix(&self, payload: &[u8], framing: Framing) -> usize {
        let Some(used) = &self.used else { return 0 };
        let Some((same, rest)) = payload.split_at_checked(used.bytes) else {
            return 0;
        };
        if Digest::of(same) != used.sha256 {
            return 0;
        }
        // The line that ended the log then may have had no newline yet.
        if same.is_empty() || same.ends_with(b"\n") {
            same.len()
        } else if rest.starts_with(b"\n") {
            same.len() + 1
        } else if rest.starts_with(b"\r\n") {
            same.len() + 2
        } else if rest.is_empty() && framing == Framing::Log {
            same.len()
        } else {
            terminated_len(same)
        }
    }

    /// Whether `log` begins with another line than the log read last.
    pub(super) fn began_anew(&self, log: &[u8]) -> bool {
        self.first_line.as_ref().is_some_and(|known| *known != Digest::of_first_line(log))
    }

    /// What to remember while the log is missing, as it is `now`; nothing if it
    /// is missing for longer than a rotation takes.
    pub(super) fn while_log_is_missing(&self, now: Timestamp) -> Option<Self> {
        let since = self.log_missing_since.map(Timestamp::from_unix);
        // From a clock that was set back since, time is counted anew. One that was
        // set ahead ends the patience early, which costs one line of the log.
        let since = since.filter(|since| *since <= now).unwrap_or(now);
        let rotates = now.since(since) <= ROTATION_AT_MOST;
        rotates.then(|| Self { log_missing_since: Some(since.as_unix()), ..self.clone() })
    }

    /// Whether all that was read last was a compressed old log.
    pub(super) const fn read_old_log_only(&self) -> bool {
        self.first_line.is_none() && self.old_etag.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(used: &str) -> Position {
        Position { used: Some(Prefix::of(used.as_bytes())), ..Position::default() }
    }

    #[test]
    fn the_known_prefix_ends_with_a_line() {
        let log = Framing::Log;
        for (used, payload, framing, known) in [
            ("a\nb\n", "a\nb\nc\n", log, 4),
            ("a\nb\n", "a\nb\n", log, 4),
            ("a\nb", "a\nb\nc\n", log, 4),
            ("a\nb", "a\nb\r\nc\n", log, 5),
            ("a\nb", "a\nb", log, 3),
            ("a\nb", "a\nb", Framing::Cut, 2),
            ("a\nb", "a\nbc\n", log, 2),
            ("a\nb\n", "a\nx\nc\n", log, 0),
            ("a\nb\n", "a\n", log, 0),
            ("", "a\n", log, 0),
        ] {
            let found = after(used).known_prefix(payload.as_bytes(), framing);
            assert_eq!(found, known, "{used:?} then {payload:?} {framing:?}");
        }
    }

    #[test]
    fn a_position_survives_being_stored() {
        let position = Position {
            etag: Some("\"1-2-3\"".into()),
            used: Some(Prefix::of(b"a\n")),
            first_line: Some(Digest::of_first_line(b"a\n")),
            old_etag: None,
            old_wanted: true,
            log_missing_since: Some(1_795_472_500),
        };
        assert_eq!(Position::from_stored(&position.to_stored()), Some(position));
    }

    #[test]
    fn what_an_older_or_newer_program_stored_does_no_harm() {
        let missing = Position { log_missing_since: Some(-7), ..Position::default() };
        for (stored, read) in [
            ("{}", Some(Position::default())),
            (r#"{"later":[1,2]}"#, Some(Position::default())),
            // Before it was known since when.
            (r#"{"log_missing":true}"#, Some(Position::default())),
            (r#"{"log_missing_since":-7}"#, Some(missing)),
            (r#"{"etag":"no tag\r\nX: y"}"#, Some(Position::default())),
            ("", None),
            ("null", None),
            (r#"{"used":7}"#, None),
        ] {
            let position = Position::from_stored(&ReadPosition(stored.into()));
            assert_eq!(position, read, "{stored}");
        }
    }

    #[test]
    fn a_log_began_anew_if_its_first_line_is_another() {
        let position = Position {
            first_line: Some(Digest::of_first_line(b"one\ntwo\n")),
            ..Position::default()
        };
        assert!(!position.began_anew(b"one\r\nother\n"));
        assert!(position.began_anew(b"two\n"));
        assert!(!Position::default().began_anew(b"two\n"));
    }
}
