//! The broker's side of the collector: logins, encryption, rejections, and
//! that nothing which the broker accepted is lost or stored twice.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    serve::{both_protocols, collector, source, subscribed},
    support::{
        Broker, Isems, Link, Load, Message, Node, Running, Told, eventually, free_port, log,
        of_a_fleet, recorded, run_tool, told_by, wait_for_another_second,
    },
};

const PASSWORD: &str = "p@ss:w/rd";

/// A broker that lets in only `anna` with [`PASSWORD`].
fn broker_with_password() -> Broker {
    let mut broker = Broker::start_with(|folder| {
        let file = folder.join("passwords");
        set_password(folder, PASSWORD);
        format!("allow_anonymous false\npassword_file {}\n", file.display())
    });
    broker.log_in("anna", PASSWORD);
    broker
}

fn set_password(folder: &Path, password: &str) {
    let create = ["-c", "-b", "passwords", "anna", password];
    run_tool("mosquitto_passwd", "mosquitto", &create, folder);
}

/// Publishes as a node and waits until it is in the database.
fn assert_gets_through(broker: &Broker, isems: &Isems) {
    let messages = recorded("esp-umlaut");
    broker.publish(&messages);
    isems.database().wait_for_rows(told_by(&messages).len());
    isems.database().assert_holds_once(told_by(&messages));
}

both_protocols! {
    fn user_and_password_may_stand_in_the_address(protocol) {
        let broker = broker_with_password();
        let address = format!("mqtt://anna:p%40ss%3Aw%2Frd@{}", broker.address());
        let isems = collector(&broker, protocol).set("MQTT_SERVER", &address);
        let serving = subscribed(&isems, &broker);
        assert_gets_through(&broker, &isems);
        assert!(!serving.stop().expect(0).stderr.contains("p%40ss"));
    }
}

#[test]
fn the_password_may_stand_in_a_file() {
    let broker = broker_with_password();
    let file = broker.file("secret");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let isems = collector(&broker, "5")
        .set("MQTT_SERVER", &format!("mqtt://anna@{}", broker.address()))
        .set("MQTT_PASSWORD_FILE", file.to_str().unwrap());
    let serving = subscribed(&isems, &broker);
    assert_gets_through(&broker, &isems);
    assert!(!serving.stop().expect(0).stderr.contains(PASSWORD));
}

both_protocols! {
    fn a_wrong_password_is_told_and_tried_again_until_the_broker_takes_it(protocol) {
        let broker = broker_with_password();
        let address = format!("mqtt://anna:geheim@{}", broker.address());
        let isems = collector(&broker, protocol).set("MQTT_SERVER", &address);

        let serving = isems.serve();
        let told = serving.wait_for_log("cannot be used");
        assert!(told.contains("password") && told.contains("MQTT_PASSWORD_FILE"), "{told}");
        let trouble = eventually("the trouble in /sources", || {
            source(&serving, &broker.source())["lastError"].as_str().map(str::to_owned)
        });
        assert!(trouble.contains("password"), "{trouble}");

        // When the broker learns that password
        set_password(broker.file("").as_path(), "geheim");
        broker.signal("HUP");

        // Then it needs no restart
        broker.wait_for_subscription(0);
        let told = serving.stop().expect(0);
        assert!(!told.stderr.contains("geheim"), "{}", told.stderr);
    }
}

/// A broker with a certificate of a private authority, whose own is in
/// `ca.pem`, at a port besides its unencrypted one.
fn broker_with_tls() -> (Broker, String) {
    let port = free_port();
    let broker = Broker::start_with(|folder| {
        let openssl = |arguments: &str| {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            run_tool("openssl", "openssl", &arguments, folder);
        };
        fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Pruefer"));
        openssl(&format!("req {key} -keyout key.pem -out request.pem -subj /CN=broker"));
        openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile san -out cert.pem",
        );
        let folder = folder.display();
        format!(
            "allow_anonymous true\nlistener {port} 127.0.0.1\n\
             certfile {folder}/cert.pem\nkeyfile {folder}/key.pem\n"
        )
    });
    (broker, format!("mqtts://127.0.0.1:{port}"))
}

