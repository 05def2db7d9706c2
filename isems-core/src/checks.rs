//! What people are told of a node's state (domain rules, "Status checks").

use crate::{Field, Measurement, NodeStatus, Timestamp, time::DAY};

/// How bad a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing is wrong.
    Info,
    /// Something wants attention some day.
    Warning,
    /// Something is wrong.
    Error,
    /// Somebody has to go there.
    Critical,
}

impl Level {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Something to say of a node, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// No measurement for more than a day.
    Silent,
    /// No communication with the charge controller (bit `010`).
    ControllerSilent,
    /// The energy storage is too small for its load (bit `040`).
    StorageTooSmall,
    /// The controller is too hot (bit `008`).
    Overheating,
    /// The battery level is low (bit `080`).
    BatteryLow,
    /// The temperature sensor is missing (bit `020`) or shorted (below −60 °C).
    SensorMissing,
    /// The battery is too cold (bit `004`).
    TooCold,
    /// The battery is full (bit `200`).
    FullyCharged,
    /// The battery is being charged (bit `800`).
    Charging,
    /// The battery is being discharged (bit `400`).
    Discharging,
}

/// A temperature below this comes from a shorted sensor, in °C.
const SHORTED_SENSOR: f64 = -60.0;

impl Check {
    /// All, the worst first.
    pub const ALL: [Self; 10] = [
        Self::Silent,
        Self::ControllerSilent,
        Self::StorageTooSmall,
        Self::Overheating,
        Self::BatteryLow,
        Self::SensorMissing,
        Self::TooCold,
        Self::FullyCharged,
        Self::Charging,
        Self::Discharging,
    ];

    /// How bad it is.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Silent | Self::ControllerSilent => Level::Critical,
            Self::StorageTooSmall | Self::Overheating => Level::Error,
            Self::BatteryLow | Self::SensorMissing | Self::TooCold => Level::Warning,
            Self::FullyCharged | Self::Charging | Self::Discharging => Level::Info,
        }
    }

    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::ControllerSilent => "controllerSilent",
            Self::StorageTooSmall => "storageTooSmall",
            Self::Overheating => "overheating",
            Self::BatteryLow => "batteryLow",
            Self::SensorMissing => "sensorMissing",
            Self::TooCold => "tooCold",
            Self::FullyCharged => "fullyCharged",
            Self::Charging => "charging",
            Self::Discharging => "discharging",
        }
    }

    fn applies(self, newest: &Measurement, now: Timestamp) -> bool {
        let status = newest.sample.status.unwrap_or_default();
        let silent = status.contains(NodeStatus::CONTROLLER_SILENT);
        match self {
            Self::Silent => now.since(newest.observed) > DAY,
            Self::ControllerSilent => silent,
            Self::StorageTooSmall => status.contains(NodeStatus::STORAGE_TOO_SMALL),
            Self::Overheating => status.contains(NodeStatus::OVERHEATING),
            Self::BatteryLow => status.contains(NodeStatus::BATTERY_LOW) && !silent,
            Self::SensorMissing => {
                let temperature = Field::BatteryTemperature.measured(&newest.sample);
                let shorted = temperature.is_some_and(|degrees| degrees < SHORTED_SENSOR);
                (status.contains(NodeStatus::SENSOR_MISSING) && !silent) || shorted
            }
            Self::TooCold => status.contains(NodeStatus::TOO_COLD),
            Self::FullyCharged => status.contains(NodeStatus::FULLY_CHARGED),
            Self::Charging => status.contains(NodeStatus::CHARGING),
            Self::Discharging => status.contains(NodeStatus::DISCHARGING),
        }
    }
}

/// All that is to be said of a node whose newest measurement is `newest`, the
/// worst first; the first names the node's state. Empty if its status says
/// nothing.
#[must_use]
pub fn checks(newest: &Measurement, now: Timestamp) -> Vec<Check> {
    Check::ALL.into_iter().filter(|check| check.applies(newest, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Basis, NodeId, Reported, Sample};

    const NOW: Timestamp = Timestamp::from_unix(1_748_768_945);

    fn newest(status: Option<u16>, temperature: f64, age: i64) -> Measurement {
        let observed = NOW.plus(-age);
        Measurement {
            node: NodeId::new("A").unwrap(),
            observed,
            reported: Reported::Time(observed),
            basis: Basis::Node,
            received: None,
            sample: Sample {
                battery_temperature: Some(temperature),
                status: status.map(NodeStatus::from_bits),
                ..Sample::default()
            },
        }
    }

    #[test]
    fn the_worst_comes_first() {
        use Check::{
            BatteryLow, Charging, ControllerSilent, Discharging, FullyCharged, Overheating,
            SensorMissing, Silent, StorageTooSmall, TooCold,
        };
        for (status, temperature, age, expected) in [
            (None, 20.0, 0, &[][..]),
            (Some(0x900), 20.0, 0, &[Charging]),
            (Some(0x500), 20.0, 0, &[Discharging]),
            (Some(0xA00), 20.0, 0, &[FullyCharged, Charging]),
            (Some(0x500), 20.0, 86_400, &[Discharging]),
            (Some(0x500), 20.0, 86_401, &[Silent, Discharging]),
            (Some(0x0B2), 0.0, 0, &[ControllerSilent]),
            (Some(0x880), 20.0, 0, &[BatteryLow, Charging]),
            (Some(0x420), 20.0, 0, &[SensorMissing, Discharging]),
            (Some(0x400), -149.0, 0, &[SensorMissing, Discharging]),
            (Some(0x400), -60.0, 0, &[Discharging]),
            (Some(0x44C), 20.0, 0, &[StorageTooSmall, Overheating, TooCold, Discharging]),
        ] {
            assert_eq!(checks(&newest(status, temperature, age), NOW), expected, "{status:03X?}");
        }
    }

    #[test]
    fn all_are_sorted_by_level() {
        assert!(Check::ALL.is_sorted_by_key(|check| std::cmp::Reverse(check.level())));
    }
}
