//! What is counted of each node: under `/sources`, and in the log.

use isems_adapters::SystemClock;
use isems_core::{Clock as _, time::DAY};
use serde_json::json;

use crate::{
    serve::{collector, source, subscribed},
    support::{Broker, Isems, Message, Node, Told, eventually},
};

fn line(node: &str, minute: usize) -> String {
    line_at(node, 1_760_000_000 + i64::try_from(61 * minute).unwrap())
}

fn line_at(node: &str, time: i64) -> String {
    format!("{node};1;{time};fw;60;0;21;17;12.5;80;100;20;11.9;14.2;7;20;52.5;13.4;800\n")
}

fn message(node: &str, payload: &str) -> Message {
    (format!("/isems/{node}/csvlog"), payload.to_owned())
}

/// Counts as `/sources` shows them.
fn counts(stored: u64, duplicate: u64, rejected: &serde_json::Value) -> serde_json::Value {
    json!({
        "stored": stored, "duplicate": duplicate, "conflict": 0, "expired": 0,
        "rejected": rejected, "retimed": 0,
    })
}

#[test]
fn each_node_at_a_broker_has_its_own_counts_and_the_log_names_those_that_are_odd() {
    // Given two nodes, one of which sends what cannot be used, and later one
    // that counts its seconds
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let serving = subscribed(&isems, &broker);
    broker.publish(&[message("Gut", &line("Gut", 0)), message("Krank", &line("Krank", 0))]);
    serving.wait_for_log("message");

    broker.publish(&[
        message("Gut", &[line("Gut", 0), line("Gut", 1)].concat()),
        message("Krank", &line("Krank", 1).replace("12.5", "viel")),
        message("Krank", "Unsinn"),
        message("Krank", &line("Gut", 2)),
        message("Niemand", "Unsinn"),
        message("Uhr", &line("Uhr", 0).replace("1760000000", "190")),
    ]);

    // Then each has its own counts, and the source has all
    let mut clockless = counts(1, 0, &json!({}));
    clockless["retimed"] = json!(1);
    let expected = json!({
        "Uhr": clockless,
        "Gut": counts(2, 1, &json!({})),
        "Krank": counts(1, 0, &json!({"batteryVoltage": 1, "not a log": 1, "node mismatch": 1})),
    });
    let shown = eventually("the rejections in /sources", || {
        let shown = source(&serving, &broker.source());
        (shown["rejected"]["not a log"] == 2 && shown["stored"] == 4).then_some(shown)
    });
    assert_eq!(shown["nodes"], expected, "{shown}");
    assert_eq!((&shown["stored"], &shown["duplicate"]), (&json!(4), &json!(1)), "{shown}");

    let told = serving.stop().expect(0).stderr;
    let named = "of these Krank: 1 rejected (batteryVoltage), 1 rejected (node mismatch), \
                 1 rejected (not a log); Niemand: 1 rejected (not a log); Uhr: 1 re-timed";
    assert!(told.contains(named), "{told}");

    // And they are kept
    let shown = source(&isems.serve(), &broker.source());
    assert_eq!(shown["nodes"], expected, "{shown}");
}

#[test]
fn lines_that_were_retimed_are_counted_for_their_node_and_the_log_names_it() {
    // Given a node whose clock is a day ahead, one that tells its uptime, and one
    // that is right
    let now = SystemClock.now().as_unix();
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let serving = subscribed(&isems, &broker);
    broker.publish(&[message("Gut", &line("Gut", 0))]);
    serving.wait_for_log("1 message");

    let ahead = [-120, -60].map(|before| line_at("Vorne", now + DAY + before)).concat();
    broker.publish(&[
        message("Vorne", &ahead),
        message("Uptime", &line_at("Uptime", 190)),
        message("Gut", &line_at("Gut", now - 5)),
    ]);

    // Then theirs are counted as such, and nobody else's
    let shown = eventually("the lines in /sources", || {
        let shown = source(&serving, &broker.source());
        (shown["stored"] == 5).then_some(shown)
    });
    let nodes = ["Vorne", "Uptime", "Gut"].map(|node| &shown["nodes"][node]["retimed"]);
    assert_eq!((nodes, &shown["retimed"]), ([&json!(2), &json!(1), &json!(0)], &json!(3)));
    let told = serving.stop().expect(0).stderr;
    assert!(
        told.contains("3 of them re-timed, of these Vorne: 2 re-timed; Uptime: 1 re-timed"),
        "{told}"
    );
}

#[test]
fn other_values_for_a_time_that_is_known_are_counted_as_a_conflict_and_the_first_stay() {
    let first: String = (0..3).map(|minute| line("Dach", minute)).collect();
    let node = Node::with_log(first.as_str());
    let isems = Isems::new().nodes([&node]);
    isems.run(&["update-data"]).expect(0);

    // When the second line comes again with another voltage
    node.set_log(
        [line("Dach", 0), line("Dach", 1).replace("12.5", "13"), line("Dach", 2)].concat(),
    );
    let told = isems.run(&["update-data"]).expect(0).stdout;

    assert!(told.contains("0 stored, 2 known, 1 in conflict with known ones"), "{told}");
    let shown = source(&Isems::with_database(isems.database()).serve(), &node.source());
    let count = |key: &str| shown[key].as_u64();
    let counts = [count("stored"), count("duplicate"), count("conflict")];
    assert_eq!(counts, [Some(3), Some(2), Some(1)], "{shown}");
    isems.database().assert_holds_once(first.lines().map(Told::by_line));
}

#[test]
fn the_nodes_of_one_log_have_their_own_counts() {
    let [one, two] = ["Eins", "Zwei"].map(|node| [0, 1].map(|minute| line(node, minute)));
    let gateway = Node::with_log([&one[0], &two[0], &one[1]].map(String::as_str).concat());
    let isems = Isems::new().nodes([&gateway]);
    isems.run(&["update-data"]).expect(0);
    // Another beginning: all of it is looked at again.
    gateway.set_log([&two[0], &one[0], &one[1], &two[1]].map(String::as_str).concat());

    let serving = isems.serve();
    serving.wait_for_log(
        "1 stored, 3 known, by node Eins: 0 stored, 2 known; Zwei: 1 stored, 1 known",
    );

    let shown = source(&serving, &gateway.source());
    let expected = json!({"Eins": counts(2, 2, &json!({})), "Zwei": counts(2, 1, &json!({}))});
    assert_eq!(shown["nodes"], expected, "{shown}");
}
