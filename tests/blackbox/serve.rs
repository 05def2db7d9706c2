//! `isems serve` with nodes and a broker at once.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::support::{
    Broker, Isems, Load, Message, Node, Running, Told, eventually, free_port, get, log, recorded,
    repetitions_in, told_by,
};

/// A test for each version of MQTT.
macro_rules! both_protocols {
    (fn $name:ident($protocol:ident) $body:block) => {
        mod $name {
            use super::*;

            fn case($protocol: &str) $body

            #[test]
            fn with_mqtt_5() {
                case("5");
            }

            #[test]
            fn with_mqtt_3_1_1() {
                case("3.1.1");
            }
        }
    };
}
pub(crate) use both_protocols;

/// Both kinds of topics that nodes publish to.
const TOPICS: &str = "/isems/#,isems/testdrive/foobar/#";

/// A collector of what comes by way of `broker`, quick to store.
pub(crate) fn collector(broker: &Broker, protocol: &str) -> Isems {
    Isems::new()
        .set("MQTT_SERVER", &broker.address())
        .set("MQTT_PROTOCOL", protocol)
        .set("ISEMS_COMMIT_INTERVAL", "50ms")
}

/// Starts `serve` and waits until the broker keeps messages for it.
pub(crate) fn subscribed(isems: &Isems, broker: &Broker) -> Running {
    let before = broker.subscriptions();
    let serving = isems.serve();
    broker.wait_for_subscription(before);
    serving
}

/// What `/sources` says of a source.
pub(crate) fn source(serving: &Running, id: &str) -> serde_json::Value {
    let answer = get(&format!("{}/sources", serving.api())).json();
    let sources = answer["sources"].as_array().unwrap();
    sources.iter().find(|source| source["id"] == id).cloned().unwrap_or_default()
}

fn all_recorded() -> Vec<Message> {
    [
        "esp-akku0",
        "esp-akku0.broker2",
        "esp-balkon",
        "esp-balkon.broker2",
        "esp-gesund",
        "esp-keinsensor",
        "esp-lat-komma",
        "esp-lat-komma.broker2",
        "esp-ohne-ntp",
        "esp-sensorkurz",
        "esp-umlaut",
        "esp-unkonfiguriert",
    ]
    .into_iter()
    .flat_map(recorded)
    .collect()
}

fn log_lines(name: &str) -> Vec<Told> {
    String::from_utf8(log(name)).unwrap().lines().map(Told::by_line).collect()
}

