//! Telemetry as boards send it: not quite JSON, without a time, and more than
//! once.

use serde_json::{Value, json};

use crate::{
    serve::{both_protocols, collector, source, subscribed},
    support::{Broker, Message, Running, eventually, get, now, wait_for_another_second},
};

/// What a board says, with this in place of its battery's voltage.
fn payload(battery_voltage: &str) -> String {
    format!(
        r#"{{"batteryVoltage":{battery_voltage},"status":"900","batteryHealthEstimate":100,"latitude":52.52,"ratedSolarModuleCapacity":10,"rateBatteryCapacity":7.2,"timeToShutdown":3600,"batteryChargeEstimate":99,"temperatureCorrectedVoltage":14.25,"lowVoltageDisconnectVoltage":11.9,"openCircuitVoltage":21.04,"longitude":13.4,"mppVoltage":18.46,"isPowerSaveMode":0,"batteryTemperature":19.89}}"#
    )
}

fn message(node: &str, payload: &str) -> Message {
    (format!("/isems/{node}/data.json"), payload.to_owned())
}

/// The same as a line of the log, as old as this.
fn line(node: &str, age: i64, battery_voltage: &str) -> Message {
    let reported = now() - age;
    let line = format!(
        "{node};1;{reported};ESP_2.0;3600;0;21.04;18.46;{battery_voltage};99;100;19.89;11.9;14.25;7.2;10;52.52;13.4;900"
    );
    (format!("/isems/{node}/csvlog"), line)
}

/// The newest measurement of a node.
fn newest(serving: &Running, node: &str) -> Value {
    let answer = get(&format!("{}/measurements/{node}/latest", serving.api())).json();
    answer["measurements"][0].clone()
}

/// Waits until the broker's messages were counted so: stored, and known.
fn wait_for_counts(serving: &Running, broker: &Broker, stored: u64, known: u64) {
    eventually(&format!("{stored} stored and {known} known"), || {
        let shown = source(serving, &broker.source());
        (shown["stored"] == stored && shown["duplicate"] == known).then_some(())
    });
}

both_protocols! {
    fn it_is_read_though_it_is_not_quite_json(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);

        let bare = payload("12.457").replace(r#"Estimate":100"#, r#"Estimate":-inf"#);
        let text = payload(r#""12.61""#).replace("52.52", r#""52,52""#);
        let wide = payload("12.7").replace(r#""900""#, r#""f880""#);
        assert!(bare.contains("-inf") && text.contains("52,52") && wide.contains("f880"));
        let messages = [("Bare", &bare), ("Text", &text), ("Wide", &wide)];
        broker.publish(&messages.map(|(node, payload)| message(node, payload)));
        isems.database().wait_for_rows(3);

        // A bare `-inf` makes one value unknown and spares the others.
        let bare = newest(&serving, "Bare");
        assert_eq!(bare["missing"], json!(["batteryHealthEstimate"]), "{bare}");
        assert_eq!((&bare["batteryVoltage"], &bare["status"]), (&json!(12.457), &json!("0x900")));
        // A number in quotes is a number.
        let text = newest(&serving, "Text");
        assert_eq!((&text["batteryVoltage"], &text["latitude"]), (&json!(12.61), &json!(52.52)));
        assert_eq!(text["missing"], json!([]), "{text}");
        // A status has twelve bits.
        assert_eq!(newest(&serving, "Wide")["status"], "0x880");
        // It tells no time.
        assert_eq!(bare["clock"], "estimated", "{bare}");
    }
}

both_protocols! {
    fn what_equals_the_message_before_it_is_known_for_half_a_minute(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);

        broker.publish(&[message("Dach", &payload("12.5"))]);
        wait_for_counts(&serving, &broker, 1, 0);
        wait_for_another_second();
        broker.publish(&[message("Dach", &payload("12.5"))]);
        wait_for_counts(&serving, &broker, 1, 1);

        // Another node may say the same, and a value may come back.
        broker.publish(&[message("Hof", &payload("12.5")), message("Dach", &payload("12.6"))]);
        wait_for_counts(&serving, &broker, 3, 1);
        wait_for_another_second();
        broker.publish(&[message("Dach", &payload("12.5"))]);
        wait_for_counts(&serving, &broker, 4, 1);
        assert_eq!(isems.database().count(), 4);
    }
}

both_protocols! {
    fn of_many_messages_within_a_second_the_one_before_is_the_one_that_came_last(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let (low, high) = (payload("12.5"), payload("12.6"));

        // A backlog, in one order and in the other.
        let (rising, falling) = (message("Auf", &high), message("Ab", &low));
        let before = [message("Auf", &low), message("Ab", &high)];
        broker.publish(&[&before[..], &[rising.clone(), falling.clone()]].concat());
        wait_for_counts(&serving, &broker, 4, 0);
        wait_for_another_second();

        broker.publish(&[rising, falling]);
        wait_for_counts(&serving, &broker, 4, 2);
        assert_eq!(isems.database().count(), 4);
    }
}

both_protocols! {
    fn what_repeats_a_line_of_the_last_two_minutes_is_covered_by_it(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        broker.publish(&[line("Dach", 60, "12.5"), line("Alt", 300, "12.5")]);
        wait_for_counts(&serving, &broker, 2, 0);

        broker.publish(&[message("Dach", &payload("12.5"))]);
        wait_for_counts(&serving, &broker, 2, 1);
        assert_eq!(newest(&serving, "Dach")["clock"], "node", "the line stays");

        // Another value is news; so is a line's after more than two minutes.
        broker.publish(&[message("Dach", &payload("12.6")), message("Alt", &payload("12.5"))]);
        wait_for_counts(&serving, &broker, 4, 1);
        assert_eq!(isems.database().count(), 4);
    }
}
