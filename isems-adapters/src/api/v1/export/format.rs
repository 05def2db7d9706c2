//! How a measurement is written in a file.

use std::{
    fmt::Display,
    io::{self, Write},
};

use flate2::write::GzEncoder;
use isems_core::{Field, Sample, StoredMeasurement};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::api::{gzip, iso_time::IsoTime, v1::node_view::reported};

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Format {
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// A JSON object a line.
    Ndjson,
}

impl Format {
    /// The media type.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// What a file's name ends in.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }
}

/// The columns before those of [`Field::ALL`].
const COLUMNS: [&str; 9] = [
    "nodeId",
    "observed",
    "reported",
    "clock",
    "receivedAt",
    "isemsRevision",
    "openMPPTFirmwareVersion",
    "isPowerSaveMode",
    "status",
];

/// Writes pages of measurements one after the other.
pub(super) struct Writer {
    format: Format,
    zone: TimeZone,
    begun: bool,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl Writer {
    pub(super) fn new(format: Format, gzip: bool, zone: TimeZone) -> Self {
        Self { format, zone, begun: false, gzip: gzip.then(gzip::encoder) }
    }

    /// The bytes of a page; may be empty while the compression gathers more.
    pub(super) fn piece(&mut self, rows: &[StoredMeasurement]) -> io::Result<Vec<u8>> {
        let mut piece = self.beginning();
        for stored in rows {
            let row = Row { stored, zone: &self.zone };
            match self.format {
                Format::Csv => row.csv(&mut piece)?,
                Format::Ndjson => {
                    serde_json::to_writer(&mut piece, &row)?;
                    piece.push(b'\n');
                }
            }
        }
        let Some(gzip) = &mut self.gzip else { return Ok(piece) };
        gzip.write_all(&piece)?;
        Ok(std::mem::take(gzip.get_mut()))
    }

    /// The last bytes.
    pub(super) fn end(mut self) -> io::Result<Vec<u8>> {
        let piece = self.beginning();
        let Some(mut gzip) = self.gzip else { return Ok(piece) };
        gzip.write_all(&piece)?;
        gzip.finish()
    }

    fn beginning(&mut self) -> Vec<u8> {
        let begun = std::mem::replace(&mut self.begun, true);
        if begun || self.format == Format::Ndjson {
            return Vec::new();
        }
        let names: Vec<_> = COLUMNS.into_iter().chain(Field::ALL.map(Field::name)).collect();
        format!("{}\r\n", names.join(",")).into_bytes()
    }
}

struct Row<'a> {
    stored: &'a StoredMeasurement,
    zone: &'a TimeZone,
}

impl Row<'_> {
    fn sample(&self) -> &Sample {
        &self.stored.measurement.sample
    }

    fn status(&self) -> Option<String> {
        self.sample().status.map(|status| format!("0x{:03x}", status.bits()))
    }

    fn value(&self, field: Field) -> Option<f64> {
        field.sent(self.sample()).filter(|number| number.is_finite())
    }

    fn csv(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let measurement = &self.stored.measurement;
        let sample = self.sample();
        let iso = |time| IsoTime { time, zone: self.zone };
        quoted(out, measurement.node.as_str())?;
        write!(out, ",{},", iso(measurement.observed))?;
        or_nothing(out, reported(measurement).map(iso))?;
        write!(out, ",{},", measurement.basis.as_str())?;
        or_nothing(out, measurement.received.map(iso))?;
        out.push(b',');
        quoted(out, &sample.revision)?;
        out.push(b',');
        quoted(out, &sample.firmware)?;
        write!(out, ",{},", sample.power_save)?;
        or_nothing(out, self.status())?;
        for field in Field::ALL {
            out.push(b',');
            or_nothing(out, self.value(field))?;
        }
        out.write_all(b"\r\n")
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let measurement = &self.stored.measurement;
        let sample = self.sample();
        let iso = |time| IsoTime { time, zone: self.zone };
        let mut map = serializer.serialize_map(Some(COLUMNS.len() + Field::COUNT))?;
        map.serialize_entry("nodeId", measurement.node.as_str())?;
        map.serialize_entry("observed", &iso(measurement.observed))?;
        map.serialize_entry("reported", &reported(measurement).map(iso))?;
        map.serialize_entry("clock", measurement.basis.as_str())?;
        map.serialize_entry("receivedAt", &measurement.received.map(iso))?;
        map.serialize_entry("isemsRevision", &sample.revision)?;
        map.serialize_entry("openMPPTFirmwareVersion", &sample.firmware)?;
        map.serialize_entry("isPowerSaveMode", &sample.power_save)?;
        map.serialize_entry("status", &self.status())?;
        for field in Field::ALL {
            map.serialize_entry(field.name(), &self.value(field))?;
        }
        map.end()
    }
}

/// What is unknown is nothing between two commas.
fn or_nothing(out: &mut Vec<u8>, value: Option<impl Display>) -> io::Result<()> {
    value.map_or(Ok(()), |value| write!(out, "{value}"))
}

/// A text, in quotes if it would be read as something else without.
fn quoted(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    if text.contains([',', '"', '\r', '\n']) || text.trim() != text {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_they_must_be() {
        for (text, written) in [
            ("Dach", "Dach"),
            ("", ""),
            ("a b", "a b"),
            (" a", "\" a\""),
            ("a,b", "\"a,b\""),
            ("\"a\"", "\"\"\"a\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("ü;", "ü;"),
        ] {
            let mut out = Vec::new();
            quoted(&mut out, text).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }
}
