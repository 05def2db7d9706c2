//! The rules of the firmware, as its real logs show them.

use super::*;

fn inputs() -> Inputs {
    Inputs {
        irradiance: 0.0,
        limited: false,
        battery_volts: 12.4,
        temperature: Some(15.0),
        countdown: 9_000,
    }
}

fn first_status(board: Board, charge: f64, inputs: Inputs) -> String {
    let mut controller = Controller::new(board, Noise::new(1), charge);
    controller.measure(inputs, 0).status.to_string()
}

#[test]
fn status_bits_follow_the_rules_of_the_real_logs() {
    let day = Inputs { irradiance: 400.0, ..inputs() };
    let night = inputs();
    // (what, board, estimate before, inputs, status)
    let table = [
        ("by day, nearly empty", Board::Router, 0.23, day, "880"),
        ("by day, half full", Board::Router, 0.45, day, "800"),
        ("by day, well filled", Board::Router, 0.6, day, "900"),
        ("by day, full", Board::Router, 1.0, day, "300"),
        ("at night, full", Board::Router, 1.0, Inputs { battery_volts: 12.75, ..night }, "700"),
        ("at night, well filled", Board::Router, 1.0, night, "500"),
        ("at night, half full", Board::Router, 0.5, night, "400"),
        ("at night, low", Board::Router, 0.9, Inputs { battery_volts: 11.75, ..night }, "480"),
        ("router without sensor", Board::Router, 0.6, Inputs { temperature: None, ..night }, "520"),
        (
            "router in the frost",
            Board::Router,
            0.6,
            Inputs { temperature: Some(-8.0), ..night },
            "520",
        ),
        ("ESP32 without sensor", Board::Esp32, 0.6, Inputs { temperature: None, ..night }, "500"),
        (
            "ESP32 in the frost",
            Board::Esp32,
            0.6,
            Inputs { temperature: Some(-30.0), ..night },
            "504",
        ),
        ("in the heat", Board::Router, 0.6, Inputs { temperature: Some(41.0), ..day }, "908"),
        ("before the watchdog", Board::Router, 0.6, Inputs { countdown: 14, ..night }, "502"),
    ];
    for (what, board, charge, inputs, expected) in table {
        assert_eq!(first_status(board, charge, inputs), expected, "{what}");
    }
}

#[test]
fn no_light_means_no_panel_voltage() {
    let reading = Controller::new(Board::Router, Noise::new(1), 0.6).measure(inputs(), 0);
    assert!(reading.open_circuit_volts == 0.0 && reading.mpp_volts == 0.0);
}

#[test]
fn routers_measure_in_steps_of_their_converter() {
    let mut controller = Controller::new(Board::Router, Noise::new(5), 0.6);
    for step in 0..500 {
        let volts = controller.measure(inputs(), step).battery_volts;
        let steps = volts / 0.017_568;
        assert!((steps - steps.round()).abs() < 0.05, "{volts} V");
    }
}

#[test]
fn only_an_esp32_reports_the_charge_end_by_temperature() {
    // (board, °C, V): the second from tests/fixtures/http/esp2021_csv.raw
    let table =
        [(Board::Router, 15.0, 14.2), (Board::Esp32, 21.6, 14.202), (Board::Esp32, 9.69, 14.559)];
    for (board, temperature, volts) in table {
        let inputs = Inputs { temperature: Some(temperature), ..inputs() };
        let reading = Controller::new(board, Noise::new(1), 0.6).measure(inputs, 0);
        assert!((reading.charge_end_volts - volts).abs() < 1e-9, "{board:?}: {reading:?}");
    }
}

#[test]
fn the_estimate_falls_at_night_and_rises_by_day() {
    let mut controller = Controller::new(Board::Router, Noise::new(3), 0.8);
    let mut last = 80.0;
    for step in 0..200 {
        let dark = Inputs { battery_volts: 12.6 - 0.003 * f64::from(step), ..inputs() };
        let percent = controller.measure(dark, i64::from(step)).charge_percent;
        assert!(percent <= last, "{percent} % after {last} % in the dark");
        last = percent;
    }
    for step in 0..200 {
        let light =
            Inputs { irradiance: 600.0, battery_volts: 12.2 + 0.012 * f64::from(step), ..inputs() };
        let percent = controller.measure(light, i64::from(step)).charge_percent;
        assert!(percent >= last, "{percent} % after {last} % in the sun");
        last = percent;
    }
    assert!(last >= 100.0, "full at {last} %");
}
