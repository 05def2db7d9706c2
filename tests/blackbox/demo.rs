//! `isems demo`: one command, no settings, and there are living nodes.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Isems, Running, get};

/// What the page of an operator would show for each node.
const FLEET: [&str; 8] = [
    "Balkon-ESP",
    "Bootshaus-Steg",
    "Funkmast Süd",
    "Höllentalhütte",
    "Imkerei Britz",
    "Kleingarten Abendruh",
    "Rathaus-Dach",
    "Werkhof-Giebel",
];

/// Starts the demo with its temporary files in `folder`, and waits until it
/// says what to open.
fn demo(folder: &Path) -> Running {
    let folder = folder.to_str().expect("a readable path");
    let running = Isems::new().set("TMPDIR", folder).start(&["demo"]);
    running.wait_for_result("Ctrl-C ends it");
    running
}

fn latest(demo: &Running) -> Vec<Value> {
    let answer = get(&format!("{}/measurements/latest?all=true", demo.api()));
    assert_eq!(answer.status, 200);
    let Value::Array(measurements) = answer.json()["measurements"].take() else {
        panic!("no list: {}", answer.text());
    };
    measurements
}

fn status_of(node: &Value) -> u16 {
    let status = node["status"].as_str().expect("a status");
    u16::from_str_radix(status.trim_start_matches("0x"), 16).expect("hex")
}

#[test]
fn the_demo_shows_the_whole_fleet_with_its_troubles_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = demo(folder.path());
    // Given: the printed address is the real one.
    let printed = demo.wait_for_result("/measurements/latest ");
    assert!(printed.contains(&demo.api()), "{printed}");

    // Then: every node is there, sorted by name.
    let nodes = latest(&demo);
    let names: Vec<_> = nodes.iter().map(|node| node["nodeId"].as_str()).collect();
    assert_eq!(names, FLEET.map(Some));

    // And: each trouble is seen as an operator would see it.
    let node = |name| nodes.iter().find(|node| node["nodeId"] == name).expect(name);
    assert_ne!(status_of(node("Kleingarten Abendruh")) & 0x080, 0, "low");
    assert_ne!(status_of(node("Werkhof-Giebel")) & 0x020, 0, "no sensor");
    assert_eq!(status_of(node("Bootshaus-Steg")), 0x0B2, "no controller");
    assert_eq!(status_of(node("Rathaus-Dach")) & 0x0FD, 0, "healthy");
    let measured = |name| {
        let time = node(name)["timestamp"].as_str().expect("a time");
        time.parse::<jiff::Timestamp>().expect("an ISO time")
    };
    let silent_for = measured("Rathaus-Dach").duration_since(measured("Funkmast Süd"));
    assert!(silent_for > jiff::SignedDuration::from_hours(24), "{silent_for}");

    // And: there are days of history.
    let history = get(&format!("{}/measurements/Rathaus-Dach/latest", demo.api()));
    let measurements = history.json();
    assert_eq!(measurements["measurements"].as_array().map(Vec::len), Some(1_440));

    // When: it is asked to end. Then: it does, and leaves nothing.
    let began = Instant::now();
    demo.stop().expect(0);
    assert!(began.elapsed() < Duration::from_secs(10));
    let left: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn a_taken_address_is_an_error_that_names_the_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = tempfile::tempdir().expect("a folder");

    let outcome = Isems::new()
        .set("TMPDIR", folder.path().to_str().expect("a readable path"))
        .set("ISEMS_LISTEN", &address)
        .run(&["demo"])
        .expect(1);

    assert!(outcome.stderr.contains("ISEMS_LISTEN"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&address), "{}", outcome.stderr);
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 0, "files were left behind");
}
