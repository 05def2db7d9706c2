//! A measurement as columns, and back.

use isems_core::{Basis, Measurement, NodeId, NodeStatus, Reported, Sample, Timestamp};
use sqlx::{
    Row, Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

/// A query with its arguments.
pub(super) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// The columns of a measurement but for its id and node, in the order in which
/// [`bind`] writes and [`measurement`] reads them.
macro_rules! columns {
    () => {
        "observed, reported, kind, basis, received, revision, firmware, time_to_shutdown, \
         power_save, open_circuit_voltage, mpp_voltage, battery_voltage, state_of_charge, \
         battery_health, battery_temperature, low_voltage_disconnect, charge_end_voltage, \
         battery_capacity, module_power, latitude, longitude, status"
    };
}
pub(super) use columns;

/// How many columns [`columns!`] names.
pub(super) const COLUMNS: usize = 22;

const TIME: i64 = 0;
const FINGERPRINT: i64 = 1;

/// The number that stands for a basis.
pub(super) const fn basis_code(basis: Basis) -> i64 {
    match basis {
        Basis::Node => 0,
        Basis::Corrected => 1,
        Basis::Estimated => 2,
    }
}

/// The basis that a number stands for.
pub(super) fn basis(code: i64) -> Result<Basis, sqlx::Error> {
    match code {
        0 => Ok(Basis::Node),
        1 => Ok(Basis::Corrected),
        2 => Ok(Basis::Estimated),
        _ => Err(impossible(format!("basis {code}"))),
    }
}

/// A stored value that this program never writes.
pub(super) fn impossible(what: String) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

/// A stored node id.
pub(super) fn node_id(text: &str) -> Result<NodeId, sqlx::Error> {
    NodeId::new(text).map_err(|error| impossible(format!("node id {text:?} {error}")))
}

/// A stored count or version, which is never negative.
pub(super) fn unsigned(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|_| impossible(format!("count {number}")))
}

/// A count or version as stored; SQLite's integers end at 2^63.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Adds the columns of a measurement to a query.
pub(super) fn bind<'q>(query: Bound<'q>, measurement: &Measurement) -> Bound<'q> {
    let kind = match measurement.reported {
        Reported::Time(_) => TIME,
        Reported::Fingerprint(_) => FINGERPRINT,
    };
    let sample = &measurement.sample;
    query
        .bind(measurement.observed.as_unix())
        .bind(measurement.reported.key())
        .bind(kind)
        .bind(basis_code(measurement.basis))
        .bind(measurement.received.map(Timestamp::as_unix))
        .bind(sample.revision.as_str())
        .bind(sample.firmware.as_str())
        .bind(sample.time_to_shutdown)
        .bind(i64::from(sample.power_save))
        .bind(sample.open_circuit_voltage)
        .bind(sample.mpp_voltage)
        .bind(sample.battery_voltage)
        .bind(sample.state_of_charge)
        .bind(sample.battery_health)
        .bind(sample.battery_temperature)
        .bind(sample.low_voltage_disconnect)
        .bind(sample.charge_end_voltage)
        .bind(sample.battery_capacity)
        .bind(sample.module_power)
        .bind(sample.latitude)
        .bind(sample.longitude)
        .bind(sample.status.map(|status| i64::from(status.bits())))
}

/// Reads the columns of a measurement, of which the first is column `first`.
pub(super) fn measurement(
    row: &SqliteRow,
    first: usize,
    node: NodeId,
) -> Result<Measurement, sqlx::Error> {
    let reported = row.try_get(first + 1)?;
    let reported = match row.try_get(first + 2)? {
        TIME => Reported::Time(Timestamp::from_unix(reported)),
        FINGERPRINT => Reported::Fingerprint(reported),
        other => return Err(impossible(format!("kind {other}"))),
    };
    Ok(Measurement {
        node,
        observed: Timestamp::from_unix(row.try_get(first)?),
        reported,
        basis: basis(row.try_get(first + 3)?)?,
        received: row.try_get::<Option<i64>, _>(first + 4)?.map(Timestamp::from_unix),
        sample: sample(row, first)?,
    })
}

/// Reads the values of a measurement, whose columns begin with column `first`.
pub(super) fn sample(row: &SqliteRow, first: usize) -> Result<Sample, sqlx::Error> {
    let status = row
        .try_get::<Option<i64>, _>(first + 21)?
        .map(|bits| {
            u16::try_from(bits)
                .map(NodeStatus::from_bits)
                .map_err(|_| impossible(format!("status {bits}")))
        })
        .transpose()?;
    Ok(Sample {
        revision: row.try_get(first + 5)?,
        firmware: row.try_get(first + 6)?,
        time_to_shutdown: row.try_get(first + 7)?,
        power_save: row.try_get::<i64, _>(first + 8)? != 0,
        open_circuit_voltage: row.try_get(first + 9)?,
        mpp_voltage: row.try_get(first + 10)?,
        battery_voltage: row.try_get(first + 11)?,
        state_of_charge: row.try_get(first + 12)?,
        battery_health: row.try_get(first + 13)?,
        battery_temperature: row.try_get(first + 14)?,
        low_voltage_disconnect: row.try_get(first + 15)?,
        charge_end_voltage: row.try_get(first + 16)?,
        battery_capacity: row.try_get(first + 17)?,
        module_power: row.try_get(first + 18)?,
        latitude: row.try_get(first + 19)?,
        longitude: row.try_get(first + 20)?,
        status,
    })
}
