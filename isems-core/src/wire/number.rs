//! Numbers as firmware writes them.

/// Reads a number, surrounding blanks trimmed. `Ok(None)`: the node sent `nan`
/// or `inf` of either sign, so the value is unknown. `Err`: not a number.
pub(super) fn parse(text: &str) -> Result<Option<f64>, NotANumber> {
    let number: f64 = text.trim().parse().map_err(|_| NotANumber)?;
    Ok(tidy(number))
}

/// A coordinate: a decimal comma is accepted, blank is unknown, and so is what
/// lies outside ±`limit` degrees.
pub(super) fn parse_coordinate(text: &str, limit: f64) -> Result<Option<f64>, NotANumber> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = match text.split_once(',') {
        Some((whole, fraction)) => parse(&format!("{whole}.{fraction}"))?,
        None => parse(text)?,
    };
    Ok(within(number, limit))
}

/// Coordinates out of range are unknown.
pub(super) fn within(degrees: Option<f64>, limit: f64) -> Option<f64> {
    degrees.filter(|d| d.abs() <= limit)
}

/// Finite, and without the sign of a negative zero.
pub(super) fn tidy(number: f64) -> Option<f64> {
    number.is_finite().then_some(if number == 0.0 { 0.0 } else { number })
}

/// External modules send millivolts where all others send volts.
pub(super) fn low_voltage_disconnect(sent: Option<f64>) -> Option<f64> {
    sent.map(|v| if v > 100.0 { v / 1000.0 } else { v })
}

#[derive(Debug, PartialEq)]
pub(super) struct NotANumber;

/// `%.14g`, as Lua's `tostring` on the routers and the ESP32 boards.
pub(super) fn lua(number: f64) -> String {
    if !number.is_finite() {
        // Lua on the firmware's C library.
        return if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .into();
    }
    let scientific = format!("{number:.13e}");
    // `{:e}` always writes one `e` followed by a small decimal exponent.
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-5..14).contains(&exponent) && exponent > -5 {
        let decimals = usize::try_from(13 - exponent).unwrap_or(0);
        trim_zeros(&format!("{number:.decimals$}")).into()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.abs())
    }
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_firmware_are_read() {
        for (text, number) in [
            ("12.44", Ok(Some(12.44))),
            (" 12 ", Ok(Some(12.0))),
            ("-149", Ok(Some(-149.0))),
            ("-905", Ok(Some(-905.0))),
            ("1e3", Ok(Some(1000.0))),
            ("nan", Ok(None)),
            ("-nan", Ok(None)),
            ("inf", Ok(None)),
            ("-inf", Ok(None)),
            ("1e999", Ok(None)),
            ("", Err(NotANumber)),
            ("12,44", Err(NotANumber)),
            ("12.4.4", Err(NotANumber)),
            ("0x10", Err(NotANumber)),
            ("Volt", Err(NotANumber)),
        ] {
            assert_eq!(parse(text), number, "{text:?}");
        }
    }

    #[test]
    fn negative_zero_is_zero() {
        assert!(parse("-0").unwrap().unwrap().is_sign_positive());
    }

    #[test]
    fn coordinates_may_be_blank_have_a_comma_or_lie_nowhere() {
        for (text, degrees) in [
            ("52.507309", Ok(Some(52.507_309))),
            ("52,516", Ok(Some(52.516))),
            ("13,377 ", Ok(Some(13.377))),
            (" ", Ok(None)),
            ("", Ok(None)),
            ("0", Ok(Some(0.0))),
            ("-90", Ok(Some(-90.0))),
            ("90.1", Ok(None)),
            ("nan", Ok(None)),
            ("52,5,1", Err(NotANumber)),
            ("north", Err(NotANumber)),
        ] {
            assert_eq!(parse_coordinate(text, 90.0), degrees, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_lua_writes_them() {
        for (number, text) in [
            (12.440, "12.44"),
            (12.0, "12"),
            (0.0, "0"),
            (-149.0, "-149"),
            (13.458_635, "13.458635"),
            (1_748_750_582.0, "1748750582"),
            (0.1 + 0.2, "0.3"),
            (1e14, "1e+14"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(lua(number), text);
        }
    }
}
