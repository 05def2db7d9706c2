//! A 12 V lead-acid battery with its panel and load: how charge moves, and
//! which voltages a meter would show. Energy is only moved, never made.

/// Open terminal voltage of an empty battery under the small load of a node.
const EMPTY_VOLTS: f64 = 11.43;
/// Volts between an empty and a full battery, as seen at night.
const SPAN_VOLTS: f64 = 1.27;
/// Volts that a strong charge current adds to an empty battery, and how many
/// more to a full one.
const POLARISATION_VOLTS: f64 = 1.6;
const POLARISATION_VOLTS_WHEN_FULL: f64 = 1.2;
/// Charge current, in capacities per hour, that adds two thirds of that.
const POLARISATION_RATE: f64 = 0.07;
/// Seconds until the polarisation has followed the current by two thirds.
const POLARISATION_SECONDS: f64 = 1_200.0;
/// Charge end voltage at 25 °C, and its change per °C.
const END_VOLTS: f64 = 14.1;
const END_VOLTS_PER_DEGREE: f64 = -0.03;
/// Part of the panel's current that stays in the battery.
const CHARGE_EFFICIENCY: f64 = 0.92;

/// What panel and load do during one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Power that the panel offers, in W.
    pub(super) panel_watts: f64,
    /// Power that the node takes, in W.
    pub(super) load_watts: f64,
    /// Temperature of the battery in °C.
    pub(super) temperature: f64,
}

/// What happened during one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// Charge that went in, in Ah.
    pub(super) charged: f64,
    /// Charge that went out, in Ah.
    pub(super) discharged: f64,
    /// The panel offered more than the battery may take.
    pub(super) limited: bool,
}

/// One battery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Battery {
    capacity: f64,
    charge: f64,
    polarisation: f64,
}

impl Battery {
    /// A battery of `capacity` Ah, filled to `charge` (`0.0..=1.0`).
    pub(super) const fn new(capacity: f64, charge: f64) -> Self {
        Self { capacity, charge, polarisation: 0.0 }
    }

    /// Voltage at the terminals.
    pub(super) fn volts(&self) -> f64 {
        self.rest_volts() + self.polarisation
    }

    /// Lets `seconds` go by.
    pub(super) fn step(&mut self, demand: Demand, seconds: f64) -> Flow {
        let offered = demand.panel_watts / self.volts().max(EMPTY_VOLTS);
        let allowed = self.current_limit(demand.temperature);
        let current = offered.min(allowed);

        let rate = current / self.capacity / POLARISATION_RATE;
        let target = self.polarisation_span() * (1.0 - (-rate).exp());
        let followed = 1.0 - (-seconds / POLARISATION_SECONDS).exp();
        self.polarisation += (target - self.polarisation) * followed;

        let flow = self.flow(demand, offered, allowed, seconds);
        self.charge += (flow.charged - flow.discharged) / self.capacity;
        self.charge = self.charge.clamp(0.0, 1.0);
        flow
    }

    fn flow(&self, demand: Demand, offered: f64, allowed: f64, seconds: f64) -> Flow {
        let hours = seconds / 3_600.0;
        let stored = self.charge * self.capacity;
        let taken = demand.load_watts / self.volts().max(EMPTY_VOLTS) * hours;
        let discharged = taken.min(stored);
        let room = self.capacity - (stored - discharged);
        let given = offered.min(allowed) * CHARGE_EFFICIENCY * hours;
        Flow { charged: given.min(room), discharged, limited: offered > allowed }
    }

    fn rest_volts(&self) -> f64 {
        EMPTY_VOLTS + SPAN_VOLTS * self.charge
    }

    /// Volts that the strongest current would add: rises steeply near the end.
    fn polarisation_span(&self) -> f64 {
        POLARISATION_VOLTS + POLARISATION_VOLTS_WHEN_FULL * self.charge.powi(8)
    }

    /// The current at which the voltage settles at the charge end, in A: what
    /// the controller lets through.
    fn current_limit(&self, temperature: f64) -> f64 {
        let headroom = charge_end_volts(temperature) - self.rest_volts();
        let part = headroom / self.polarisation_span();
        if part >= 1.0 {
            return f64::INFINITY;
        }
        -(1.0 - part.max(0.0)).ln() * POLARISATION_RATE * self.capacity
    }
}

/// The charge end voltage at `temperature` °C: 14.1 V at 25 °C, more when it is
/// colder (ESP32 firmware: `14.1 + 0.03 * (25 - T)`).
pub(super) fn charge_end_volts(temperature: f64) -> f64 {
    END_VOLTS + END_VOLTS_PER_DEGREE * (temperature - 25.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILD: f64 = 15.0;

    fn demand(panel_watts: f64, load_watts: f64) -> Demand {
        Demand { panel_watts, load_watts, temperature: MILD }
    }

    #[test]
    fn charge_is_what_went_in_less_what_went_out() {
        // (panel W, load W, charge at first)
        let table = [(0.0, 2.0, 0.9), (40.0, 2.0, 0.1), (3.0, 3.0, 0.5), (0.0, 9.0, 0.01)];
        for (panel, load, first) in table {
            let mut battery = Battery::new(12.0, first);
            let (mut charged, mut discharged) = (0.0, 0.0);
            for _ in 0..2_000 {
                let flow = battery.step(demand(panel, load), 61.0);
                charged += flow.charged;
                discharged += flow.discharged;
                assert!((0.0..=1.0).contains(&battery.charge));
            }
            let balance = first + (charged - discharged) / 12.0;
            assert!(
                (battery.charge - balance).abs() < 1e-6,
                "{panel} W in, {load} W out: {} is not {balance}",
                battery.charge
            );
        }
    }

    #[test]
    fn the_voltage_never_passes_the_charge_end() {
        for temperature in [-10.0, 5.0, 25.0, 40.0] {
            let mut battery = Battery::new(7.0, 0.6);
            let mut limited = false;
            for _ in 0..1_000 {
                let sunny = Demand { panel_watts: 50.0, load_watts: 1.0, temperature };
                limited |= battery.step(sunny, 61.0).limited;
                let (volts, end) = (battery.volts(), charge_end_volts(temperature));
                assert!(volts <= end + 0.1, "{volts} V over {end} V at {temperature} °C");
            }
            assert!(limited, "a full battery takes no more at {temperature} °C");
        }
    }

    #[test]
    fn a_resting_battery_shows_its_charge_as_the_fixtures_do() {
        // (state of charge, volts in the night's lines of elektra-dach.log)
        for (charge, volts) in [(0.5, 12.07), (0.58, 12.17), (0.7, 12.31), (0.97, 12.65)] {
            let shown = Battery::new(7.0, charge).volts();
            assert!((shown - volts).abs() < 0.03, "{shown} V at {charge}");
        }
    }

    #[test]
    fn nothing_comes_out_of_an_empty_battery() {
        let mut battery = Battery::new(7.0, 0.0);
        assert!(battery.step(demand(0.0, 5.0), 60.0).discharged == 0.0);
    }
}
