//! What one line of a node's log says, and what we believe of it.

use std::{fmt, sync::Arc};

use crate::{NodeStatus, Timestamp};

/// The name of a node, as it reports it in field 1 of a log line or as its
/// MQTT topic says: 1 to 128 bytes of UTF-8, no control characters, no `%`
/// (isems-app goes blank for every node if one name holds it), no surrounding
/// blanks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

/// Why a text cannot name a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeIdError {
    /// Nothing between the field's borders.
    #[error("is empty")]
    Empty,
    /// More than [`NodeId::MAX_BYTES`] bytes of UTF-8.
    #[error("is longer than 128 bytes")]
    TooLong,
    /// A control character, among them NUL and line ends.
    #[error("holds a control character")]
    Control,
    /// A percent sign, which blanks the page of the old web client.
    #[error("holds a percent sign")]
    Percent,
    /// Blanks before or after the name.
    #[error("begins or ends with a blank")]
    Blank,
}

impl NodeId {
    /// The longest name, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 128;

    /// Checks that `text` can name a node.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, NodeIdError> {
        if text.is_empty() {
            return Err(NodeIdError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NodeIdError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NodeIdError::Control);
        }
        if text.contains('%') {
            return Err(NodeIdError::Percent);
        }
        if text.trim() != text {
            return Err(NodeIdError::Blank);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for NodeId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The values that a node sent at one moment, as it sent them.
///
/// `None` is *unknown*: the node sent `nan`, `inf`, a blank coordinate, or (in
/// telemetry JSON) nothing. Numbers are finite and never `-0`. Zeros that
/// accompany [`NodeStatus::CONTROLLER_SILENT`] are kept, but are no
/// measurements. Field numbers are those of the CSV line, revision 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Field 2, `isemsRevision`: packet revision, `1` so far; empty if not sent.
    pub revision: String,
    /// Field 4, `openMPPTFirmwareVersion`: controller and firmware; empty when
    /// the controller is silent.
    pub firmware: String,
    /// Field 5, `timeToShutdown`: watchdog countdown in minutes (ESP32: cycles
    /// of 15 s).
    pub time_to_shutdown: Option<f64>,
    /// Field 6, `isPowerSaveMode`: off for `0`, on for anything else.
    pub power_save: bool,
    /// Field 7, `openCircuitVoltage`: `V_oc` of the panel in V; may be below the
    /// MPP voltage.
    pub open_circuit_voltage: Option<f64>,
    /// Field 8, `mppVoltage`: `V_in` at the maximum power point in V; 0 at night.
    pub mpp_voltage: Option<f64>,
    /// Field 9, `batteryVoltage`: `V_out` in V.
    pub battery_voltage: Option<f64>,
    /// Field 10, `batteryChargeEstimate`: state of charge in %.
    pub state_of_charge: Option<f64>,
    /// Field 11, `batteryHealthEstimate`: in %; values outside 0…100 (`-905`
    /// occurs) are kept but are no measurements.
    pub battery_health: Option<f64>,
    /// Field 12, `batteryTemperature`: in °C; −149 is a shorted sensor.
    pub battery_temperature: Option<f64>,
    /// Field 13, `lowVoltageDisconnectVoltage`: in V (modules that send mV are
    /// converted).
    pub low_voltage_disconnect: Option<f64>,
    /// Field 14, `temperatureCorrectedVoltage`: charge end voltage, corrected
    /// by temperature, in V.
    pub charge_end_voltage: Option<f64>,
    /// Field 15, `rateBatteryCapacity` (sic): rated capacity in Ah; 0 if not
    /// configured.
    pub battery_capacity: Option<f64>,
    /// Field 16, `ratedSolarModuleCapacity`: rated power of the panel in W; 0
    /// if not configured.
    pub module_power: Option<f64>,
    /// Field 17, `latitude`: degrees north, −90…90.
    pub latitude: Option<f64>,
    /// Field 18, `longitude`: degrees east, −180…180.
    pub longitude: Option<f64>,
    /// Field 19, `status`; absent on very old nodes (18 fields).
    pub status: Option<NodeStatus>,
}

/// What stands for a measurement's time in what the node sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reported {
    /// The time in the log line, right or wrong.
    Time(Timestamp),
    /// Telemetry JSON carries no time: a 64-bit hash of the payload tells one
    /// message from the next.
    Fingerprint(i64),
}

impl Reported {
    /// The number by which the identity of a measurement is compared; for
    /// adapters that keep it in one column.
    #[must_use]
    pub const fn key(self) -> i64 {
        match self {
            Self::Time(time) => time.as_unix(),
            Self::Fingerprint(hash) => hash,
        }
    }
}

/// Why we believe the observed time of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// The node's own clock, as reported.
    Node,
    /// The node's clock, corrected by a clock step or a known offset.
    Corrected,
    /// Counted from the arrival of the delivery.
    Estimated,
}

impl Basis {
    /// The word of the API: `node`, `corrected` or `estimated`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Corrected => "corrected",
            Self::Estimated => "estimated",
        }
    }
}

/// A sample with its node and times: what is stored.
///
/// Its identity is (`node`, `observed`, `reported`).
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Who measured.
    pub node: NodeId,
    /// When we believe it was measured. "Latest", activity and retention go by
    /// this.
    pub observed: Timestamp,
    /// What the node said of the time.
    pub reported: Reported,
    /// Why we believe `observed`.
    pub basis: Basis,
    /// When it reached us; `None` for rows imported from the old collector.
    pub received: Option<Timestamp>,
    /// The values.
    pub sample: Sample,
}

/// The number that a repository gave a measurement: unique and stable.
pub type RowId = i64;

/// A measurement as a repository returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMeasurement {
    /// Unique in the repository and stable for the life of the row.
    pub id: RowId,
    /// The measurement.
    pub measurement: Measurement,
}
