//! Clocks, seen from outside: whatever a node's clock shows, the node is seen
//! where it should be, and its later data is.

use isems_core::time::DAY;
use serde_json::Value;

use crate::{
    pruning::days_ahead,
    serve::{collector, source, subscribed},
    support::{Broker, Isems, Node, Running, SOON, eventually, get, now, of_a_fleet},
};

const YEAR: i64 = 365 * DAY;

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
    let polling = isems.serve();
    let round = polling.wait_for_log("polling round: ");
    polling.stop().expect(0);
    let serving = Isems::with_database(isems.database()).serve();

    // What is not dated as reported is counted, node by node and in the round.
    for (node, retimed) in nodes.iter().zip([3, 3, 1, 0, 0]) {
        let shown = source(&serving, &node.source());
        assert_eq!(shown["retimed"], retimed, "{shown}");
    }
    assert!(round.contains("5 of 5 nodes read, 15 stored, 7 of them re-timed"), "{round}");

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
fn a_clock_that_was_never_set_is_counted_from_arrival_and_shown_as_what_it_said() {
    // Node, the time of its last line, and as the API tells it. None tells its
    // clock otherwise.
    let cases = [
        ("Null", 0, "1970-01-01T01:00:00+01:00"),
        ("Boot", 190, "1970-01-01T01:03:10+01:00"),
        ("Placeholder", 123_456_789, "1973-11-29T22:33:09+01:00"),
    ];
    let log = |node: &str, last: i64| -> String {
        let times = [-120, -60, 0].map(|before| last + before);
        times.into_iter().filter(|time| *time >= 0).map(|time| line(node, time, 12.5)).collect()
    };
    let nodes = cases.map(|(name, last, _)| node(&log(name, last), None));
    let isems = Isems::new().nodes(&nodes);
    isems.run(&["update-data"]).expect(0);
    let serving = Isems::with_database(isems.database()).serve();
    assert_eq!(isems.database().count(), 1 + 3 + 3, "nothing is left out");

    for ((name, last, shown), node) in cases.iter().zip(&nodes) {
        // Heard just now, whatever it said, and for no longer than that.
        let found = get(&format!("{}/api/v1/nodes/{name}", serving.api())).json();
        assert_eq!((&found["active"], &found["clock"]), (&true.into(), &"estimated".into()));
        assert_eq!(found["reportedAt"], *shown, "{found}");
        let time = |key: &str| found[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let waited = time("receivedAt").as_second() - time("lastHeard").as_second();
        assert!((0..5).contains(&waited), "{found}");
        assert_eq!(
            source(&serving, &node.source())["retimed"],
            log(name, *last).lines().count(),
            "{name}"
        );

        // And what comes later is the newest then.
        serve(node, &(log(name, *last) + &line(name, last + 61, 12.9)), None);
    }
    isems.run(&["update-data"]).expect(0);
    let active = answered(&serving, "/measurements/latest");
    assert_eq!(texts(&active, "nodeId"), ["Boot", "Null", "Placeholder"]);
    for row in &active {
        assert_eq!(row["batteryVoltage"], 12.9, "{row}");
    }
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

#[test]
fn a_clock_of_ours_that_was_not_set_hides_no_node_once_it_is() {
    // Given a node without a clock, heard while ours showed a time long ago
    let uptime = node(&lines("uptime", 190), None);
    let unset = days_ahead(Isems::new().nodes([&uptime]), -9_000);
    unset.run(&["update-data"]).expect(0);

    // When ours is right again, long after the program was built, and the node
    // goes on
    let later = 40;
    let log = lines("uptime", 190) + &line("uptime", 251, 12.6) + &line("uptime", 312, 12.7);
    serve(&uptime, &log, None);
    let isems = days_ahead(Isems::with_database(unset.database()), later).nodes([&uptime]);
    isems.run(&["update-data"]).expect(0);

    // Then it is seen, at the right time, and nothing is lost
    let serving = days_ahead(Isems::with_database(isems.database()), later).serve();
    let active = answered(&serving, "/measurements/latest");
    assert_eq!(texts(&active, "nodeId"), ["uptime"]);
    assert!((0..120).contains(&(age(&active[0]) + later * DAY)), "{active:?}");
    let voltages: Vec<f64> = answered(&serving, "/measurements/uptime/latest")
        .iter()
        .map(|row| row["batteryVoltage"].as_f64().unwrap())
        .collect();
    assert_eq!(voltages, [12.7, 12.6, 12.5, 12.5, 12.5]);
}

#[test]
fn what_a_clock_that_ran_ahead_pruned_keeps_nothing_later_from_being_stored() {
    // Given a node without a clock, stored and pruned by a clock a year ahead
    let uptime = node(&lines("uptime", 190), None);
    let isems = Isems::new().nodes([&uptime]).set("ISEMS_KEEP_PER_NODE", "1");
    let ahead = days_ahead(isems, 365);
    ahead.run(&["update-data"]).expect(0);
    let told = ahead.run(&["prune"]).expect(0);
    assert_eq!(told.last_line(), "Removed 2 measurements of 1 node");

    // When the clock is right again, and the node booted
    serve(&uptime, &lines("uptime", 5_000_000), None);
    let isems = Isems::with_database(ahead.database()).nodes([&uptime]);
    let told = isems.run(&["update-data"]).expect(0);

    // Then what it tells is stored
    assert_eq!(told.last_line(), "Inserted 3", "{told:#?}");

    // and stays, as long as the newest are those of the future
    let told = isems.set("ISEMS_KEEP_PER_NODE", "1").run(&["prune"]).expect(0);
    assert_eq!(told.last_line(), "Removed 0 measurements of 0 nodes");
    assert!(told.stderr.contains("nothing is removed"), "{}", told.stderr);
}
