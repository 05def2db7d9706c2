//! What the firmware of a charge controller makes of voltages: estimates,
//! status bits, and numbers in the steps of its converters. The rules are
//! those that its real logs show (`tests/fixtures/logs`).

use isems_core::NodeStatus;

use super::{battery::charge_end_volts, noise::Noise};

/// The kind of board that a node is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Board {
    /// An OpenWrt router with an `ATmega8` charge controller on its serial line.
    Router,
    /// An ESP32 with the controller on board.
    Esp32,
}

/// Numbers in which the two firmwares differ.
pub(super) struct Firmware {
    /// Field 4.
    pub(super) name: &'static str,
    /// Seconds between two lines.
    pub(super) interval: i64,
    /// What the clock says before it is set.
    pub(super) unset_clock: i64,
    /// Where the watchdog countdown begins, in ticks.
    pub(super) countdown: i64,
    /// Seconds per tick.
    pub(super) tick: i64,
    /// Field 13, in V.
    pub(super) low_voltage_disconnect: f64,
    /// One step of the converter at the battery, in V.
    battery_step: f64,
    /// One step of the converter at the panel, in V.
    panel_step: f64,
}

impl Board {
    pub(super) const fn firmware(self) -> Firmware {
        match self {
            Self::Router => Firmware {
                name: "ATmega8_A_1",
                interval: 61,
                unset_clock: 99,
                countdown: 9_940,
                tick: 60,
                low_voltage_disconnect: 11.7,
                battery_step: 0.017_568,
                panel_step: 0.029_128,
            },
            Self::Esp32 => Firmware {
                name: "ESP_2.0",
                interval: 15,
                unset_clock: 5,
                countdown: 3_600,
                tick: 15,
                low_voltage_disconnect: 11.9,
                battery_step: 0.003_79,
                panel_step: 0.006_7,
            },
        }
    }
}

/// Ticks before the watchdog cuts the power during which flashing is unsafe.
const FLASH_MARGIN: i64 = 15;
/// From this estimate down, in %, the battery is low.
const LOW_PERCENT: f64 = 30.0;
/// Above this estimate, in %, the battery counts as healthy.
const HEALTHY_PERCENT: f64 = 50.0;
/// From this temperature up, in °C, the node overheats.
const HOT: f64 = 40.0;
/// Below this temperature, in °C, an ESP32 says that it is too cold.
const COLD: f64 = -20.0;

/// What the converters of a controller see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    /// Light on the panel in W/m².
    pub(super) irradiance: f64,
    /// The panel offers more than the battery may take.
    pub(super) limited: bool,
    /// Volts at the battery.
    pub(super) battery_volts: f64,
    /// Temperature of the battery in °C; `None` without a sensor.
    pub(super) temperature: Option<f64>,
    /// Ticks until the watchdog cuts the power.
    pub(super) countdown: i64,
}

/// The measured part of a log line, in the units of the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) open_circuit_volts: f64,
    pub(super) mpp_volts: f64,
    pub(super) battery_volts: f64,
    pub(super) charge_percent: f64,
    pub(super) temperature: f64,
    pub(super) charge_end_volts: f64,
    pub(super) status: NodeStatus,
}

/// The memory of a controller: its last estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controller {
    board: Board,
    noise: Noise,
    estimate: f64,
}

impl Controller {
    /// A controller that was just switched on and believes in `charge`
    /// (`0.0..=1.0`).
    pub(super) fn new(board: Board, noise: Noise, charge: f64) -> Self {
        Self { board, noise, estimate: (charge * 100.0).round() }
    }

    /// Measures once; `step` numbers the measurements.
    pub(super) fn measure(&mut self, inputs: Inputs, step: i64) -> Reading {
        let firmware = self.board.firmware();
        let battery_volts = quantised(
            inputs.battery_volts + 0.012 * self.noise.around_zero(10, step),
            firmware.battery_step,
        );
        let by_day = inputs.irradiance > 0.0;
        let (open_circuit_volts, mpp_volts) =
            if by_day { self.panel_volts(&firmware, inputs, step) } else { (0.0, 0.0) };
        let end_volts = charge_end_volts(inputs.temperature.unwrap_or(25.0));
        // By day the estimate only rises, by night it only falls.
        self.estimate = if by_day {
            self.estimate.max(percent_while_charging(battery_volts, end_volts))
        } else {
            self.estimate.min(percent_at_night(battery_volts))
        };
        let temperature = self.temperature(inputs.temperature);
        Reading {
            open_circuit_volts,
            mpp_volts,
            battery_volts,
            charge_percent: self.estimate,
            temperature,
            charge_end_volts: match self.board {
                // The router's script reports a constant.
                Board::Router => 14.2,
                Board::Esp32 => decimals(end_volts, 3),
            },
            status: self.status(by_day, temperature, inputs.countdown),
        }
    }