both_protocols! {
    fn the_link_is_encrypted_with_an_authority_of_ones_own(protocol) {
        let (broker, address) = broker_with_tls();
        let isems = collector(&broker, protocol)
            .set("MQTT_SERVER", &address)
            .set("MQTT_CA_FILE", broker.file("ca.pem").to_str().unwrap());
        let serving = subscribed(&isems, &broker);
        assert_gets_through(&broker, &isems);
        assert_eq!(source(&serving, &address)["kind"], "mqtt");
    }
}

#[test]
fn a_certificate_of_a_stranger_is_refused_with_the_variable_to_set() {
    let (broker, address) = broker_with_tls();
    let serving = collector(&broker, "5").set("MQTT_SERVER", &address).serve();
    let told = serving.wait_for_log("cannot be used");
    assert!(told.contains("MQTT_CA_FILE"), "{told}");
    assert_eq!(broker.subscriptions(), 0);
}

both_protocols! {
    fn a_node_cannot_speak_for_another(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let honest = recorded("esp-umlaut");
        let (_, forged) = recorded("esp-gesund").swap_remove(3);

        for topic in ["/isems/ESP-Akku0/csvlog", "/isems/xESP-Gesund/csvlog"] {
            broker.publish(&[(topic.to_owned(), forged.clone())]);
        }
        broker.publish(&honest);

        isems.database().wait_for_rows(told_by(&honest).len());
        isems.database().assert_holds_once(told_by(&honest));
        let source = source(&serving, &broker.source());
        let messages = source["rejected"]["node mismatch"].as_u64();
        assert_eq!(messages, Some(2), "{source}");
        let told = serving.wait_for_log("rejected");
        assert!(told.contains("ESP-Gesund"), "{told}");
    }
}

#[test]
fn what_a_broker_retained_counts_only_if_it_tells_its_time() {
    // MQTT 3.1.1 has no way to refuse retained messages.
    let broker = Broker::start();
    let retained = &recorded("esp-gesund")[3];
    let (_, timeless) = recorded("esp-balkon.broker2").swap_remove(0);
    let mut publisher = broker.publisher();
    publisher.publish_retained(retained);
    publisher.publish_retained(&("/isems/ESP-Balkon/data.json".to_owned(), timeless));

    let isems = collector(&broker, "3.1.1");
    let serving = isems.serve();

    let told = told_by(std::slice::from_ref(retained));
    isems.database().wait_for_rows(told.len());
    eventually("a rejection", || {
        let source = source(&serving, &broker.source());
        (source["rejected"]["retained"] == 1).then_some(())
    });
    isems.database().assert_holds_once(told);
}

#[test]
fn with_mqtt_5_retained_messages_do_not_even_come() {
    let broker = Broker::start();
    let retained = &recorded("esp-gesund")[3];
    broker.publisher().publish_retained(retained);
    let isems = collector(&broker, "5");
    let _serving = subscribed(&isems, &broker);
    assert_gets_through(&broker, &isems);
}

both_protocols! {
    fn five_thousand_messages_wait_for_a_collector_that_is_away(protocol) {
        const MESSAGES: usize = 5_000;
        // Given a collector that was there once
        let mut broker = Broker::start();
        let isems = collector(&broker, protocol);
        subscribed(&isems, &broker).stop().expect(0);

        // When it is away, and the broker even restarts
        let messages: Vec<_> = (0..MESSAGES).map(of_a_fleet).collect();
        let (early, late) = messages.split_at(MESSAGES / 2);
        broker.publish(early);
        broker.stop();
        broker.run();
        broker.publish(late);

        // Then nothing is lost
        let serving = isems.serve();
        isems.database().wait_for_rows(MESSAGES);
        isems.database().assert_holds_once(told_by(&messages));
        assert_eq!(source(&serving, &broker.source())["stored"], MESSAGES);
    }
}

both_protocols! {
    fn power_that_fails_again_and_again_costs_nothing(protocol) {
        const MESSAGES: usize = 3_000;
        /// Milliseconds from the moment at which messages come in.
        const MOMENTS: [u64; 8] = [0, 5, 20, 50, 90, 140, 250, 400];
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        subscribed(&isems, &broker).kill();
        let load = Load::start(&broker, MESSAGES, Duration::from_millis(15));

        for moment in MOMENTS {
            let rows = isems.database().count();
            let serving = isems.serve();
            isems.database().wait_for_rows(rows + 1);
            thread::sleep(Duration::from_millis(moment));
            serving.kill();
        }
        let serving = isems.serve();
        let told = load.end();
        assert!(told.len() >= MESSAGES);
        isems.database().wait_for_rows(told.len());
        serving.stop().expect(0);
        isems.database().assert_holds_once(told);
    }
}

