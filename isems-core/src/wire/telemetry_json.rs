//! Telemetry JSON (`…/data.json` by MQTT, HTTP POST body of 2020 boards): the
//! keys of the API without node id and time, `status` as a bare hex string,
//! numbers possibly as text, `-inf` possibly bare.

use std::hash::Hasher;

use serde_json::Value;
use siphasher::sip::SipHasher13;

use super::{RejectReason, json, number};
use crate::{NodeStatus, Sample};

/// Keys of which at least one must be there; any other object is something
/// else.
const VOLTAGES: [&str; 3] = ["batteryVoltage", "openCircuitVoltage", "mppVoltage"];

/// Reads one object. What it does not hold is unknown.
///
/// ```
/// use isems_core::wire::telemetry_json::parse;
///
/// let sample = parse(br#"{"batteryVoltage":13.112,"batteryHealthEstimate":-inf,"status":"840"}"#)?;
/// assert_eq!(sample.battery_voltage, Some(13.112));
/// assert_eq!(sample.battery_health, None);
/// # Ok::<(), isems_core::wire::RejectReason>(())
/// ```
///
/// # Errors
/// If it is no JSON object with a voltage in it even after repair, or a value
/// is of the wrong kind; the reason names the key.
pub fn parse(payload: &[u8]) -> Result<Sample, RejectReason> {
    let object = json::object(payload)?;
    if !VOLTAGES.iter().any(|key| object.contains_key(*key)) {
        return Err(RejectReason::Json("no voltage in it".into()));
    }
    let number = |key: &'static str| json::number(&object, key, key);
    let status = match object.get("status") {
        None | Some(Value::Null) => None,
        Some(Value::String(hex)) => Some(NodeStatus::from_hex(hex).ok_or(RejectReason::Status)?),
        // `900` without quotes means the digits 900, not the number.
        Some(Value::Number(digits)) => {
            Some(NodeStatus::from_hex(&digits.to_string()).ok_or(RejectReason::Status)?)
        }
        Some(_) => return Err(RejectReason::Status),
    };
    Ok(Sample {
        revision: json::string(&object, "isemsRevision", "isemsRevision")?,
        firmware: json::string(&object, "openMPPTFirmwareVersion", "openMPPTFirmwareVersion")?,
        time_to_shutdown: number("timeToShutdown")?,
        power_save: json::switch(&object, "isPowerSaveMode"),
        open_circuit_voltage: number("openCircuitVoltage")?,
        mpp_voltage: number("mppVoltage")?,
        battery_voltage: number("batteryVoltage")?,
        state_of_charge: number("batteryChargeEstimate")?,
        battery_health: number("batteryHealthEstimate")?,
        battery_temperature: number("batteryTemperature")?,
        low_voltage_disconnect: number::low_voltage_disconnect(number(
            "lowVoltageDisconnectVoltage",
        )?),
        charge_end_voltage: number("temperatureCorrectedVoltage")?,
        battery_capacity: number("rateBatteryCapacity")?,
        module_power: number("ratedSolarModuleCapacity")?,
        latitude: json::coordinate(&object, "latitude", "latitude", 90.0)?,
        longitude: json::coordinate(&object, "longitude", "longitude", 180.0)?,
        status,
    })
}

/// A hash of a payload that stands in for the time that telemetry does not
/// carry. It is kept in databases: it must never change.
#[must_use]
pub fn fingerprint(payload: &[u8]) -> i64 {
    let mut hasher = SipHasher13::new();
    hasher.write(payload);
    hasher.finish().cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_messages_of_a_second_broker_are_read() {
        for (name, messages) in [("esp-akku0", 200), ("esp-balkon", 120), ("esp-lat-komma", 40)] {
            let path = format!(
                "{}/../tests/fixtures/mqtt/{name}.broker2.jsonl",
                env!("CARGO_MANIFEST_DIR")
            );
            let text = std::fs::read_to_string(path).unwrap();
            let mut read = 0;
            for line in text.lines() {
                let message: Value = serde_json::from_str(line).unwrap();
                let sample = parse(message["payload"].as_str().unwrap().as_bytes()).unwrap();
                assert!(sample.battery_voltage.is_some_and(|v| v > 10.0));
                assert!(sample.latitude.is_some_and(|d| (52.0..53.0).contains(&d)), "{name}");
                read += 1;
            }
            assert_eq!(read, messages, "{name}");
        }
    }

    #[test]
    fn real_http_posts_are_read() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/mqtt/esp2020.httppost.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 60);
        for line in text.lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            assert!(parse(message["body"].as_str().unwrap().as_bytes()).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_bare_infinity_makes_one_value_unknown_and_keeps_the_rest() {
        for token in ["-inf", "inf", "nan", "-nan", "Infinity", "-Infinity"] {
            let payload = format!(
                r#"{{"batteryVoltage":12.5,"batteryHealthEstimate":{token},"timeToShutdown":7}}"#
            );
            let sample = parse(payload.as_bytes()).unwrap();
            assert_eq!(
                (sample.battery_voltage, sample.battery_health, sample.time_to_shutdown),
                (Some(12.5), None, Some(7.0)),
                "{token}"
            );
        }
    }

    #[test]
    fn text_that_looks_like_an_infinity_is_left_alone() {
        let sample = parse(br#"{"batteryVoltage":12.5,"openMPPTFirmwareVersion":"a \"-inf\" b","batteryHealthEstimate":-inf}"#);
        assert_eq!(sample.unwrap().firmware, r#"a "-inf" b"#);
    }

    #[test]
    fn a_number_is_the_same_as_in_a_csv_line() {
        for digits in ["0.30000000000000004", "12.457", "1.7976931348623157e308", "5.3e-324"] {
            let sample = parse(format!(r#"{{"batteryVoltage":{digits}}}"#).as_bytes()).unwrap();
            assert_eq!(sample.battery_voltage, digits.parse().ok(), "{digits}");
        }
    }

    #[test]
    fn numbers_may_be_text_and_the_status_may_lack_its_quotes() {
        let sample = parse(
            br#"{"batteryVoltage":"12.5","latitude":"52,52","status":900,"isPowerSaveMode":"on"}"#,
        )
        .unwrap();
        assert_eq!(sample.battery_voltage, Some(12.5));
        assert_eq!(sample.latitude, Some(52.52));
        assert_eq!(sample.status, Some(NodeStatus::from_bits(0x900)));
        assert!(sample.power_save);
    }

    #[test]
    fn what_is_no_telemetry_is_rejected_with_its_reason() {
        for (payload, key) in [
            (&b""[..], "not JSON"),
            (b"12", "not JSON"),
            (b"{}", "not JSON"),
            (b"<html>", "not JSON"),
            (b"{\"batteryVoltage\":12.5", "not JSON"),
            (b"{\"batteryVoltage\":[1]}", "batteryVoltage"),
            (b"{\"batteryVoltage\":\"much\"}", "batteryVoltage"),
            (b"{\"batteryVoltage\":1,\"latitude\":true}", "latitude"),
            (b"{\"batteryVoltage\":1,\"status\":\"xyz\"}", "status"),
        ] {
            assert_eq!(
                parse(payload).unwrap_err().key(),
                key,
                "{}",
                String::from_utf8_lossy(payload)
            );
        }
    }

    #[test]
    fn the_fingerprint_of_a_payload_never_changes() {
        assert_eq!(fingerprint(b""), -3_315_872_660_926_475_476);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_nearly_json_is_read_without_panic(text in "[-\\{\\}\\[\\]\",:a-z0-9\\\\infNä ]{0,120}") {
            let _ = parse(text.as_bytes());
        }
    }
}
