//! Measurements as JSON, in the form that isems-app needs.
//!
//! Each rule here is one that blanks the page of the old client for all nodes
//! when broken: every key is always present, charge and coordinates are never
//! null, numbers are finite, the status has three lower-case digits.

use std::io;

use isems_core::{Sample, StoredMeasurement};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::iso_time::IsoTime;

/// About as long as one measurement becomes.
const ROW_BYTES: usize = 700;

/// `{"measurements":[…]}` of these rows, in their order, with times in `zone`,
/// and with the keys of `more` (`()`: none).
pub(super) fn measurements(
    rows: &[StoredMeasurement],
    zone: &TimeZone,
    more: impl Serialize,
) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Document<'a, M> {
        #[serde(serialize_with = "all")]
        measurements: (&'a [StoredMeasurement], &'a TimeZone),
        #[serde(flatten)]
        more: M,
    }
    fn all<S: Serializer>(
        (rows, zone): &(&[StoredMeasurement], &TimeZone),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(rows.iter().map(|stored| Row { stored, zone }))
    }
    let mut json = Vec::with_capacity(rows.len() * ROW_BYTES + 32);
    let measurements = (rows, zone);
    serde_json::to_writer(&mut json, &Document { measurements, more })?;
    Ok(json)
}

/// Writes the same one by one, which takes no more room than what is written.
pub(super) struct Writer<'a, W> {
    out: W,
    zone: &'a TimeZone,
    written: io::Result<()>,
    is_first: bool,
}

impl<'a, W: io::Write> Writer<'a, W> {
    pub(super) fn new(mut out: W, zone: &'a TimeZone) -> Self {
        let written = out.write_all(br#"{"measurements":["#);
        Self { out, zone, written, is_first: true }
    }

    pub(super) fn row(&mut self, stored: &StoredMeasurement) {
        let (between, zone) = (if self.is_first { "" } else { "," }, self.zone);
        self.is_first = false;
        if self.written.is_ok() {
            self.written = self
                .out
                .write_all(between.as_bytes())
                .and_then(|()| Ok(serde_json::to_writer(&mut self.out, &Row { stored, zone })?));
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// If something could not be written.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.written?;
        self.out.write_all(b"]}")?;
        Ok(self.out)
    }
}

struct Row<'a> {
    stored: &'a StoredMeasurement,
    zone: &'a TimeZone,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let measurement = &self.stored.measurement;
        let sample = &measurement.sample;
        let iso = |time| IsoTime { time, zone: self.zone };
        let node = measurement.node.as_str();
        let status = sample.status.unwrap_or_default().bits();

        let mut row = serializer.serialize_struct("measurement", 24)?;
        row.serialize_field("batteryChargeEstimate", &or_zero(sample.state_of_charge))?;
        row.serialize_field("batteryHealthEstimate", &finite(sample.battery_health))?;
        row.serialize_field("batteryTemperature", &finite(sample.battery_temperature))?;
        row.serialize_field("batteryVoltage", &finite(sample.battery_voltage))?;
        row.serialize_field("id", &self.stored.id)?;
        row.serialize_field("isPowerSaveMode", &sample.power_save)?;
        row.serialize_field("isemsRevision", &sample.revision)?;
        row.serialize_field("latitude", &or_zero(sample.latitude))?;
        row.serialize_field("longitude", &or_zero(sample.longitude))?;
        let disconnect = finite(sample.low_voltage_disconnect);
        row.serialize_field("lowVoltageDisconnectVoltage", &disconnect)?;
        row.serialize_field("mppVoltage", &finite(sample.mpp_voltage))?;
        row.serialize_field("nodeId", node)?;
        row.serialize_field("openCircuitVoltage", &finite(sample.open_circuit_voltage))?;
        row.serialize_field("openMPPTFirmwareVersion", &sample.firmware)?;
        row.serialize_field("rateBatteryCapacity", &finite(sample.battery_capacity))?;
        row.serialize_field("ratedSolarModuleCapacity", &finite(sample.module_power))?;
        row.serialize_field("status", &format_args!("0x{status:03x}"))?;
        let charge_end = finite(sample.charge_end_voltage);
        row.serialize_field("temperatureCorrectedVoltage", &charge_end)?;
        row.serialize_field("timeToShutdown", &finite(sample.time_to_shutdown))?;
        row.serialize_field("timestamp", &iso(measurement.observed))?;
        row.serialize_field("name", node)?;
        row.serialize_field("clock", measurement.basis.as_str())?;
        row.serialize_field("receivedAt", &measurement.received.map(iso))?;
        row.serialize_field("missing", &Missing(sample))?;
        row.end()
    }
}

/// The API names of the numbers that a sample does not know.
struct Missing<'a>(&'a Sample);

impl Serialize for Missing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sample = self.0;
        let numbers = [
            ("batteryChargeEstimate", sample.state_of_charge),
            ("batteryHealthEstimate", sample.battery_health),
            ("batteryTemperature", sample.battery_temperature),
            ("batteryVoltage", sample.battery_voltage),
            ("latitude", sample.latitude),
            ("longitude", sample.longitude),
            ("lowVoltageDisconnectVoltage", sample.low_voltage_disconnect),
            ("mppVoltage", sample.mpp_voltage),
            ("openCircuitVoltage", sample.open_circuit_voltage),
            ("rateBatteryCapacity", sample.battery_capacity),
            ("ratedSolarModuleCapacity", sample.module_power),
            ("temperatureCorrectedVoltage", sample.charge_end_voltage),
            ("timeToShutdown", sample.time_to_shutdown),
        ];
        serializer.collect_seq(
            numbers.into_iter().filter_map(|(name, value)| finite(value).is_none().then_some(name)),
        )
    }
}

/// The core promises finite numbers; a repository that breaks the promise must
/// not blank the page either.
fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|number| number.is_finite())
}

fn or_zero(value: Option<f64>) -> f64 {
    finite(value).unwrap_or(0.0)
}
