//! Moments as clients write them.

use isems_core::{Timestamp, time::DAY};
use jiff::civil::Date;

/// The seconds of the years 1 to 9999.
pub(super) const KNOWN: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A whole number in decimal digits, perhaps with a minus.
pub(super) fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A moment of the years 1 to 9999: Unix seconds, or date and time by RFC 3339,
/// whose `+` may have become a blank on its way. Fractions of seconds are cut;
/// what an offset moves out of these years is their first or last moment.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let seconds = match whole(text) {
        Some(seconds) => KNOWN.contains(&seconds).then_some(seconds)?,
        None => rfc_3339(text)?.clamp(*KNOWN.start(), *KNOWN.end()),
    };
    Some(Timestamp::from_unix(seconds))
}

fn rfc_3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (head, rest) = bytes.split_at_checked(19)?;
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = head.iter().zip(shape).all(|(byte, like)| match like {
        b'd' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(like),
    });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'))
    };
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    // A leap second is the first of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let narrow = |number: i64| i8::try_from(number).ok();
    let year = i16::try_from(number(0, 4)).ok()?;
    let date = Date::new(year, narrow(number(5, 7))?, narrow(number(8, 10))?).ok()?;
    let days = (date - Date::constant(1970, 1, 1)).get_days();
    let offset = offset(without_fraction(rest)?)?;
    Some(i64::from(days) * DAY + hour * 3_600 + minute * 60 + second - offset)
}

fn without_fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &fraction[digits..])
}

/// `Z` or `±hh:mm`, in seconds.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        [b'Z' | b'z'] => Some(0),
        &[sign @ (b'+' | b'-' | b' '), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(u8::is_ascii_digit) =>
        {
            let number = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
            let (hours, minutes) = (number(h1, h2), number(m1, m2));
            let seconds = hours * 3_600 + minutes * 60;
            let signed = if sign == b'-' { -seconds } else { seconds };
            (hours <= 23 && minutes <= 59).then_some(signed)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_unix_seconds_or_rfc_3339() {
        for (text, unix) in [
            ("0", 0),
            ("-1", -1),
            ("1748768945", 1_748_768_945),
            ("2025-06-01T09:09:05Z", 1_748_768_945),
            ("2025-06-01t09:09:05z", 1_748_768_945),
            ("2025-06-01T11:09:05+02:00", 1_748_768_945),
            ("2025-06-01T11:09:05 02:00", 1_748_768_945),
            ("2025-06-01T05:39:05-03:30", 1_748_768_945),
            ("2025-06-01T09:09:05.999999999999Z", 1_748_768_945),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("2024-02-29T00:00:00Z", 1_709_164_800),
            ("0001-01-01T00:00:00Z", *KNOWN.start()),
            ("0001-01-01T00:00:00+23:59", *KNOWN.start()),
            ("0000-12-31T00:00:00Z", *KNOWN.start()),
            ("9999-12-31T23:59:59Z", *KNOWN.end()),
            ("9999-12-31T23:59:59-00:01", *KNOWN.end()),
        ] {
            assert_eq!(moment(text).map(Timestamp::as_unix), Some(unix), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_moment() {
        for text in [
            "",
            "now",
            "1.5",
            "-",
            "+1",
            "253402300800",
            "99999999999999999999",
            "2025-06-01",
            "2025-06-01T09:09",
            "2025-06-01T09:09:05",
            "2025-06-01 09:09:05Z",
            "2025-06-01T09:09:05.Z",
            "2025-06-01T09:09:05+0200",
            "2025-06-01T09:09:05+24:00",
            "2025-06-01T09:09:05Z ",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-06-01T24:00:00Z",
            "2025-06-01T09:60:05Z",
            "2025-06-01T09:09:61Z",
            "２025-06-01T09:09:05Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
