//! A story of deliveries as bytes: records of eight, so that a mutation of one
//! changes one line or one delivery and leaves the rest as it was.
//!
//! ```text
//! 0        1      2      3      4…7
//! kind     node   value  flags  a number, little-endian
//! ```

use isems_core::{Delivery, Format, Framing, Receipt, SourceId, SourceKind, Timestamp};
use serde_json::Value;

/// When the first delivery arrives, unless the story says otherwise.
const BEGIN: i64 = 1_743_163_330;

/// A story is cut off here, so that each takes little time.
const MOST_RECORDS: usize = 160;

const RECORD: usize = 8;

/// Kinds of records.
const LINE_AT: u8 = 0;
const LINE_AFTER: u8 = 1;
const ODD_LINE: u8 = 2;
const DELIVER: u8 = 3;
const DELIVER_JSON: u8 = 4;
const KINDS: u8 = 5;

/// Flags of a delivery.
const WITH_DATE: u8 = 1;
const AS_MESSAGE: u8 = 2;
const RETAINED: u8 = 4;
const REDELIVERED: u8 = 8;
/// The log is read again from its beginning the next time.
const LOG_STAYS: u8 = 16;
const AS_STATUS: u8 = 32;
const ARRIVAL_AT: u8 = 64;

/// Lines that no clock rule expects.
const ODD: [&str; 8] = [
    "Dach;1;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0",
    "<html>",
    "Dach;1;1743163321;fw;9940;0;21;17;12.5",
    "Dach;1;9223372036854775807;fw;9940;0;21;17;12.5;23;100;17;11.7;14.2;7;20;0;0;880",
    "Dach;1;0;fw;9940;0;21;17;12.5;23;100;17;11.7;14.2;7;20;0;0;880",
    "Dach;1;99;fw;9940;0;0;0;0;0;0;0;0;0;0;0;0;0;010",
    "Dach;1;1534377600;fw;9940;0;21;17;12.5;23;100;17;11.7;14.2;7;20; ; ",
    "",
];

const NODES: [&str; 4] = ["Dach", "Hof", "Süd", "Dach2"];

/// Reads a story.
#[must_use]
pub fn deliveries(story: &[u8]) -> Vec<Delivery> {
    let mut log = String::new();
    let mut reported = 0_i64;
    let mut arrival = BEGIN;
    // The watchdog counts down, so that no two lines of a node are alike.
    let mut countdown = 9_940_u32;
    let mut deliveries = Vec::new();
    for record in story.chunks_exact(RECORD).take(MOST_RECORDS) {
        let [kind, node, value, flags, a, b, c, d] = *record else { continue };
        let number = u32::from_le_bytes([a, b, c, d]);
        let step = i64::from(number.cast_signed());
        let node = NODES[usize::from(node) % NODES.len()];
        match kind % KINDS {
            LINE_AT | LINE_AFTER => {
                reported = match kind % KINDS {
                    LINE_AT => i64::from(number),
                    _ => reported.saturating_add(step).max(0),
                };
                countdown -= 1;
                log += &line(node, reported, countdown, value);
                log.push('\n');
            }
            ODD_LINE => {
                log += ODD[usize::from(value) % ODD.len()];
                log.push('\n');
            }
            kind @ (DELIVER | DELIVER_JSON) => {
                arrival = match flags & ARRIVAL_AT {
                    0 => arrival.saturating_add(step),
                    _ => i64::from(number),
                };
                let (format, payload) = match (kind, flags & AS_STATUS) {
                    (DELIVER, _) => (Format::CsvLog, log.clone()),
                    (_, 0) => (Format::TelemetryJson, telemetry(value)),
                    _ => (Format::StatusJson, status(node, reported, value)),
                };
                if kind == DELIVER && flags & LOG_STAYS == 0 {
                    log.clear();
                }
                // The node's clock goes on after its last line.
                let date = reported.saturating_add(i64::from(value));
                let as_message = flags & AS_MESSAGE != 0;
                deliveries.push(Delivery {
                    source: SourceId::new(node),
                    kind: if as_message { SourceKind::Mqtt } else { SourceKind::Http },
                    format,
                    bytes: payload.len() as u64,
                    payload: payload.into_bytes(),
                    known_prefix: 0,
                    framing: if as_message { Framing::Whole } else { Framing::Log },
                    topic: None,
                    node: Some(node.to_owned()),
                    arrival: Timestamp::from_unix(arrival),
                    sender_clock: (flags & WITH_DATE != 0).then_some(Timestamp::from_unix(date)),
                    redelivered: flags & REDELIVERED != 0,
                    retained: flags & RETAINED != 0,
                    position: None,
                    receipt: Receipt(0),
                });
            }
            _ => {}
        }
    }
    deliveries
}

fn line(node: &str, reported: i64, countdown: u32, value: u8) -> String {
    format!(
        "{node};1;{reported};fw;{countdown};0;21;17;12.{value};23;100;17;11.7;14.2;7;20;52.5;13.4;880"
    )
}

fn telemetry(value: u8) -> String {
    format!(r#"{{"batteryVoltage":12.{value},"isPowerSaveMode":0}}"#)
}

fn status(node: &str, reported: i64, value: u8) -> String {
    // Nothing but a number stands there: as large as it likes.
    let reported = if value == u8::MAX { i64::MAX } else { reported };
    format!(r#"{{"Node-ID":"{node}","Timestamp":{reported},"Battery voltage":12.{value}}}"#)
}

/// The first deliveries of a fixture of `clock/` as a story.
#[must_use]
pub fn of_fixture(json: &[u8]) -> Option<Vec<u8>> {
    let fixture: Value = serde_json::from_slice(json).ok()?;
    let lines = fixture.get("lines")?.as_array()?;
    let mut story = Vec::new();
    let mut told = 0;
    let mut arrival = BEGIN;
    for delivery in fixture.get("deliveries")?.as_array()?.iter().take(3) {
        let field = |key: &str| delivery.get(key).and_then(Value::as_i64);
        let until = usize::try_from(field("to")?).ok()?;
        for (index, line) in lines.iter().enumerate().take(until).skip(told) {
            let reported: u32 = line.as_str()?.split(';').nth(2)?.parse().ok()?;
            record(&mut story, [LINE_AT, 0, u8::try_from(index % 100).ok()?, 0], reported);
        }
        told = until.max(told);
        let step = i32::try_from(field("arrival")? - arrival).ok()?;
        arrival = field("arrival")?;
        let date = if field("date").is_some() { WITH_DATE } else { 0 };
        record(&mut story, [DELIVER, 0, 5, LOG_STAYS | date], step.cast_unsigned());
    }
    Some(story)
}

fn record(story: &mut Vec<u8>, head: [u8; 4], number: u32) {
    story.extend_from_slice(&head);
    story.extend_from_slice(&number.to_le_bytes());
}