    fn panel_volts(&self, firmware: &Firmware, inputs: Inputs, step: i64) -> (f64, f64) {
        let warm = inputs.temperature.unwrap_or(25.0) - 15.0;
        let open = 21.4 + 0.9 * (inputs.irradiance / 1_000.0).ln() - 0.06 * warm
            + 0.03 * self.noise.around_zero(11, step);
        // Under full load the panel is held at its maximum power point; with a
        // full battery it floats up again.
        let part = if inputs.limited {
            0.955 + 0.03 * self.noise.around_zero(12, step)
        } else {
            0.812 + 0.006 * self.noise.around_zero(12, step)
        };
        (
            quantised(open.max(13.0), firmware.panel_step),
            quantised((open * part).max(12.1), firmware.panel_step),
        )
    }

    fn temperature(&self, sensed: Option<f64>) -> f64 {
        match (self.board, sensed) {
            // A router cannot tell frost from a missing sensor: both are 0.
            (Board::Router, sensed) => sensed.unwrap_or(0.0).round().max(0.0),
            (Board::Esp32, sensed) => decimals(quantised(sensed.unwrap_or(25.0), 0.05), 2),
        }
    }

    fn status(&self, by_day: bool, temperature: f64, countdown: i64) -> NodeStatus {
        let full = self.estimate >= 100.0;
        let router = self.board == Board::Router;
        let bits = [
            (by_day && !full, NodeStatus::CHARGING),
            (!by_day, NodeStatus::DISCHARGING),
            (full, NodeStatus::FULLY_CHARGED),
            (self.estimate > HEALTHY_PERCENT, NodeStatus::HEALTHY),
            (self.estimate <= LOW_PERCENT, NodeStatus::BATTERY_LOW),
            (router && temperature == 0.0, NodeStatus::SENSOR_MISSING),
            (temperature >= HOT, NodeStatus::OVERHEATING),
            (temperature < COLD, NodeStatus::TOO_COLD),
            (countdown < FLASH_MARGIN, NodeStatus::DO_NOT_FLASH),
        ];
        let set = bits.iter().filter(|(set, _)| *set);
        NodeStatus::from_bits(set.fold(0, |sum, (_, bit)| sum | bit.bits()))
    }
}

/// State of charge in % by the voltage of a battery at rest.
fn percent_at_night(volts: f64) -> f64 {
    interpolated(volts, &[(11.43, 0.0), (12.017, 46.0), (12.316, 70.0), (12.7, 100.0)])
}

/// State of charge in % by the voltage under charge, which nears `end_volts`.
fn percent_while_charging(volts: f64, end_volts: f64) -> f64 {
    // The table was read off logs at 14 °C, where the charge end is 14.43 V.
    interpolated(
        volts - end_volts + 14.43,
        &[
            (12.05, 0.0),
            (12.4, 10.0),
            (12.8, 29.0),
            (13.25, 40.0),
            (13.6, 51.0),
            (13.95, 66.0),
            (14.25, 84.0),
            (14.4, 96.0),
            (14.42, 100.0),
        ],
    )
}

/// Piecewise linear, in whole numbers as the firmware counts; flat outside.
fn interpolated(at: f64, points: &[(f64, f64)]) -> f64 {
    let mut value = points.first().map_or(0.0, |point| point.1);
    for pair in points.windows(2) {
        let [(x0, y0), (x1, y1)] = pair else { continue };
        if at >= *x0 {
            value = y0 + (y1 - y0) * ((at - x0) / (x1 - x0)).min(1.0);
        }
    }
    value.floor()
}

/// `value` in whole `step`s of a converter, printed with three decimals.
fn quantised(value: f64, step: f64) -> f64 {
    decimals((value / step).round() * step, 3)
}

fn decimals(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    // Adding zero turns -0 into 0, as firmware never prints it here.
    (value * scale).round() / scale + 0.0
}

#[cfg(test)]
mod tests;
