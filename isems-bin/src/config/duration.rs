//! Durations as operators write them: `90`, `60s`, `15m`, `1h30m`, `500ms`.

use std::{fmt::Write as _, time::Duration};

/// Reads a duration: whole numbers with the units `ms`, `s`, `m`, `h`, `d`, the
/// larger first; a lone number is in seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut before = u64::MAX;
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        let number: u64 = digits.parse().map_err(|_| "is not a duration".to_owned())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(format!("lacks a unit after {number}")),
            _ => return Err(format!("has the unknown unit {unit:?}")),
        };
        if milliseconds >= before {
            return Err("is not a duration: write the larger unit first".to_owned());
        }
        before = milliseconds;
        total = number
            .checked_mul(milliseconds)
            .and_then(|ms| total.checked_add(Duration::from_millis(ms)))
            .ok_or_else(|| "is too long".to_owned())?;
        rest = after;
    }
    if text.is_empty() {
        return Err("is not a duration".to_owned());
    }
    Ok(total)
}

/// Writes a duration as [`parse`] reads it, in as few parts as possible.
pub(crate) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, milliseconds) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        let number = rest / milliseconds;
        rest %= milliseconds;
        if number > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}{unit}");
        }
    }
    text
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_operators_write_them() {
        for (text, milliseconds) in [
            ("90", 90_000),
            ("0", 0),
            (" 60s ", 60_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1m500ms", 60_500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "is not a duration"),
            ("soon", "is not a duration"),
            ("-5", "is not a duration"),
            ("1.5h", "has the unknown unit \".\""),
            ("5 min", "has the unknown unit \" min\""),
            ("1h30", "lacks a unit after 30"),
            ("30m1h", "is not a duration: write the larger unit first"),
            ("5m5m", "is not a duration: write the larger unit first"),
            ("99999999999999999d", "is too long"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_shown_duration_is_read_back() {
        for text in ["0s", "15m", "1h30m", "2d", "1m30s500ms"] {
            assert_eq!(parse(text).map(show), Ok(text.to_owned()));
        }
    }
}
