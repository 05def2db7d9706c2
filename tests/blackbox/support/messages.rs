//! What nodes publish: recorded, or made as the firmware makes it.

use std::collections::BTreeSet;

use super::{Told, fixture};

/// A topic and a payload.
pub(crate) type Message = (String, String);

/// The recorded messages of `tests/fixtures/mqtt/NAME.jsonl`.
pub(crate) fn recorded(name: &str) -> Vec<Message> {
    let lines = String::from_utf8(fixture(&format!("mqtt/{name}.jsonl"))).unwrap();
    let message = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| json[key].as_str().unwrap().to_owned();
        (text("topic"), text("payload"))
    };
    lines.lines().map(message).collect()
}

/// What messages tell, however often they repeat it.
pub(crate) fn told_by(messages: &[Message]) -> BTreeSet<Told> {
    let mut told = BTreeSet::new();
    for (topic, payload) in messages {
        if topic.ends_with("/csvlog") {
            told.extend(payload.lines().map(Told::by_line));
        } else {
            let node = topic.rsplit('/').nth(1).unwrap();
            told.insert(Told::by_telemetry(node, payload));
        }
    }
    told
}

/// How often messages repeat a line.
pub(crate) fn repetitions_in(messages: &[Message]) -> usize {
    let lines: usize = messages.iter().map(|(_, payload)| payload.lines().count()).sum();
    lines - told_by(messages).len()
}

/// Message number `i` of a fleet, without end: each tells one measurement that
/// no other tells, so that one that is lost is missed. Of every six, three are
/// of nodes with a clock, one is of a node without, which counts its seconds,
/// and two are telemetry without a time.
pub(crate) fn of_a_fleet(i: usize) -> Message {
    const TELEMETRY_NODES: usize = 40;
    const BEGIN: usize = 1_760_000_000;
    let volts = 10.0 + f64::from(u32::try_from(i).unwrap()) / 1000.0;
    let line = |node: &str, time: usize| {
        let line = format!(
            "{node};1;{time};ESP_2.0;3600;0;21.04;18.46;{volts};99;100;19.89;11.9;14.25;7.2;10;52.52;13.4;900"
        );
        (format!("/isems/{node}/csvlog"), line)
    };
    match i % 6 {
        clock @ 0..3 => line(&format!("Dach-{clock}"), BEGIN + i * 15),
        3 => line("Ohne-Uhr", 5 + i * 15),
        _ => {
            let node = format!("Telemetrie-{}", (i / 6 * 2 + i % 2) % TELEMETRY_NODES);
            let json = format!(
                r#"{{"batteryVoltage":{volts},"status":"900","batteryHealthEstimate":100,"latitude":52.52,"ratedSolarModuleCapacity":10,"rateBatteryCapacity":7.2,"timeToShutdown":3596,"batteryChargeEstimate":85,"temperatureCorrectedVoltage":14.56,"lowVoltageDisconnectVoltage":11.9,"openCircuitVoltage":19.5,"longitude":13.4,"mppVoltage":16.9,"isPowerSaveMode":0,"batteryTemperature":9.64}}"#
            );
            (format!("/isems/{node}/data.json"), json)
        }
    }
}
