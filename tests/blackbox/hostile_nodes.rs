//! Nodes that lie, tear, hang and flood: every good line is stored, what is not
//! is counted and told, and none costs the collector its memory.

mod cases;

use std::{fmt::Write as _, sync::OnceLock};

use self::cases::{Case, cases, line_at, lines};
use crate::{
    serve::source,
    support::{Database, Isems, Node, Told, eventually, get, log},
};

/// How much memory the collector may take while all of them are polled at once,
/// in MiB.
const MOST_MEMORY: u64 = 256;

const LOG: &str = "/ISEMS/ffopenmppt.log";
const OLD_LOG: &str = "/ISEMS/ffopenmppt.log.gz";

/// What one round of polling over all cases left behind.
struct Round {
    cases: Vec<(Case, serde_json::Value)>,
    latest: serde_json::Value,
    log: String,
    memory: u64,
    rows: usize,
}

/// The round, which all tests look at.
fn round() -> &'static Round {
    static ROUND: OnceLock<Round> = OnceLock::new();
    ROUND.get_or_init(|| {
        let cases = cases();
        let addresses: Vec<String> = cases.iter().map(|case| case.node.address()).collect();
        let isems = Isems::new()
            .set("ISEMS_ROUTER_IPS", &addresses.join(","))
            .set("ISEMS_POLL_TIMEOUT", "2s")
            .set("ISEMS_POLL_CONCURRENCY", "64")
            .set("ISEMS_NEW_NODES_PER_HOUR", "5000");
        let serving = isems.serve();
        serving.wait_for_log("polling round: ");
        let shown = |case: &Case| source(&serving, &format!("http://{}{LOG}", case.node.address()));
        let shown: Vec<_> = cases.iter().map(shown).collect();
        let latest = get(&format!("{}/measurements/latest?all=true", serving.api())).json();
        let memory = serving.peak_memory();
        let log = serving.stop().expect(0).stderr;
        let rows = isems.database().count();
        Round { cases: cases.into_iter().zip(shown).collect(), latest, log, memory, rows }
    })
}

/// Asserts of each case what `wrong` says of it: nothing.
#[track_caller]
fn assert_of_each(wrong: impl Fn(&Case, &serde_json::Value) -> Option<String>) {
    let mut all = String::new();
    for (case, source) in &round().cases {
        if let Some(wrong) = wrong(case, source) {
            writeln!(all, "{}: {wrong}", case.name).unwrap();
        }
    }
    assert!(all.is_empty(), "{all}\nthe log:\n{}", round().log);
}

#[test]
fn every_good_line_of_every_node_is_stored() {
    assert_of_each(|case, source| {
        (source["stored"].as_u64().unwrap_or_default() != case.stored)
            .then(|| format!("{} were to be stored: {source}", case.stored))
    });
    let all: u64 = round().cases.iter().map(|(case, _)| case.stored).sum();
    assert_eq!(round().rows as u64, all);
}

#[test]
fn what_was_rejected_is_counted_by_source_and_reason() {
    assert_of_each(|case, source| {
        let expected: serde_json::Map<String, serde_json::Value> = case
            .rejected
            .iter()
            .map(|(reason, count)| ((*reason).into(), (*count).into()))
            .collect();
        let found = source.get("rejected").and_then(|rejected| rejected.as_object());
        (found.cloned().unwrap_or_default() != expected)
            .then(|| format!("{expected:?} were to be rejected: {source}"))
    });
}

#[test]
fn a_node_that_could_not_be_read_shows_why() {
    assert_of_each(|case, source| {
        let found = source["lastError"].as_str();
        let right = match case.error {
            Some(error) => found.is_some_and(|found| found.contains(error)),
            None => found.is_none(),
        };
        (!right).then(|| format!("{:?} was to be the error: {source}", case.error))
    });
}

#[test]
fn each_oddity_is_one_line_of_the_log_that_names_its_source() {
    let warnings: Vec<&str> = round()
        .log
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .collect();
    assert_of_each(|case, _| {
        let address = case.node.address();
        let of_case: Vec<&&str> = warnings
            .iter()
            .filter(|line| line.contains(&format!("http://{address}{LOG}")))
            .collect();
        let told = |part: &&str| of_case.iter().filter(|line| line.contains(*part)).count();
        let wrong: Vec<_> = case.warned.iter().filter(|part| told(part) != 1).collect();
        // As many lines as oddities, but for floods.
        let too_many = of_case.len()
            > case.warned.len().max(21 * usize::from(case.name.contains("thousands")));
        (!wrong.is_empty() || too_many).then(|| format!("{wrong:?} not told once: {of_case:#?}"))
    });
}

