//! The CSV log line, revision 1: `;`-separated, 19 fields, on very old nodes
//! 18 (no status).
//!
//! ```
//! use isems_core::wire::csv_log::{parse_line, Line};
//!
//! let line = b"Elektra-Dach;1;1743163321;ATmega8_A_1;9940;0;21.002;17.041;12.58;23;100;17;11.7;14.2;7;20;52.507309;13.458635;880";
//! let Ok(Line::Reading(reading)) = parse_line(line) else { panic!("a good line") };
//! assert_eq!(reading.node.as_str(), "Elektra-Dach");
//! assert_eq!(reading.sample.battery_voltage, Some(12.58));
//! assert!(reading.sample.status.unwrap().contains(isems_core::NodeStatus::BATTERY_LOW));
//! ```

use std::collections::BTreeMap;

use super::{Reading, RejectReason, Rejected, number, text};
use crate::{Framing, NodeId, NodeStatus, Sample, Timestamp};

/// A line with the right number of fields holds at least so many separators.
const SEPARATORS: usize = 17;

/// A line that is well formed.
#[expect(clippy::large_enum_variant, reason = "nearly every line is a reading")]
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A measurement.
    Reading(Reading),
    /// `NODE;1;0;` and zeros: the node has not measured yet.
    BootPlaceholder(NodeId),
}

/// What a payload holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The measurements in the order of the lines.
    pub readings: Vec<Reading>,
    /// The first lines that could not be used, boot placeholders among them.
    pub rejected: Vec<Rejected>,
    /// How many lines could not be used, by [`RejectReason::key`].
    pub rejected_by_reason: BTreeMap<&'static str, u64>,
}

impl Log {
    /// So many rejected lines are kept as examples; the rest is counted. A
    /// hostile payload may hold millions.
    pub const EXAMPLES: usize = 20;

    /// Lines that could not be used, in all.
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected_by_reason.values().sum()
    }

    fn reject(&mut self, line: usize, reason: RejectReason, bytes: &[u8]) {
        *self.rejected_by_reason.entry(reason.key()).or_default() += 1;
        if self.rejected.len() < Self::EXAMPLES {
            self.rejected.push(Rejected::new(line, reason, bytes));
        }
    }
}

/// Reads the lines of a payload that count (see [`used_len`]).
///
/// A payload without a single line of the shape of a log is one rejected
/// answer; an empty one is an answer without news.
#[must_use]
pub fn parse(payload: &[u8], framing: Framing) -> Log {
    let mut readings = Vec::new();
    let log = parse_each(payload, framing, |reading| readings.push(reading));
    Log { readings, ..log }
}

