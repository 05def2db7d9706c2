//! From a row of the old table to a measurement.

use std::collections::BTreeMap;

use isems_core::{Basis, Measurement, NodeId, Reported, Sample, Timestamp};
use jiff::tz::TimeZone;

use super::{
    cell::{Cell, Comma, Unusable},
    local_time::{Hour, LocalTimes, OldTime},
    report::{ImportReport, Noted, note},
    text,
};

/// 2016-01-01T00:00:00Z: no node measured before.
const EARLIEST: Timestamp = Timestamp::from_unix(1_451_606_400);

/// The columns of the old table but for its `id`, in the order of [`Cells`].
pub(super) const COLUMNS: [&str; 19] = [
    "nodeId",
    "timestamp",
    "isemsRevision",
    "openMPPTFirmwareVersion",
    "timeToShutdown",
    "isPowerSaveMode",
    "openCircuitVoltage",
    "mppVoltage",
    "batteryVoltage",
    "batteryChargeEstimate",
    "batteryHealthEstimate",
    "batteryTemperature",
    "lowVoltageDisconnectVoltage",
    "temperatureCorrectedVoltage",
    "rateBatteryCapacity",
    "ratedSolarModuleCapacity",
    "latitude",
    "longitude",
    "status",
];

/// The columns without which no row can be told from another. Others were
/// added in the course of time.
pub(super) const REQUIRED: [&str; 2] = ["nodeId", "timestamp"];

/// A row of the old table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'r> {
    pub(super) row: i64,
    /// By [`COLUMNS`].
    pub(super) values: [Cell<'r>; COLUMNS.len()],
}

/// Converts rows in the order of their ids and keeps account of what it meets.
#[derive(Debug)]
pub(super) struct Converter<'z> {
    times: LocalTimes<'z>,
    now: Timestamp,
    pub(super) report: ImportReport,
}

/// Why a row cannot be imported, and which of its values says so.
struct Skip<'r> {
    reason: String,
    value: Cell<'r>,
}

impl<'r> Skip<'r> {
    fn new(reason: &str, value: Cell<'r>) -> Self {
        Self { reason: reason.to_owned(), value }
    }
}

impl<'z> Converter<'z> {
    pub(super) fn new(zone: &'z TimeZone, now: Timestamp) -> Self {
        Self { times: LocalTimes::new(zone), now, report: ImportReport::default() }
    }

    /// `None` if the row cannot be imported, which the report tells then.
    pub(super) fn convert(&mut self, cells: &Cells<'_>) -> Option<Measurement> {
        self.report.rows += 1;
        let [node_cell, time_cell, revision, firmware, values @ ..] = cells.values;
        let place = self.node(node_cell).and_then(|node| Ok((self.time(&node, time_cell)?, node)));
        let (observed, node) = match place {
            Ok(place) => place,
            Err(skip) => {
                note(&mut self.report.not_imported, skip.reason, cells.row, || {
                    skip.value.to_string()
                });
                return None;
            }
        };
        let (revision, revision_repaired) = repaired(revision);
        let (firmware, firmware_repaired) = repaired(firmware);
        self.report.repaired_texts += u64::from(revision_repaired || firmware_repaired);
        let mut values = Values {
            row: cells.row,
            unknown: &mut self.report.unknown_values,
            left: COLUMNS[4..].iter().copied().zip(values),
        };
        // The fields are in the order of the columns, each of which is taken.
        let sample = Sample {
            revision,
            firmware,
            time_to_shutdown: values.number(),
            power_save: values.take().1.switch(),
            open_circuit_voltage: values.number(),
            mpp_voltage: values.number(),
            battery_voltage: values.number(),
            state_of_charge: values.number(),
            battery_health: values.number(),
            battery_temperature: values.number(),
            low_voltage_disconnect: values.number().map(volts),
            charge_end_voltage: values.number(),
            battery_capacity: values.number(),
            module_power: values.number(),
            latitude: values.usable(|cell| cell.degrees(90.0)),
            longitude: values.usable(|cell| cell.degrees(180.0)),
            status: values.usable(Cell::status),
        };
        Some(Measurement {
            node,
            observed,
            reported: Reported::Time(observed),
            basis: Basis::Node,
            received: None,
            sample,
        })
    }

    fn node<'r>(&mut self, cell: Cell<'r>) -> Result<NodeId, Skip<'r>> {
        if cell == Cell::Null {
            return Err(Skip::new("node id is missing", cell));
        }
        let text = cell.text();
        let repaired = text::repair(&text);
        let node = NodeId::new(repaired.as_deref().unwrap_or(&text))
            .map_err(|error| Skip { reason: format!("node id {error}"), value: cell })?;
        if repaired.is_some() && !self.report.repaired_names.contains_key(&*text) {
            let garbled = text.into_owned();
            self.report.repaired_names.insert(garbled, node.clone());
        }
        Ok(node)
    }

    fn time<'r>(&mut self, node: &NodeId, cell: Cell<'r>) -> Result<Timestamp, Skip<'r>> {
        let unreadable = || Skip::new("time is not readable", cell);
        let (at, hour) = match OldTime::read(cell) {
            None if cell == Cell::Null => return Err(Skip::new("time is missing", cell)),
            None => return Err(unreadable()),
            Some(OldTime::Unix(seconds)) => (Timestamp::from_unix(seconds), Hour::Plain),
            Some(OldTime::Wall(wall)) => self.times.convert(node, wall).ok_or_else(unreadable)?,
        };
        if at < EARLIEST {
            return Err(Skip::new("time is before 2016", cell));
        }
        if at > self.now {
            return Err(Skip::new("time is after the import", cell));
        }
        match hour {
            Hour::Plain => {}
            Hour::Summer => self.report.repeated_hour_summer += 1,
            Hour::Winter => self.report.repeated_hour_winter += 1,
            Hour::Skipped => self.report.skipped_hour += 1,
        }
        Ok(at)
    }
}

/// The text of a cell, and whether it had to be repaired.
fn repaired(cell: Cell<'_>) -> (String, bool) {
    let text = cell.text();
    match text::repair(&text) {
        Some(repaired) => (repaired, true),
        None => (text.into_owned(), false),
    }
}

/// Old external modules send the low-voltage disconnect in mV.
fn volts(sent: f64) -> f64 {
    if sent > 100.0 { sent / 1000.0 } else { sent }
}

/// The values of a row that are left to convert, with their columns.
struct Values<'a, I> {
    row: i64,
    unknown: &'a mut BTreeMap<String, Noted>,
    left: I,
}

impl<'r, I: Iterator<Item = (&'static str, Cell<'r>)>> Values<'_, I> {
    fn take(&mut self) -> (&'static str, Cell<'r>) {
        self.left.next().unwrap_or(("", Cell::Null))
    }

    fn number(&mut self) -> Option<f64> {
        self.usable(|cell| cell.number(Comma::No))
    }

    /// Takes the next value; one that cannot be converted is unknown and noted.
    fn usable<T>(
        &mut self,
        convert: impl FnOnce(Cell<'r>) -> Result<Option<T>, Unusable>,
    ) -> Option<T> {
        let (column, cell) = self.take();
        convert(cell).unwrap_or_else(|unusable| {
            let key = format!("{column} {unusable}");
            note(self.unknown, key, self.row, || cell.to_string());
            None
        })
    }
}
