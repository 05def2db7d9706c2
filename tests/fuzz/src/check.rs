//! What must hold of everything that a parser returns.

use isems_core::{
    Sample,
    wire::{Rejected, csv_log::Log},
};

/// The numbers of a sample with their names in the API.
#[must_use]
pub fn numbers(sample: &Sample) -> [(&'static str, Option<f64>); 12] {
    [
        ("timeToShutdown", sample.time_to_shutdown),
        ("openCircuitVoltage", sample.open_circuit_voltage),
        ("mppVoltage", sample.mpp_voltage),
        ("batteryVoltage", sample.battery_voltage),
        ("batteryChargeEstimate", sample.state_of_charge),
        ("batteryHealthEstimate", sample.battery_health),
        ("batteryTemperature", sample.battery_temperature),
        ("temperatureCorrectedVoltage", sample.charge_end_voltage),
        ("rateBatteryCapacity", sample.battery_capacity),
        ("ratedSolarModuleCapacity", sample.module_power),
        ("latitude", sample.latitude),
        ("longitude", sample.longitude),
    ]
}

/// Checks what [`Sample`] promises: finite numbers, no negative zero,
/// coordinates on the globe, texts that are tidy.
///
/// # Panics
/// If it does not hold.
pub fn sample(sample: &Sample) {
    let all = numbers(sample);
    let threshold = ("lowVoltageDisconnectVoltage", sample.low_voltage_disconnect);
    for (name, value) in all.into_iter().chain([threshold]) {
        let Some(value) = value else { continue };
        assert!(value.is_finite(), "{name} is {value}");
        assert!(value != 0.0 || value.is_sign_positive(), "{name} is negative zero");
    }
    assert!(sample.latitude.is_none_or(|degrees| degrees.abs() <= 90.0));
    assert!(sample.longitude.is_none_or(|degrees| degrees.abs() <= 180.0));
    for text in [&sample.revision, &sample.firmware] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert_eq!(text.trim(), text);
    }
}

/// Checks that a hostile payload cannot make its report large or unreadable.
///
/// # Panics
/// If it does not hold.
pub fn report(log: &Log) {
    assert!(log.rejected.len() <= Log::EXAMPLES);
    assert!(log.rejected_in_all() >= log.rejected.len() as u64);
    for example in &log.rejected {
        assert!(!example.excerpt.chars().any(char::is_control), "{:?}", example.excerpt);
        // An escaped control character takes up to six places.
        assert!(example.excerpt.chars().count() <= 6 * Rejected::EXCERPT);
    }
}
