//! Telling a new telemetry message from one that came before: it carries no
//! time of its own.

use std::collections::BTreeMap;

use super::parsed::Message;
use crate::{HistoryRange, NodeState, Reported, Sample, Timestamp, time::MINUTE};

/// The same payload within so many seconds is the same message.
const REPEATED_WITHIN: u64 = 30;

/// A CSV line within so many seconds covers a message that repeats its values.
const COVERED_WITHIN: i64 = 2 * MINUTE;

/// The observed times of CSV lines that could cover a message.
pub(super) fn covering_range(observed: Timestamp) -> HistoryRange {
    // The clock of a node may be a little ahead of ours.
    HistoryRange {
        from: Some(observed.plus(-COVERED_WITHIN)),
        until: Some(observed.plus(COVERED_WITHIN)),
    }
}

/// Whether a message is known: redelivered and equal to one of the node's last
/// stored; or equal to the previous one a moment ago; or told already by a CSV
/// line. It is observed at its arrival, or at the best guess of that.
pub(super) fn is_duplicate(
    was_stored: bool,
    observed: Timestamp,
    message: &Message,
    state: &NodeState,
    around: &BTreeMap<(Timestamp, Reported), Sample>,
) -> bool {
    let same = |known: &&crate::KnownTelemetry| known.fingerprint == message.fingerprint;
    let repeated = state
        .telemetry
        .first()
        .filter(same)
        .is_some_and(|known| observed.distance(known.observed) <= REPEATED_WITHIN);
    let covered = around.iter().any(|((_, reported), line)| {
        matches!(reported, Reported::Time(_)) && repeats(&message.sample, line)
    });
    was_stored || repeated || covered
}

/// Whether a message says nothing that a line does not say.
fn repeats(message: &Sample, line: &Sample) -> bool {
    let numbers = |sample: &Sample| {
        [
            sample.time_to_shutdown,
            sample.open_circuit_voltage,
            sample.mpp_voltage,
            sample.battery_voltage,
            sample.state_of_charge,
            sample.battery_health,
            sample.battery_temperature,
            sample.low_voltage_disconnect,
            sample.charge_end_voltage,
            sample.battery_capacity,
            sample.module_power,
            sample.latitude,
            sample.longitude,
        ]
    };
    numbers(message).iter().zip(numbers(line)).all(|(said, known)| said.is_none() || *said == known)
        && message.power_save == line.power_save
        && (message.status.is_none() || message.status == line.status)
}