#[test]
fn a_flood_of_bad_lines_does_not_flood_the_log() {
    let (case, _) =
        round().cases.iter().find(|(case, _)| case.name == "thousands of bad lines").unwrap();
    let of_case = round().log.lines().filter(|line| line.contains(&case.node.address()));
    // Twenty lines, and the node's counts.
    assert!((21..=22).contains(&of_case.count()), "{}", round().log);
}

#[test]
fn memory_is_bounded_while_all_of_them_are_polled_at_once() {
    assert!(round().memory < MOST_MEMORY, "{} MiB", round().memory);
}

#[test]
fn a_redirect_leads_nowhere() {
    let (case, _) = round().cases.iter().find(|(case, _)| case.name == "a redirect").unwrap();
    assert_eq!(case.node.asked(), [LOG]);
}

#[test]
fn names_in_latin_1_are_read() {
    let nodes = round().latest["measurements"].as_array().unwrap();
    for name in ["Süd", "Münchner-Straße", "Ålesund-Nord"] {
        assert!(nodes.iter().any(|node| node["nodeId"] == name), "{name}");
    }
}

#[test]
fn what_is_not_utf_8_is_windows_1252_line_by_line() {
    // The bytes that Latin-1 has no letters for, and a line in UTF-8 between.
    let of = |node: &str, minute: usize, firmware: &[u8]| {
        let line = line_at("Name", minute, "1;1").replace("Name", node);
        let (before, after) = line.split_once("ATmega8_A_1").unwrap();
        [before.as_bytes(), firmware, after.as_bytes()].concat()
    };
    let odd = b"\x80 \x82\x83\x84\x85\x8a\x8c\x8e\x93\x94\x96\x9a\x9c\x9e\x9f \xfc";
    let named = String::from_utf8(of("?koda", 2, b"A")).unwrap();
    let named = [b"\x8a".as_slice(), &named.as_bytes()[1..]].concat();
    let log = [of("Alt", 0, odd), of("Neu", 1, "€ü".as_bytes()), named].concat();
    let node = Node::with_log(log);
    let isems = Isems::new().nodes([&node]);
    let serving = isems.serve();
    isems.database().wait_for_rows(3);

    let answer = get(&format!("{}/measurements/latest?all=true", serving.api())).json();
    let rows = answer["measurements"].as_array().unwrap();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| ["nodeId", "openMPPTFirmwareVersion"].map(|key| row[key].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [["Alt", "€ ‚ƒ„…ŠŒŽ“”–šœžŸ ü"], ["Neu", "€ü"], ["Škoda", "A"]]);
}

#[test]
fn odd_numbers_and_coordinates_are_unknown_or_repaired_and_cost_no_line() {
    // Coordinates, and what becomes of them; null is unknown.
    let cases = [
        ("52,516;13,377", Some((52.516, 13.377))),
        ("52.5 ;\t13.4", Some((52.5, 13.4))),
        ("-33.9;-0", Some((-33.9, 0.0))),
        (" ; ", None),
        (";", None),
        ("nan;inf", None),
        ("-nan;-inf", None),
        ("91;181", None),
    ];
    let node = |at: usize| format!("Ort-{at}");
    let mut log: String =
        cases.iter().enumerate().map(|(at, (odd, _))| line_at(&node(at), 0, odd)).collect();
    let numbers =
        line_at("Zahl", 0, "1;1").replace("12.58;23;100;17;11.7", "nan;-0;-inf;inf;11700");
    log += &numbers;
    let polled = Node::with_log(log);
    let isems = Isems::new().nodes([&polled]);
    let serving = isems.serve();
    isems.database().wait_for_rows(cases.len() + 1);

    let newest = |node: &str| {
        let answer = get(&format!("{}/measurements/{node}/latest", serving.api())).json();
        answer["measurements"][0].clone()
    };
    for (at, (odd, place)) in cases.iter().enumerate() {
        let shown = newest(&node(at));
        let is_missing = shown["missing"].to_string().contains("latitude");
        let found = (!is_missing)
            .then(|| (shown["latitude"].as_f64().unwrap(), shown["longitude"].as_f64().unwrap()));
        assert_eq!(found, *place, "{odd:?}: {shown}");
    }
    let shown = newest("Zahl");
    let missing = ["batteryHealthEstimate", "batteryTemperature", "batteryVoltage"];
    assert_eq!(shown["missing"], serde_json::json!(missing), "{shown}");
    assert_eq!(shown["batteryChargeEstimate"], 0.0, "{shown}");
    // External modules tell it in millivolts.
    assert_eq!(shown["lowVoltageDisconnectVoltage"], 11.7, "{shown}");
}

#[test]
fn a_text_of_megabytes_is_stored_with_its_beginning_only() {
    let long = line_at("Text", 0, "1;1").replace("ATmega8_A_1", &"a".repeat(2_000_000));
    let node = Node::with_log(long);
    let isems = Isems::new().nodes([&node]);
    isems.run(&["update-data"]).expect(0);
    let size = std::fs::metadata(isems.database().path()).unwrap().len();
    assert_eq!(isems.database().count(), 1);
    assert!(size < 1_000_000, "{size} bytes");
}