/// The same, but hands each measurement on as soon as it is read; the log
/// holds none then.
pub fn parse_each(payload: &[u8], framing: Framing, mut take: impl FnMut(Reading)) -> Log {
    let used = &payload[..used_len(payload, framing)];
    let mut log = Log::default();
    let mut looks_like_a_log = false;
    for (line, bytes) in (1..).zip(used.split(|&b| b == b'\n')) {
        let bytes = without_cr(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        looks_like_a_log = looks_like_a_log || has_the_shape(bytes);
        match parse_line(bytes) {
            Ok(Line::Reading(reading)) => {
                looks_like_a_log = true;
                take(reading);
            }
            Ok(Line::BootPlaceholder(_)) => log.reject(line, RejectReason::BootPlaceholder, bytes),
            Err(reason) => log.reject(line, reason, bytes),
        }
    }
    if !looks_like_a_log {
        let trash = payload.trim_ascii_start();
        // A log whose only line is still being written is no news, not trash.
        let torn = used.is_empty() && !is_markup(trash);
        log = Log::default();
        if !trash.is_empty() && !torn {
            log.reject(1, RejectReason::NotALog, trash);
        }
    }
    log
}

/// How many bytes at the beginning of a payload hold lines that count.
///
/// A whole message counts whole. Of a log the last line counts if it ends in a
/// newline, or if it is visibly complete: 19 fields, the last of exactly three
/// hex digits (or a boot placeholder); otherwise it is left for the next time.
/// Of an answer that stopped early everything up to the last newline counts.
#[must_use]
pub fn used_len(payload: &[u8], framing: Framing) -> usize {
    let terminated = payload.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    match framing {
        Framing::Whole => payload.len(),
        Framing::Log if is_visibly_complete(&payload[terminated..]) => payload.len(),
        Framing::Log | Framing::Cut => terminated,
    }
}

/// Reads one line without its line end.
///
/// # Errors
/// Says which rule the line breaks.
pub fn parse_line(bytes: &[u8]) -> Result<Line, RejectReason> {
    let decoded = text::decode(without_cr(bytes));
    let line = decoded.trim_start_matches('\u{feff}');
    let mut fields = [""; 19];
    let mut count = 0;
    for field in line.split(';') {
        if let Some(place) = fields.get_mut(count) {
            *place = field;
        }
        count += 1;
    }
    if count != 18 && count != 19 {
        return Err(RejectReason::FieldCount(count));
    }
    let node = NodeId::new(fields[0])?;
    if fields[2..count].iter().all(|field| *field == "0") {
        return Ok(Line::BootPlaceholder(node));
    }
    let reported = parse_seconds(fields[2]).ok_or(RejectReason::Timestamp)?;
    let status = match count {
        18 => None,
        _ => Some(NodeStatus::from_hex(fields[18]).ok_or(RejectReason::Status)?),
    };
    let number =
        |at: usize, name| number::parse(fields[at]).map_err(|_| RejectReason::Number(name));
    let coordinate = |at: usize, name, limit| {
        number::parse_coordinate(fields[at], limit).map_err(|_| RejectReason::Number(name))
    };
    let sample = Sample {
        revision: text::tidy(fields[1]),
        firmware: text::tidy(fields[3]),
        time_to_shutdown: number(4, "timeToShutdown")?,
        power_save: fields[5].trim() != "0",
        open_circuit_voltage: number(6, "openCircuitVoltage")?,
        mpp_voltage: number(7, "mppVoltage")?,
        battery_voltage: number(8, "batteryVoltage")?,
        state_of_charge: number(9, "batteryChargeEstimate")?,
        battery_health: number(10, "batteryHealthEstimate")?,
        battery_temperature: number(11, "batteryTemperature")?,
        low_voltage_disconnect: number::low_voltage_disconnect(number(
            12,
            "lowVoltageDisconnectVoltage",
        )?),
        charge_end_voltage: number(13, "temperatureCorrectedVoltage")?,
        battery_capacity: number(14, "rateBatteryCapacity")?,
        module_power: number(15, "ratedSolarModuleCapacity")?,
        latitude: coordinate(16, "latitude", 90.0)?,
        longitude: coordinate(17, "longitude", 180.0)?,
        status,
    };
    Ok(Line::Reading(Reading { node, reported, sample }))
}

/// Writes a reading as firmware does, without a line end: numbers as Lua's
/// `%.14g`, unknown values as `nan`, unknown coordinates blank, 18 fields if
/// there is no status.
#[must_use]
pub fn format_line(reading: &Reading) -> String {
    let Reading { node, reported, sample } = reading;
    let number = |value: Option<f64>| number::lua(value.unwrap_or(f64::NAN));
    let coordinate = |value: Option<f64>| value.map_or_else(|| " ".into(), number::lua);
    let mut fields = vec![
        node.to_string(),
        sample.revision.clone(),
        reported.to_string(),
        sample.firmware.clone(),
        number(sample.time_to_shutdown),
        if sample.power_save { "1" } else { "0" }.into(),
        number(sample.open_circuit_voltage),
        number(sample.mpp_voltage),
        number(sample.battery_voltage),
        number(sample.state_of_charge),
        number(sample.battery_health),
        number(sample.battery_temperature),
        number(sample.low_voltage_disconnect),
        number(sample.charge_end_voltage),
        number(sample.battery_capacity),
        number(sample.module_power),
        coordinate(sample.latitude),
        coordinate(sample.longitude),
    ];
    fields.extend(sample.status.map(|status| status.to_string()));
    fields.join(";")
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn parse_seconds(field: &str) -> Option<Timestamp> {
    let digits = field.trim();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?.map(Timestamp::from_unix)
}

/// Whether a line could be meant as one of a log, right or wrong.
fn has_the_shape(line: &[u8]) -> bool {
    let separators = line.iter().filter(|byte| **byte == b';').take(SEPARATORS);
    !line.trim_ascii_start().starts_with(b"<") && separators.count() == SEPARATORS
}

/// Whether a payload begins like a page, not like the line of a node whose
/// name begins with `<`.
fn is_markup(payload: &[u8]) -> bool {
    payload.starts_with(b"<") && !payload.windows(3).any(|w| w == b";1;")
}

/// Whether an unterminated last line is all there: every field before the
/// status may have been cut short and still look like one.
fn is_visibly_complete(line: &[u8]) -> bool {
    let status = line.rsplit(|&b| b == b';').next().unwrap_or_default();
    let fields = line.split(|&b| b == b';').count();
    let complete = fields == 19 && status.len() == 3 && status.iter().all(u8::is_ascii_hexdigit);
    complete || matches!(parse_line(line), Ok(Line::BootPlaceholder(_)))
}

#[cfg(test)]
mod tests;
