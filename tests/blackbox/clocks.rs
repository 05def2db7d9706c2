//! Clocks, seen from outside: whatever a node's clock shows, the node is seen
//! where it should be, and its later data is.

use isems_adapters::SystemClock;
use isems_core::{Clock as _, time::DAY};
use serde_json::Value;

use crate::{
    serve::{collector, subscribed},
    support::{Broker, Isems, Node, Running, SOON, eventually, get, of_a_fleet},
};

const YEAR: i64 = 365 * DAY;

fn now() -> i64 {
    SystemClock.now().as_unix()
}

fn line(node: &str, reported: i64, battery_voltage: f64) -> String {
    format!(
        "{node};1;{reported};ATmega8_A_1;9940;0;21.002;17.041;{battery_voltage};23;100;17;11.7;14.2;7;20;52.5;13.4;880\n"
    )
}

/// Three lines a minute apart, the last at this time.
fn lines(node: &str, last: i64) -> String {
    [-120, -60, 0].map(|before| line(node, last + before, 12.5)).concat()
}

/// Serves a log with the node's clock in the answer's head.
fn serve(node: &Node, log: &str, clock: Option<i64>) {
    let date = clock.map_or_else(String::new, |clock| {
        let moment = jiff::Timestamp::from_second(clock).unwrap();
        moment.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string()
    });
    let head = format!("HTTP/1.1 200 OK\r\n{date}Content-Length: {}\r\n\r\n", log.len());
    node.set_raw("/ISEMS/ffopenmppt.log", head + log);
}

fn node(log: &str, clock: Option<i64>) -> Node {
    let node = Node::empty();
    serve(&node, log, clock);
    node
}

/// The measurements of an answer.
fn answered(serving: &Running, path: &str) -> Vec<Value> {
    let answer = get(&format!("{}{path}", serving.api()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["measurements"].as_array().unwrap().clone()
}

fn texts<'a>(rows: &'a [Value], key: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[key].as_str().unwrap()).collect()
}

/// How many seconds a timestamp of the API lies before the present.
fn age(row: &Value) -> i64 {
    let time: jiff::Timestamp = row["timestamp"].as_str().unwrap().parse().unwrap();
    now() - time.as_second()
}

