//! One value of an old row, of whatever type SQLite let into its column.

use std::{borrow::Cow, fmt};

use isems_core::NodeStatus;

use super::text;

/// A value as SQLite holds it. Columns have a type there only by custom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'r> {
    /// `NULL`, or the column is missing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number, perhaps infinite.
    Real(f64),
    /// Text or BLOB, in whatever encoding.
    Bytes(&'r [u8]),
}

/// Why a value is unknown now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    NotANumber,
    NotFinite,
    NotAStatus,
    OutOfRange,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "is not a number",
            Self::NotFinite => "is infinite",
            Self::NotAStatus => "is no status",
            Self::OutOfRange => "is out of range",
        })
    }
}

/// How a number may be written in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comma {
    /// As in coordinates that people typed.
    Decimal,
    /// Only a decimal point.
    No,
}

impl<'r> Cell<'r> {
    /// The value as text; empty for NULL.
    pub(super) fn text(self) -> Cow<'r, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Integer(number) => number.to_string().into(),
            Self::Real(number) => number.to_string().into(),
            Self::Bytes(bytes) => text::decode(bytes),
        }
    }

    /// The value as a finite number, never `-0`; unknown for NULL and blanks.
    pub(super) fn number(self, comma: Comma) -> Result<Option<f64>, Unusable> {
        let number = match self {
            Self::Null => return Ok(None),
            Self::Integer(number) => number as f64,
            Self::Real(number) => number,
            Self::Bytes(bytes) => {
                let text = text::decode(bytes);
                let text = text.trim();
                if text.is_empty() {
                    return Ok(None);
                }
                let number = match comma {
                    Comma::Decimal => text.replacen(',', ".", 1).parse::<f64>(),
                    Comma::No => text.parse(),
                };
                number.map_err(|_| Unusable::NotANumber)?
            }
        };
        if number.is_finite() {
            // Makes 0 of -0.
            Ok(Some(number + 0.0))
        } else {
            Err(Unusable::NotFinite)
        }
    }

    /// The value as degrees of at most `bound` to both sides of 0.
    pub(super) fn degrees(self, bound: f64) -> Result<Option<f64>, Unusable> {
        match self.number(Comma::Decimal)? {
            Some(degrees) if degrees.abs() > bound => Err(Unusable::OutOfRange),
            degrees => Ok(degrees),
        }
    }

    /// Off for 0 and the words for it, also for NULL; else on.
    pub(super) fn switch(self) -> bool {
        if let Ok(Some(number)) = self.number(Comma::No) {
            return number != 0.0;
        }
        let text = self.text();
        let off = ["", "false", "f", "off", "no", "n"];
        !off.contains(&text.trim().to_ascii_lowercase().as_str())
    }

    /// Twelve bits, as the number the old collector stored or in hex.
    pub(super) fn status(self) -> Result<Option<NodeStatus>, Unusable> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(bits) => u64::try_from(bits)
                .map(|bits| Some(NodeStatus::from_bits((bits & 0xFFF) as u16)))
                .map_err(|_| Unusable::NotAStatus),
            Self::Real(_) => Err(Unusable::NotAStatus),
            Self::Bytes(bytes) => {
                let text = text::decode(bytes);
                if text.trim().is_empty() {
                    return Ok(None);
                }
                NodeStatus::from_hex(&text).map(Some).ok_or(Unusable::NotAStatus)
            }
        }
    }
}

impl fmt::Display for Cell<'_> {
    /// Short enough for a line of a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Bytes(bytes) => {
                let text = text::decode(bytes);
                let start: String = text.chars().take(SHOWN).collect();
                let more = if start.len() < text.len() { "…" } else { "" };
                write!(f, "{start:?}{more}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn text(text: &str) -> Cell<'_> {
        Cell::Bytes(text.as_bytes())
    }

    #[test]
    fn numbers_are_read_from_whatever_the_column_holds() {
        for (cell, expected) in [
            (Cell::Null, Ok(None)),
            (Cell::Integer(12), Ok(Some(12.0))),
            (Cell::Real(-905.0), Ok(Some(-905.0))),
            (text(" 12.44 "), Ok(Some(12.44))),
            (text("  "), Ok(None)),
            (text("12,44"), Err(Unusable::NotANumber)),
            (text("n/a"), Err(Unusable::NotANumber)),
            (Cell::Bytes(b"\xFF"), Err(Unusable::NotANumber)),
            (Cell::Real(f64::NEG_INFINITY), Err(Unusable::NotFinite)),
            (text("-Infinity"), Err(Unusable::NotFinite)),
            (text("nan"), Err(Unusable::NotFinite)),
            (text("9e999"), Err(Unusable::NotFinite)),
        ] {
            assert_eq!(cell.number(Comma::No), expected, "{cell}");
        }
    }

    #[test]
    fn minus_zero_becomes_zero() {
        for cell in [Cell::Real(-0.0), text("-0")] {
            let zero = cell.number(Comma::No).unwrap().unwrap();
            assert!(zero.is_sign_positive(), "{cell}");
        }
    }

    #[test]
    fn coordinates_may_have_a_comma_and_must_be_on_earth() {
        for (cell, expected) in [
            (text("52,516"), Ok(Some(52.516))),
            (text("52.516 "), Ok(Some(52.516))),
            (Cell::Real(90.0), Ok(Some(90.0))),
            (Cell::Real(-90.001), Err(Unusable::OutOfRange)),
            (text("5,2,5"), Err(Unusable::NotANumber)),
        ] {
            assert_eq!(cell.degrees(90.0), expected, "{cell}");
        }
    }

    #[test]
    fn a_switch_is_off_for_zero_and_its_words() {
        for off in [
            Cell::Null,
            Cell::Integer(0),
            Cell::Real(0.0),
            text("0"),
            text("False"),
            text(" off "),
            text(""),
        ] {
            assert!(!off.switch(), "{off}");
        }
        for on in [Cell::Integer(1), Cell::Integer(6), text("6"), text("on"), text("true")] {
            assert!(on.switch(), "{on}");
        }
    }

    #[test]
    fn a_status_is_a_number_of_twelve_bits_or_hex() {
        let bits = |bits| Ok(Some(NodeStatus::from_bits(bits)));
        for (cell, expected) in [
            (Cell::Null, Ok(None)),
            (Cell::Integer(256), bits(0x100)),
            (Cell::Integer(0x1900), bits(0x900)),
            (text("0x0B2"), bits(0x0B2)),
            (text(""), Ok(None)),
            (Cell::Integer(-1), Err(Unusable::NotAStatus)),
            (Cell::Real(2.5), Err(Unusable::NotAStatus)),
            (text("nine"), Err(Unusable::NotAStatus)),
        ] {
            assert_eq!(cell.status(), expected, "{cell}");
        }
    }
}
