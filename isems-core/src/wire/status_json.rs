//! A router's status file, `/ISEMS/ffopenmppt.json`: one sample under keys of
//! its own. It is written in place and may be cut short or, with an odd
//! configuration, be no JSON at all; then it is simply not usable.

use serde_json::Value;

use super::{Reading, RejectReason, json, number};
use crate::{NodeId, NodeStatus, Sample, Timestamp};

/// Reads one status file.
///
/// # Errors
/// If it is no JSON object, lacks the node's id or time, or a value is of the
/// wrong kind; the reason names the value as the API does.
pub fn parse(payload: &[u8]) -> Result<Reading, RejectReason> {
    let object = json::object(payload)?;
    let node = NodeId::new(&json::string(&object, "Node-ID", "nodeId")?)?;
    let reported = object
        .get("Timestamp")
        .and_then(Value::as_i64)
        .filter(|seconds| *seconds >= 0)
        .map(Timestamp::from_unix)
        .ok_or(RejectReason::Timestamp)?;
    let status = match object.get("Status code") {
        None | Some(Value::Null) => None,
        Some(Value::String(hex)) => Some(NodeStatus::from_hex(hex).ok_or(RejectReason::Status)?),
        Some(_) => return Err(RejectReason::Status),
    };
    let number = |key: &str, name| json::number(&object, key, name);
    let sample = Sample {
        revision: String::new(),
        firmware: json::string(
            &object,
            "µC firmware and controller type",
            "openMPPTFirmwareVersion",
        )?,
        time_to_shutdown: number("Next reboot", "timeToShutdown")?,
        power_save: json::switch(&object, "Power save level"),
        open_circuit_voltage: number("Solar panel open circuit voltage", "openCircuitVoltage")?,
        mpp_voltage: number("MPP-Tracking voltage", "mppVoltage")?,
        battery_voltage: number("Battery voltage", "batteryVoltage")?,
        state_of_charge: number("Charge state (0-100%)", "batteryChargeEstimate")?,
        battery_health: number("Battery health estimate (0-100%)", "batteryHealthEstimate")?,
        battery_temperature: number("Battery temperature (Celsius)", "batteryTemperature")?,
        low_voltage_disconnect: number::low_voltage_disconnect(number(
            "Low voltage disconnect voltage",
            "lowVoltageDisconnectVoltage",
        )?),
        charge_end_voltage: number(
            "Temperature corrected charge end voltage",
            "temperatureCorrectedVoltage",
        )?,
        battery_capacity: number("Rated battery capacity in Ah (when new)", "rateBatteryCapacity")?,
        module_power: number("Rated solar module power in Watt", "ratedSolarModuleCapacity")?,
        latitude: json::coordinate(&object, "Latitude", "latitude", 90.0)?,
        longitude: json::coordinate(&object, "Longitude", "longitude", 180.0)?,
        status,
    };
    Ok(Reading { node, reported, sample })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(name: &str) -> Vec<u8> {
        let path = format!("{}/../tests/fixtures/http/{name}.raw", env!("CARGO_MANIFEST_DIR"));
        let answer = std::fs::read(path).unwrap();
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        answer[head + 4..].to_vec()
    }

    #[test]
    fn a_status_file_of_a_router_is_one_reading() {
        let reading = parse(&body("router_json")).unwrap();
        assert_eq!(reading.node.as_str(), "Elektra-Dach");
        assert_eq!(reading.reported, Timestamp::from_unix(1_743_474_238));
        assert_eq!(reading.sample.battery_voltage, Some(12.457));
        assert_eq!(reading.sample.state_of_charge, Some(83.0));
        assert_eq!(reading.sample.module_power, Some(20.0));
        assert_eq!(reading.sample.longitude, Some(13.458_635));
        assert_eq!(reading.sample.status, Some(NodeStatus::from_bits(0x500)));
    }

    #[test]
    fn a_silent_controller_still_makes_a_status_file() {
        let status = parse(&body("router_json_no_comm")).unwrap().sample.status.unwrap();
        assert!(status.contains(NodeStatus::CONTROLLER_SILENT));
    }

    #[test]
    fn a_file_that_is_cut_short_or_no_json_is_not_usable() {
        for name in ["router_json_truncated_vout_missing", "router_json_broken_geo"] {
            assert_eq!(parse(&body(name)).unwrap_err().key(), "not JSON", "{name}");
        }
    }
}
