//! The telemetry of a node: JSON, or nearly.

#![no_main]

use isems_core::{Sample, wire::telemetry_json::parse};
use isems_fuzz::{check, seeds};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(init: seeds::plant(messages), |bytes: &[u8]| {
    let Ok(sample) = parse(bytes) else { return };
    check::sample(&sample);
    assert_eq!(parse(&[bytes, b"\r\n"].concat()).as_ref(), Ok(&sample));
    // Above 100 V it would be read as millivolts once more.
    if sample.low_voltage_disconnect.is_none_or(|volts| volts <= 100.0) {
        assert_eq!(parse(&written(&sample)), Ok(sample));
    }
});

/// A sample as JSON with all values as text, as some firmware writes it.
fn written(sample: &Sample) -> Vec<u8> {
    let mut object = Map::new();
    let threshold = ("lowVoltageDisconnectVoltage", sample.low_voltage_disconnect);
    for (name, value) in check::numbers(sample).into_iter().chain([threshold]) {
        let value = value.map_or(Value::Null, |number| number.to_string().into());
        object.insert(name.into(), value);
    }
    object.insert("isemsRevision".into(), sample.revision.clone().into());
    object.insert("openMPPTFirmwareVersion".into(), sample.firmware.clone().into());
    object.insert("isPowerSaveMode".into(), sample.power_save.into());
    object.insert("status".into(), sample.status.map(|status| status.to_string()).into());
    Value::Object(object).to_string().into_bytes()
}

fn messages() -> Vec<Vec<u8>> {
    let recorded = [("broker2.jsonl", "payload"), ("httppost.jsonl", "body")];
    let mut seeds: Vec<Vec<u8>> = recorded
        .iter()
        .flat_map(|(ending, key)| {
            let files = seeds::fixtures("mqtt", ending);
            files.iter().filter_map(|file| first(file, key)).collect::<Vec<_>>()
        })
        .collect();
    seeds.push(
        br#"{"batteryVoltage":"13,1","batteryHealthEstimate":-inf,"latitude":nan,"status":900}"#
            .into(),
    );
    seeds
}

/// What the first line of a recording holds under `key`.
fn first(file: &[u8], key: &str) -> Option<Vec<u8>> {
    let line = file.split(|&byte| byte == b'\n').next()?;
    let message: Value = serde_json::from_slice(line).ok()?;
    Some(message.get(key)?.as_str()?.as_bytes().to_vec())
}
