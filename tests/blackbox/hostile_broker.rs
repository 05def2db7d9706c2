//! A broker to which anybody may write anything: what is good is stored, what
//! is not is counted and told, and nothing costs the collector its memory.

mod liar;

use std::{collections::BTreeSet, time::Duration};

use self::liar::Liar;
use crate::{
    serve::{both_protocols, collector, source, subscribed},
    support::{Broker, Running, Told, eventually, of_a_fleet, recorded, told_by, within},
};

/// How much memory the collector may take, in MiB.
const MOST_MEMORY: u64 = 96;

/// Waits until `/sources` counts so many rejected messages for a reason.
fn wait_for_rejected(serving: &Running, broker: &Broker, reason: &str, count: u64) {
    eventually(&format!("{count} rejected for {reason:?}"), || {
        let shown = source(serving, &broker.source());
        (shown["rejected"][reason].as_u64() == Some(count)).then_some(())
    });
}

/// How many lines of the log warn of something that a broker sent.
fn warnings(log: &str) -> usize {
    let is_warning = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    log.lines().filter(|line| line.contains("mqtt://")).filter(is_warning).count()
}

/// What is no measurement: topic, payload, and the reason that is counted.
fn trash() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let line = recorded("esp-gesund").swap_remove(3).1.lines().next().unwrap().to_owned();
    let semicolon = line.replace("ESP-Gesund", "ESP;Gesund");
    let unending = line.replace("ESP_2.0", &"A".repeat(200_000));
    assert_ne!(unending.len(), line.len());
    vec![
        // Nothing is no news.
        ("/isems/ESP-Gesund/csvlog", b"".to_vec(), None),
        ("/isems/ESP-Gesund/csvlog", b"\n\r\n\n".to_vec(), None),
        ("/isems/ESP-Gesund/csvlog", b"\0\xff\xfe\x80\n\0".repeat(1_000), Some("not a log")),
        ("/isems/ESP-Gesund/csvlog", b"<html>\n</html>\n".to_vec(), Some("not a log")),
        ("/isems/ESP-Gesund/csvlog", vec![b'x'; 250_000], Some("not a log")),
        ("/isems/ESP-Gesund/csvlog", semicolon.clone().into(), Some("field count")),
        ("/isems/ESP;Gesund/csvlog", semicolon.into(), Some("field count")),
        ("/isems/Anderer/csvlog", line.clone().into(), Some("node mismatch")),
        ("/isems/xESP-Gesund/csvlog", line.into(), Some("node mismatch")),
        ("/isems/Lang/csvlog", unending.into(), Some("node mismatch")),
        ("/isems/ESP-Balkon/data.json", b"".to_vec(), Some("not JSON")),
        ("/isems/ESP-Balkon/data.json", b"null".to_vec(), Some("not JSON")),
        ("/isems/ESP-Balkon/data.json", deep.into(), Some("not JSON")),
        ("/isems/ESP-Balkon/data.json", b"\xff\xfe\0\x01".to_vec(), Some("not JSON")),
        ("/isems/ESP%00/data.json", br#"{"batteryVoltage":12}"#.to_vec(), Some("node id")),
        // No topic of ours.
        ("/isems/ESP-Balkon/data.xml", b"<x/>".to_vec(), None),
        ("/isems/csvlog/", b"x".to_vec(), None),
        ("/other/ESP-Balkon/data.json", br#"{"batteryVoltage":12}"#.to_vec(), None),
    ]
}

both_protocols! {
    fn what_is_no_measurement_is_counted_by_its_reason_and_costs_nothing_else(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let good = recorded("esp-umlaut");

        // When every kind of trash comes between good messages
        let mut publisher = broker.publisher();
        let trash = trash();
        for (message, (topic, payload, _)) in good.iter().zip(trash.iter().cycle()) {
            publisher.publish(std::slice::from_ref(message));
            publisher.publish_bytes(topic, payload);
        }
        assert!(good.len() >= trash.len());

        // Then the good ones are there, and the others are accounted for
        isems.database().wait_for_rows(told_by(&good).len());
        let all: Vec<_> =
            trash.iter().cycle().take(good.len()).filter_map(|(_, _, reason)| *reason).collect();
        for reason in all.iter().copied().collect::<BTreeSet<&str>>() {
            let count = all.iter().filter(|other| **other == reason).count() as u64;
            wait_for_rejected(&serving, &broker, reason, count);
        }
        isems.database().assert_holds_once(told_by(&good));
        assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
        // Told as long as they are few: twenty of a source within a minute.
        let log = serving.stop().expect(0).stderr;
        assert_eq!(warnings(&log), 20 + 1, "{log}");
        assert!(log.contains("further rejected lines are counted, not told"), "{log}");
    }
}

both_protocols! {
    fn invented_names_are_limited_within_an_hour_and_known_nodes_go_on(protocol) {
        const LIMIT: usize = 100;
        const INVENTED: usize = 4_000;
        /// Nodes of the fleet, see `of_a_fleet`.
        const FLEET: usize = 44;
        // Given a fleet that is known
        let broker = Broker::start();
        let isems =
            collector(&broker, protocol).set("ISEMS_NEW_NODES_PER_HOUR", &LIMIT.to_string());
        let serving = subscribed(&isems, &broker);
        let fleet: Vec<_> = (0..600).map(of_a_fleet).collect();
        let (before, after) = fleet.split_at(300);
        broker.publish(before);
        isems.database().wait_for_rows(before.len());

        // When somebody invents thousands of names, by either format
        let invented: Vec<_> = (0..INVENTED)
            .map(|i| {
                let (topic, payload) = of_a_fleet(6 * i + 2 * (i % 3));
                let old = topic.rsplit('/').nth(1).unwrap();
                let new = format!("Erfunden-{i}");
                (topic.replace(old, &new), payload.replace(&format!("{old};"), &format!("{new};")))
            })
            .collect();
        broker.publish(&invented);
        broker.publish(after);

        // Then as many as may come up are stored, and every known node
        let admitted = LIMIT - FLEET;
        isems.database().wait_for_rows(fleet.len() + admitted);
        let rejected = u64::try_from(INVENTED - admitted).unwrap();
        wait_for_rejected(&serving, &broker, "too many new nodes", rejected);
        let mut expected: BTreeSet<Told> = told_by(&fleet);
        expected.extend(told_by(&invented[..admitted]));
        isems.database().assert_holds_once(expected);
        assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
        // And the log says it once
        let log = serving.stop().expect(0).stderr;
        let told = "more than 100 new nodes came up within an hour";
        assert_eq!(log.matches(told).count(), 1, "{log}");
        assert_eq!(warnings(&log), 1, "{log}");
    }
}

#[test]
fn the_names_that_somebody_invents_without_end_are_not_remembered() {
    const A_FEW: usize = 4_000;
    const MANY: usize = 24_000;
    /// What they may cost beyond the few, in bytes: remembered, they take 15 MB.
    const MORE: u64 = 6 << 20;
    let broker = Broker::start();
    let isems = collector(&broker, "5").set("ISEMS_NEW_NODES_PER_HOUR", "1");
    let serving = subscribed(&isems, &broker);
    let mut publisher = broker.publisher();
    let mut invent = |numbers: std::ops::Range<usize>| {
        let count = numbers.end as u64 - 1;
        // As long as names can be.
        let topic = |i| format!("/isems/Erfunden-{i:0>119}/data.json");
        let message = |i| (topic(i), r#"{"batteryVoltage":12,"status":"900"}"#.to_owned());
        publisher.publish(&numbers.map(message).collect::<Vec<_>>());
        within(Duration::from_mins(2), "all of them in /sources", || {
            let shown = source(&serving, &broker.source());
            (shown["rejected"]["too many new nodes"] == count).then_some(())
        });
        serving.most_memory()
    };

    let few = invent(0..A_FEW);
    let many = invent(A_FEW..MANY);

    let more = many - few;
    assert!(more < MORE, "{A_FEW} names: {few} bytes, {MANY} names: {more} bytes more");
    isems.database().wait_for_rows(1);
}

both_protocols! {
    fn a_message_that_is_sent_again_and_again_is_stored_once(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let messages = recorded("esp-keinsensor");
        let told = told_by(&messages);
        let lines: usize = messages.iter().map(|(_, payload)| payload.lines().count()).sum();

        for _ in 0..4 {
            broker.publish(&messages);
        }

        eventually("every line but the first of each", || {
            let shown = source(&serving, &broker.source());
            (shown["duplicate"] == 4 * lines - told.len()).then_some(())
        });
        isems.database().assert_holds_once(told);
    }
}

#[test]
fn with_mqtt_5_the_broker_drops_what_is_too_large_and_nothing_else() {
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let serving = subscribed(&isems, &broker);
    let good = recorded("esp-umlaut");

    for message in &good[..5] {
        let mut publisher = broker.publisher();
        publisher.publish_bytes("/isems/ESP-Gesund/csvlog", &vec![b'x'; 4_000_000]);
        publisher.publish(std::slice::from_ref(message));
    }

    isems.database().wait_for_rows(told_by(&good[..5]).len());
    isems.database().assert_holds_once(told_by(&good[..5]));
    assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
    let shown = source(&serving, &broker.source());
    assert_eq!(shown["rejected"], serde_json::json!({}), "it did not even come");
    assert_eq!(broker.subscriptions(), 1, "the connection stays");
}

#[test]
fn with_mqtt_3_1_1_what_is_too_large_costs_the_session_but_not_the_intake() {
    let broker = Broker::start();
    let isems = collector(&broker, "3.1.1");
    let serving = subscribed(&isems, &broker);
    let (before, after) = (recorded("esp-umlaut"), recorded("esp-keinsensor"));

    broker.publish(&before);
    isems.database().wait_for_rows(told_by(&before).len());
    broker.publisher().publish_bytes("/isems/ESP-Gesund/csvlog", &vec![b'x'; 4_000_000]);
    serving.wait_for_log("the session is dropped, and with it all that the broker holds");
    broker.wait_for_subscription(broker.subscriptions());
    broker.publish(&after);

    let mut expected = told_by(&before);
    expected.extend(told_by(&after));
    isems.database().wait_for_rows(expected.len());
    isems.database().assert_holds_once(expected);
    assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
}

both_protocols! {
    fn a_broker_that_claims_200_megabytes_is_left_before_they_are_taken(protocol) {
        let liar = Liar::start(protocol);
        let isems = crate::support::Isems::new()
            .set("MQTT_SERVER", &liar.address())
            .set("MQTT_PROTOCOL", protocol);
        let serving = isems.serve();

        let told = serving.wait_for_log("cannot be used");
        assert!(told.contains("200000000") || told.contains("256 KiB"), "{told}");
        // What the system's buffers hold, for each attempt to connect.
        assert!(liar.sent() < 40_000_000, "{} bytes were taken", liar.sent());
        assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
    }
}

#[test]
fn a_node_that_sets_its_clock_with_every_message_does_not_flood_the_log() {
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let serving = subscribed(&isems, &broker);
    // Messages of the fleet's node without a clock that come too fast.
    let messages: Vec<_> = (0..200).map(|i| of_a_fleet(6 * 1_000 * i + 3)).collect();
    assert!(messages.iter().all(|(topic, _)| topic == "/isems/Ohne-Uhr/csvlog"));

    broker.publish(&messages);

    isems.database().wait_for_rows(messages.len());
    let log = serving.stop().expect(0).stderr;
    assert_eq!(log.matches("the clock of Ohne-Uhr is wrong").count(), 20, "{log}");
    assert_eq!(log.matches("further wrong clocks are counted").count(), 1, "{log}");
}