both_protocols! {
    fn nodes_and_a_broker_are_taken_in_at_once(protocol) {
        // Given polled routers and a broker
        let nodes = ["aa-ring", "ps-wort"].map(|name| Node::with_log(log(name)));
        let broker = Broker::start();
        let isems = collector(&broker, protocol).nodes(&nodes).set("MQTT_TOPICS", TOPICS);
        let serving = subscribed(&isems, &broker);

        // When others publish, log lines and telemetry
        let messages: Vec<Message> =
            ["esp-gesund", "esp-umlaut", "esp-balkon.broker2"].into_iter().flat_map(recorded).collect();
        broker.publish(&messages);

        // Then everything is there once, and both kinds of sources are shown
        let mut expected = told_by(&messages);
        let published = expected.len();
        expected.extend(log_lines("aa-ring"));
        expected.extend(log_lines("ps-wort"));
        isems.database().wait_for_rows(expected.len());
        isems.database().assert_holds_once(expected);
        for (id, kind, stored) in [
            (nodes[0].source(), "http", 42),
            (nodes[1].source(), "http", 28),
            (broker.source(), "mqtt", published),
        ] {
            let source = source(&serving, &id);
            assert_eq!((&source["kind"], &source["stored"]), (&kind.into(), &stored.into()), "{source}");
        }
        let latest = get(&format!("{}/measurements/latest?all=true", serving.api())).text();
        for node in ["Ålesund-Nord", "ESP-Gesund", "Gärten Süd/Nord", "ESP-Balkon"] {
            assert!(latest.contains(&format!(r#""nodeId":"{node}""#)), "{node} in {latest}");
        }
    }
}

both_protocols! {
    fn the_restart_of_the_broker_costs_nothing(protocol) {
        let mut broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let (before, after) = (recorded("esp-keinsensor"), recorded("esp-sensorkurz"));

        broker.publish(&before);
        broker.stop();
        serving.wait_for_log("cannot be used");
        let subscriptions = broker.subscriptions();
        broker.run();
        broker.publish(&after);

        let mut expected = told_by(&before);
        expected.extend(told_by(&after));
        isems.database().wait_for_rows(expected.len());
        isems.database().assert_holds_once(expected);
        broker.wait_for_subscription(subscriptions);
    }
}

both_protocols! {
    fn sigterm_in_the_middle_of_a_burst_loses_nothing_in_hand(protocol) {
        let messages = all_recorded();
        let expected = told_by(&messages);
        let broker = Broker::start();
        let isems = collector(&broker, protocol)
            .set("MQTT_TOPICS", TOPICS)
            .set("ISEMS_COMMIT_INTERVAL", "300ms");
        let serving = subscribed(&isems, &broker);
        let (first, rest) = messages.split_at(messages.len() / 2);

        // When it is asked to end while messages come
        broker.publish(first);
        isems.database().wait_for_rows(1);
        let asked = Instant::now();
        serving.stop().expect(0);
        assert!(asked.elapsed() < Duration::from_secs(10));
        broker.publish(rest);

        // Then it goes on where it was
        let serving = isems.serve();
        isems.database().wait_for_rows(expected.len());
        eventually("every message", || {
            let known = source(&serving, &broker.source())["duplicate"].as_u64();
            (known >= Some(repetitions_in(&messages) as u64)).then_some(())
        });
        isems.database().assert_holds_once(expected);
        // What was stored was acknowledged too: nothing came twice.
        let known = &source(&serving, &broker.source())["duplicate"];
        assert_eq!(known, repetitions_in(&messages), "{}", serving.log());
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_load_ends_it_as_sigterm_does() {
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let mut serving = subscribed(&isems, &broker);
    let load = Load::start(&broker, 500, Duration::from_millis(5));
    isems.database().wait_for_rows(100);

    serving.signal("INT");
    let status = serving.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "{}", serving.log());
    assert!(serving.log().contains("SIGINT: ending"), "{}", serving.log());

    let expected = load.end();
    let _serving = isems.serve();
    isems.database().wait_for_rows(expected.len());
    isems.database().assert_holds_once(expected);
}

#[test]
fn subscribe_takes_in_the_broker_and_neither_polls_nor_serves() {
    let node = Node::with_log(log("aa-ring"));
    let broker = Broker::start();
    let messages = recorded("esp-umlaut");
    let isems = collector(&broker, "5").nodes([&node]);

    let subscribed = isems.start(&["subscribe"]);
    broker.wait_for_subscription(0);
    broker.publish(&messages);
    isems.database().wait_for_rows(told_by(&messages).len());
    let told = subscribed.stop().expect(0);

    isems.database().assert_holds_once(told_by(&messages));
    assert!(!told.stderr.contains("serving the API"), "{}", told.stderr);
    assert_eq!(node.requests(), [""; 0]);
}

#[test]
fn a_broker_that_cannot_be_reached_does_not_keep_the_api_from_answering() {
    let away = format!("127.0.0.1:{}", free_port());
    let node = Node::with_log(log("aa-ring"));
    let serving = Isems::new().nodes([&node]).set("MQTT_SERVER", &away).serve();
    serving.wait_for_log(&format!("MQTT broker mqtt://{away} cannot be used"));

    let asked = Instant::now();
    let answer = get(&format!("{}/measurements/latest?all=true", serving.api()));
    assert_eq!(answer.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());

    let trouble = eventually("the trouble in /sources", || {
        source(&serving, &format!("mqtt://{away}"))["lastError"].as_str().map(str::to_owned)
    });
    assert!(trouble.contains("no connection to the broker"), "{trouble}");
    eventually("the polled node in /sources", || {
        (source(&serving, &node.source())["stored"] == 42).then_some(())
    });
}

#[test]
fn nodes_that_hang_or_are_gone_do_not_delay_the_others() {
    // A connection is accepted by the system; nobody ever answers.
    let hanging = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let mut list: Vec<String> =
        hanging.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
    list.push(format!("127.0.0.1:{}", free_port()));
    let nodes = ["aa-ring", "ps-wort", "latin1"].map(|name| Node::with_log(log(name)));
    list.extend(nodes.iter().map(Node::address));

    // More hang than are polled at once: only their end makes room for others.
    let isems = Isems::new()
        .set("ISEMS_ROUTER_IPS", &list.join(","))
        .set("ISEMS_POLL_CONCURRENCY", "2")
        .set("ISEMS_POLL_TIMEOUT", "4s")
        .set("ISEMS_COMMIT_INTERVAL", "0s");
    let started = Instant::now();
    let _serving = isems.serve();

    isems.database().wait_for_rows(42 + 28 + 100);
    // A hanging node has half of ISEMS_POLL_TIMEOUT to begin its answer.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn retention_is_applied_while_it_serves() {
    let logs = ["aa-ring", "ps-wort"];
    let nodes = logs.map(|name| Node::with_log(log(name)));
    let isems = Isems::new().nodes(&nodes).set("ISEMS_KEEP_PER_NODE", "10");
    let serving = isems.serve();
    isems.database().wait_for_rows(42 + 28);

    // Half a minute after the start: intake and API come first.
    let deadline = Instant::now() + Duration::from_mins(1);
    while !serving.log().contains("pruning: removed 50 measurements of 2 nodes") {
        assert!(Instant::now() < deadline, "{}", serving.log());
        std::thread::sleep(Duration::from_millis(100));
    }

    let newest = logs.map(|name| log_lines(name).into_iter().rev().take(10));
    isems.database().assert_holds_once(newest.into_iter().flatten());
}