/// Asserts that the rows are these lines, each once.
fn assert_holds(database: &Database, log: &str) {
    let lines: Vec<Told> = log.lines().map(Told::by_line).collect();
    assert_eq!(database.count(), lines.len());
    database.assert_holds_once(lines);
}

#[test]
fn a_line_torn_anywhere_comes_whole_with_a_later_round() {
    let log = lines("Riss", 9);
    let line = log.len() / 9;
    let node = Node::empty();
    let isems = Isems::new().nodes([&node]);
    // Where the next line is torn: in its name, its time, a voltage, a
    // coordinate, its status, and before its newline.
    let voltage = log.find(";12.58;").unwrap() + ";12.".len();
    for (number, torn) in [2, 12, voltage, line - 8, line - 2].into_iter().enumerate() {
        let whole = line * (number + 1);
        node.set_log(&log.as_bytes()[..whole + torn]);
        isems.run(&["update-data"]).expect(0);
        assert_holds(isems.database(), &log[..whole]);
    }
    // All but its newline is all that there is of a line.
    node.set_log(&log.as_bytes()[..line * 7 - 1]);
    isems.run(&["update-data"]).expect(0);
    assert_holds(isems.database(), &log[..line * 7]);

    node.set_log(log.as_str());
    let told = isems.run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), "Inserted 2");
    assert_holds(isems.database(), &log);
}

fn packed(log: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(log).unwrap();
    packed.finish().unwrap()
}

/// A log of full size, of which the first 3,600 lines were polled before it was
/// rotated.
fn polled_before_rotation() -> (Node, Isems, String, String) {
    let full = String::from_utf8(log("elektra-dach")).unwrap();
    assert_eq!(full.lines().count(), 3_660);
    let polled = full.split_inclusive('\n').take(3_600).collect::<String>();
    let node = Node::with_log(polled);
    let isems = Isems::new().nodes([&node]);
    let told = isems.run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), "Inserted 3600");
    // The new log goes on where the old one ended.
    let last: i64 = full.lines().last().unwrap().split(';').nth(2).unwrap().parse().unwrap();
    let fresh = |minute: i64| {
        let line = lines("Elektra-Dach", 1);
        line.replace("1760000000", &(last + 61 * minute).to_string())
    };
    (node, isems, full, (1..=3).map(fresh).collect())
}

#[test]
fn a_poll_while_the_log_is_missing_during_its_rotation_loses_and_doubles_nothing() {
    let (node, isems, full, fresh) = polled_before_rotation();
    node.set_file(OLD_LOG, packed(full.as_bytes()));
    node.remove(LOG);
    for inserted in ["Inserted 60", "Inserted 0"] {
        assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), inserted);
    }
    node.set_log(fresh.as_str());
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 3");
    assert_holds(isems.database(), &(full + &fresh));
}

#[test]
fn a_rotation_between_two_polls_loses_and_doubles_nothing() {
    let (node, isems, full, fresh) = polled_before_rotation();
    node.set_file(OLD_LOG, packed(full.as_bytes()));
    node.set_log(fresh.as_str());
    for inserted in ["Inserted 63", "Inserted 0"] {
        assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), inserted);
    }
    assert_holds(isems.database(), &(full + &fresh));
}

#[test]
fn an_old_log_that_is_still_being_written_is_read_when_it_is_complete() {
    let (node, isems, full, fresh) = polled_before_rotation();
    let old = packed(full.as_bytes());
    node.set_file(OLD_LOG, &old[..old.len() / 2]);
    node.set_log(fresh.as_str());
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 3");
    node.set_file(OLD_LOG, old);
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 60");
    assert_holds(isems.database(), &(full + &fresh));
}

#[test]
fn a_hostile_node_does_not_keep_a_node_that_comes_later_from_being_polled() {
    // Given hanging nodes that take up every place for their whole time
    let hang = || crate::support::RoughNode::with_log("", crate::support::Then::Hang);
    let hanging: Vec<_> = (0..4).map(|_| hang()).collect();
    let good = Node::with_log(lines("Gut", 5));
    let mut addresses: Vec<String> =
        hanging.iter().map(crate::support::RoughNode::address).collect();
    addresses.push(good.address());
    let isems = Isems::new()
        .set("ISEMS_ROUTER_IPS", &addresses.join(","))
        .set("ISEMS_POLL_CONCURRENCY", "2")
        .set("ISEMS_POLL_TIMEOUT", "1s");
    let serving = isems.serve();
    isems.database().wait_for_rows(5);
    eventually("the good node in /sources", || {
        (source(&serving, &good.source())["stored"] == 5).then_some(())
    });
}
