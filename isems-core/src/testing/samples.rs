use crate::{
    Basis, Delivery, Format, Framing, Measurement, NodeId, NodeStatus, Receipt, Reported, Sample,
    SourceId, SourceKind, Timestamp,
};

/// A node of this name.
///
/// # Panics
/// If the text cannot name a node.
#[must_use]
pub fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a test names its nodes properly")
}

/// The values of a healthy node by day with this battery voltage in V.
#[must_use]
pub fn sample(battery_voltage: f64) -> Sample {
    Sample {
        revision: "1".into(),
        firmware: "ATmega8_A_1".into(),
        time_to_shutdown: Some(9940.0),
        power_save: false,
        open_circuit_voltage: Some(21.002),
        mpp_voltage: Some(17.041),
        battery_voltage: Some(battery_voltage),
        state_of_charge: Some(83.0),
        battery_health: Some(100.0),
        battery_temperature: Some(-3.25),
        low_voltage_disconnect: Some(11.7),
        charge_end_voltage: Some(14.2),
        battery_capacity: Some(7.2),
        module_power: Some(20.0),
        latitude: Some(52.507_309),
        longitude: Some(13.458_635),
        status: Some(NodeStatus::from_bits(0x900)),
    }
}

/// A measurement that was observed as reported and received a minute later.
#[must_use]
pub fn measurement(name: &str, observed: i64, battery_voltage: f64) -> Measurement {
    let observed = Timestamp::from_unix(observed);
    Measurement {
        node: node(name),
        observed,
        reported: Reported::Time(observed),
        basis: Basis::Node,
        received: Some(observed.plus(60)),
        sample: sample(battery_voltage),
    }
}

/// A measurement from telemetry JSON with this fingerprint.
#[must_use]
pub fn telemetry(name: &str, observed: i64, fingerprint: i64) -> Measurement {
    Measurement {
        reported: Reported::Fingerprint(fingerprint),
        basis: Basis::Estimated,
        received: Some(Timestamp::from_unix(observed)),
        ..measurement(name, observed, 12.5)
    }
}

/// A CSV log as a node serves it over HTTP, arriving at `arrival`.
#[must_use]
pub fn delivery(source: &str, payload: &[u8], arrival: i64) -> Delivery {
    Delivery {
        source: SourceId::new(source),
        kind: SourceKind::Http,
        format: Format::CsvLog,
        payload: payload.to_vec(),
        known_prefix: 0,
        framing: Framing::Log,
        topic: None,
        node: None,
        arrival: Timestamp::from_unix(arrival),
        sender_clock: None,
        redelivered: false,
        retained: false,
        bytes: payload.len() as u64,
        position: None,
        receipt: Receipt(0),
    }
}