#[test]
fn a_leap_day_is_a_day_like_others() {
    // From 2024-02-28T22:00:00Z to 2024-03-01T01:00:00Z, every ten minutes.
    let (first, count) = (1_709_157_600, 27 * 6 + 1);
    let log: String = (0..count).map(|i| line("Dach", first + i * 600, 12.5)).collect();
    let dach = node(&log, Some(now()));
    let isems = Isems::new().nodes([&dach]);
    isems.run(&["update-data"]).expect(0);
    let serving = isems.unset("ISEMS_ROUTER_IPS").serve();

    let rows = answered(&serving, "/measurements/Dach/latest");
    let times = texts(&rows, "timestamp");
    assert_eq!(times.len(), log.lines().count());
    assert_eq!(times[0], "2024-03-01T02:00:00+01:00");
    assert_eq!(*times.last().unwrap(), "2024-02-28T23:00:00+01:00");
    let leap_day = times.iter().filter(|time| time.starts_with("2024-02-29T")).count();
    assert_eq!(leap_day, 24 * 6);

    let range = "from=2024-02-28T22:00:00Z&to=2024-03-01T02:00:00Z&step=3600";
    let answer = get(&format!("{}/api/v1/nodes/Dach/history?{range}", serving.api())).json();
    let buckets = answer["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 28, "an hour each");
    assert!(buckets.iter().any(|bucket| bucket["begin"] == "2024-03-01T00:00:00+01:00"));
}

#[test]
fn a_wrong_clock_neither_hides_a_node_nor_makes_it_look_active() {
    let now = now();
    let long_ago = now - 60 * DAY;
    let nodes = [
        node(&lines("ahead", now + YEAR), Some(now + YEAR)),
        node(&lines("uptime", 190), Some(195)),
        node(
            &lines("fell-back", long_ago).replace(
                &line("fell-back", long_ago - 120, 12.5),
                &line("fell-back", now + 2 * YEAR, 12.5),
            ),
            Some(now),
        ),
        node(&lines("stale", long_ago), Some(now)),
        node(&lines("right", now - 5), Some(now)),
    ];
    let isems = Isems::new().nodes(&nodes);
    isems.run(&["update-data"]).expect(0);
    let serving = Isems::with_database(isems.database()).serve();

    let active = answered(&serving, "/measurements/latest");
    assert_eq!(texts(&active, "nodeId"), ["ahead", "right", "uptime"]);
    assert_eq!(texts(&active, "clock"), ["corrected", "node", "corrected"]);
    for row in &active {
        assert!((-5..120).contains(&age(row)), "believed to be of now: {row}");
    }
    let all = answered(&serving, "/measurements/latest?all=true");
    assert_eq!(texts(&all, "nodeId"), ["ahead", "fell-back", "right", "stale", "uptime"]);
    assert_eq!(all[1]["clock"], "node", "the newest of fell-back is from long ago");
    assert_eq!(isems.database().count(), 15, "nothing is left out");

    // The clock is set right: what comes then is not older than what was there.
    serve(&nodes[0], &(lines("ahead", now + YEAR) + &line("ahead", now + 2, 12.9)), Some(now + 2));
    isems.run(&["update-data"]).expect(0);
    let ahead = &answered(&serving, "/measurements/latest")[0];
    assert_eq!((&ahead["clock"], &ahead["batteryVoltage"]), (&"node".into(), &12.9.into()));
}

#[test]
fn when_most_nodes_contradict_our_clock_nothing_is_corrected_by_it() {
    let theirs = now() + DAY;
    let nodes = ["A", "B"].map(|name| node(&lines(name, theirs - 5), Some(theirs)));
    let isems = Isems::new().nodes(&nodes);
    let told = isems.run(&["update-data"]).expect(0);
    let doubts = told.stderr.lines().filter(|line| line.contains("2 nodes agree that it is"));
    assert_eq!(doubts.count(), 1, "{}", told.stderr);
    let serving = isems.unset("ISEMS_ROUTER_IPS").serve();
    let rows = answered(&serving, "/measurements/latest");
    // The first to be read stood alone against our clock.
    assert!(texts(&rows, "clock").contains(&"node"), "{rows:?}");
}

#[test]
fn a_doubt_of_our_clock_is_told_once_for_all_intakes_and_so_is_its_end() {
    const OVER: &str = "the clock of this machine is not doubted any more";
    // Given nodes that contradict our clock, and one that publishes meanwhile
    let theirs = now() + DAY;
    let nodes = ["A", "B"].map(|name| node(&lines(name, theirs - 5), Some(theirs)));
    let broker = Broker::start();
    let isems = collector(&broker, "5").nodes(&nodes).set("ISEMS_POLL_INTERVAL", "1s");
    let serving = subscribed(&isems, &broker);
    serving.wait_for_log("the clock of this machine is doubted");
    broker.publish(&[of_a_fleet(0)]);
    isems.database().wait_for_rows(6 + 1);
    assert!(!serving.log().contains(OVER), "one node does not outvote two");

    // When they show the right time
    for (name, node) in ["A", "B"].iter().zip(&nodes) {
        serve(node, &lines(name, now()), Some(now()));
    }

    // Then both are told once
    serving.wait_for_log(OVER);
    broker.publish(&[of_a_fleet(1)]);
    isems.database().wait_for_rows(6 + 6 + 2);
    let told = serving.stop().expect(0).stderr;
    assert_eq!(told.matches("the clock of this machine is doubted").count(), 1, "{told}");
    assert_eq!(told.matches(OVER).count(), 1, "{told}");
}

#[test]
fn a_node_that_two_addresses_report_is_warned_of_once() {
    let nodes = [-300, -5].map(|before| node(&lines("Dach", now() + before), Some(now())));
    let isems = Isems::new().nodes(&nodes).set("ISEMS_POLL_INTERVAL", "1s");
    let mut serving = isems.serve();
    let warned = serving.wait_for_log("Dach");
    assert!(warned.contains("WARN"), "{warned}");
    // Each has news again, so each time it is the other one that reported last.
    for k in [1, 2] {
        for node in &nodes {
            serve(node, &line("Dach", now() + k, 12.0), Some(now()));
            let asked = node.requests().len();
            eventually("it is read", || (node.requests().len() >= asked + 2).then_some(()));
        }
    }
    serving.signal("TERM");
    serving.wait(SOON);
    let log = serving.log();
    let warnings = log.lines().filter(|line| line.contains("WARN") && line.contains("Dach"));
    assert_eq!(warnings.count(), 1, "{log}");
}
