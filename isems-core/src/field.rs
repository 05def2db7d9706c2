//! The numeric fields of a sample, by name.

use crate::{NodeStatus, Sample};

/// A numeric field of a [`Sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Watchdog countdown in minutes (ESP32: cycles of 15 s).
    TimeToShutdown,
    /// `V_oc` of the panel in V.
    OpenCircuitVoltage,
    /// `V_in` at the maximum power point in V.
    MppVoltage,
    /// `V_out` in V.
    BatteryVoltage,
    /// State of charge in %.
    StateOfCharge,
    /// Battery health in %.
    BatteryHealth,
    /// Battery temperature in °C.
    BatteryTemperature,
    /// Low-voltage disconnect in V.
    LowVoltageDisconnect,
    /// Temperature-corrected charge end in V.
    ChargeEndVoltage,
    /// Rated battery capacity in Ah.
    BatteryCapacity,
    /// Rated power of the panel in W.
    ModulePower,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = 13;

    /// All of them, in the order of the CSV line.
    pub const ALL: [Self; Self::COUNT] = [
        Self::TimeToShutdown,
        Self::OpenCircuitVoltage,
        Self::MppVoltage,
        Self::BatteryVoltage,
        Self::StateOfCharge,
        Self::BatteryHealth,
        Self::BatteryTemperature,
        Self::LowVoltageDisconnect,
        Self::ChargeEndVoltage,
        Self::BatteryCapacity,
        Self::ModulePower,
        Self::Latitude,
        Self::Longitude,
    ];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in the API and in reasons of rejection.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimeToShutdown => "timeToShutdown",
            Self::OpenCircuitVoltage => "openCircuitVoltage",
            Self::MppVoltage => "mppVoltage",
            Self::BatteryVoltage => "batteryVoltage",
            Self::StateOfCharge => "batteryChargeEstimate",
            Self::BatteryHealth => "batteryHealthEstimate",
            Self::BatteryTemperature => "batteryTemperature",
            Self::LowVoltageDisconnect => "lowVoltageDisconnectVoltage",
            Self::ChargeEndVoltage => "temperatureCorrectedVoltage",
            Self::BatteryCapacity => "rateBatteryCapacity",
            Self::ModulePower => "ratedSolarModuleCapacity",
            Self::Latitude => "latitude",
            Self::Longitude => "longitude",
        }
    }

    /// The field of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The unit, as people write it.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::TimeToShutdown => "min",
            Self::OpenCircuitVoltage
            | Self::MppVoltage
            | Self::BatteryVoltage
            | Self::LowVoltageDisconnect
            | Self::ChargeEndVoltage => "V",
            Self::StateOfCharge | Self::BatteryHealth => "%",
            Self::BatteryTemperature => "°C",
            Self::BatteryCapacity => "Ah",
            Self::ModulePower => "W",
            Self::Latitude | Self::Longitude => "°",
        }
    }

    /// What a node sent in this field; `None` if that is unknown.
    #[must_use]
    pub const fn sent(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::TimeToShutdown => sample.time_to_shutdown,
            Self::OpenCircuitVoltage => sample.open_circuit_voltage,
            Self::MppVoltage => sample.mpp_voltage,
            Self::BatteryVoltage => sample.battery_voltage,
            Self::StateOfCharge => sample.state_of_charge,
            Self::BatteryHealth => sample.battery_health,
            Self::BatteryTemperature => sample.battery_temperature,
            Self::LowVoltageDisconnect => sample.low_voltage_disconnect,
            Self::ChargeEndVoltage => sample.charge_end_voltage,
            Self::BatteryCapacity => sample.battery_capacity,
            Self::ModulePower => sample.module_power,
            Self::Latitude => sample.latitude,
            Self::Longitude => sample.longitude,
        }
    }

    /// What was measured, for figures that are derived: not the zeros that a
    /// silent controller leaves, and no health outside 0…100.
    #[must_use]
    pub fn measured(self, sample: &Sample) -> Option<f64> {
        let silent = sample.status.is_some_and(|s| s.contains(NodeStatus::CONTROLLER_SILENT));
        self.sent(sample)
            .filter(|value| !(silent && *value == 0.0))
            .filter(|value| self != Self::BatteryHealth || (0.0..=100.0).contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_are_consistent() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field.index(), place);
            assert_eq!(Field::from_name(field.name()), Some(field));
        }
        assert_eq!(Field::from_name("nodeId"), None);
    }

    #[test]
    fn zeros_of_a_silent_controller_and_odd_health_are_no_measurements() {
        let sample = |status, health| Sample {
            battery_voltage: Some(0.0),
            battery_capacity: Some(7.0),
            battery_health: Some(health),
            status: Some(NodeStatus::from_bits(status)),
            ..Sample::default()
        };
        for (status, health, voltage, capacity, measured_health) in [
            (0x0B2, 0.0, None, Some(7.0), None),
            (0x400, 0.0, Some(0.0), Some(7.0), Some(0.0)),
            (0x400, 100.0, Some(0.0), Some(7.0), Some(100.0)),
            (0x400, -905.0, Some(0.0), Some(7.0), None),
            (0x400, 100.5, Some(0.0), Some(7.0), None),
        ] {
            let sample = sample(status, health);
            assert_eq!(Field::BatteryVoltage.measured(&sample), voltage, "{status:03X}");
            assert_eq!(Field::BatteryCapacity.measured(&sample), capacity, "{status:03X}");
            assert_eq!(Field::BatteryHealth.measured(&sample), measured_health, "{health}");
        }
    }
}