/// As many as a broker of MQTT 3.1.1 sends without an acknowledgement, nearly.
const UNACKNOWLEDGED: usize = 18;

/// A collector that has stored what the fleet published, and whose
/// acknowledgements were lost on the way.
fn stored_in_vain(isems: &Isems, broker: &Broker, link: &Link) -> (Running, Vec<Message>) {
    let serving = subscribed(isems, broker);
    // Of every node that tells no time there are two: the older is not the last.
    let numbers = (0..UNACKNOWLEDGED / 2).chain(120..120 + UNACKNOWLEDGED / 2);
    let messages: Vec<Message> = numbers.map(of_a_fleet).collect();
    link.lose_what_the_collector_says();
    broker.publish(&messages);
    isems.database().wait_for_rows(UNACKNOWLEDGED);
    wait_for_another_second();
    (serving, messages)
}

fn assert_all_came_again(serving: &Running, link: &Link) {
    eventually("every message again", || {
        let source = source(serving, &format!("mqtt://{}", link.address()));
        (source["duplicate"].as_u64() >= Some(UNACKNOWLEDGED as u64)).then_some(())
    });
}

both_protocols! {
    fn what_was_stored_before_the_link_broke_is_known_when_it_comes_again(protocol) {
        let broker = Broker::start();
        let link = Link::to(&broker);
        let isems = collector(&broker, protocol).set("MQTT_SERVER", &link.address());
        let (serving, messages) = stored_in_vain(&isems, &broker, &link);

        link.break_and_mend();

        assert_all_came_again(&serving, &link);
        isems.database().assert_holds_once(told_by(&messages));
    }
}

both_protocols! {
    fn what_was_stored_before_power_failed_is_known_when_it_comes_again(protocol) {
        let broker = Broker::start();
        let link = Link::to(&broker);
        let isems = collector(&broker, protocol).set("MQTT_SERVER", &link.address());
        let (serving, messages) = stored_in_vain(&isems, &broker, &link);

        serving.kill();
        link.break_and_mend();
        let serving = isems.serve();

        assert_all_came_again(&serving, &link);
        isems.database().assert_holds_once(told_by(&messages));
    }
}

both_protocols! {
    fn two_collectors_with_one_client_id_lose_and_double_nothing(protocol) {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let first = subscribed(&isems, &broker);
        let load = Load::start(&broker, 500, Duration::from_millis(100));

        let second = subscribed(&isems, &broker);
        let warned = "give each its own MQTT_CLIENT_ID";
        eventually("a warning", || {
            (first.log().contains(warned) || second.log().contains(warned)).then_some(())
        });

        let told = load.end();
        first.stop().expect(0);
        isems.database().wait_for_rows(told.len());
        second.stop().expect(0);
        isems.database().assert_holds_once(told);
    }
}

#[test]
fn update_data_beside_serve_loses_and_doubles_nothing() {
    // Given a collector that polls a node without pause, and a broker's load
    let whole = String::from_utf8(log("elektra-dach")).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let node = Node::with_log(lines[..1000].concat());
    let broker = Broker::start();
    let isems = collector(&broker, "5").nodes([&node]).set("ISEMS_POLL_INTERVAL", "1s");
    let serving = subscribed(&isems, &broker);
    let load = Load::start(&broker, 500, Duration::from_millis(20));

    // When somebody else polls the same node while its log grows
    for end in (1000..=lines.len()).step_by(665) {
        node.set_log(lines[..end].concat());
        isems.run(&["update-data"]).expect(0);
    }

    // Then every line and every message is there once
    let mut expected: BTreeSet<Told> = lines.iter().map(|line| Told::by_line(line)).collect();
    assert_eq!(expected.len(), lines.len());
    expected.extend(load.end());
    isems.database().wait_for_rows(expected.len());
    let asked = Instant::now();
    serving.stop().expect(0);
    assert!(asked.elapsed() < Duration::from_secs(10));
    isems.database().assert_holds_once(expected);
}
