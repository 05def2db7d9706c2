//! Somebody who should read what the program writes reads nothing: a paused
//! `less`, Ctrl-S, a journal that hangs.

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::{Isems, Node, Running, eventually, free_port, full_pipe, get, log, within};

/// How long the polling of many nodes may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A collector at a port that is known without its log.
fn collector() -> (Isems, String) {
    let address = format!("127.0.0.1:{}", free_port());
    (Isems::new().set("ISEMS_LISTEN", &address), address)
}

fn wait_for_api(address: &str) {
    eventually("the API listens", || TcpStream::connect(address).ok());
}

/// Asks it to end, and waits the ten seconds that it has.
#[track_caller]
fn expect_to_end(mut running: Running, code: i32) {
    running.signal("TERM");
    let status = running.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(code));
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_what_was_lost_is_told_to_who_reads_on() {
    const NODES: usize = 100;
    const ROUNDS: usize = 6;
    // Given many nodes, a log that says all of them, and nobody who reads it
    let node = Node::empty();
    let whole = String::from_utf8(log("aa-ring")).unwrap();
    node.set_file("/0.log", whole.split_inclusive('\n').take(20).collect::<String>());
    let urls: Vec<String> =
        (0..NODES).map(|i| format!("http://{}/{i}.log", node.address())).collect();
    let (isems, address) = collector();
    let isems = isems
        .set("ISEMS_ROUTER_IPS", &urls.join(","))
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_LOG", "trace");
    let (left, stderr) = full_pipe();
    let mut serving = isems.start_telling(&["serve"], stderr);

    // When more is logged than may wait, polling goes on
    within(LIMIT, "many rounds", || (node.requests().len() >= NODES * ROUNDS).then_some(()));
    isems.database().wait_for_rows(20);
    node.set_file("/0.log", whole.as_str());
    isems.database().wait_for_rows(42);
    assert_eq!(get(&format!("http://{address}/measurements/latest?all=true")).status, 200);

    // Then somebody who reads again is told, and all that is new comes
    serving.read_log(left);
    serving.wait_for_log("log lines were lost, as nobody read them");
    let rounds = || serving.log().matches("polling round: ").count();
    let before = rounds();
    eventually("the next round in the log", || (rounds() > before).then_some(()));
    let told = serving.stop().expect(0).stderr;
    assert!(told.lines().last().unwrap().ends_with(": ended"), "{told}");
    assert_eq!(told.matches("as nobody read them").count(), 1);
}

#[test]
fn sigterm_ends_serve_as_asked_though_nobody_reads_its_log() {
    let (isems, address) = collector();
    let (_left, stderr) = full_pipe();
    let serving = isems.start_telling(&["serve"], stderr);
    wait_for_api(&address);

    expect_to_end(serving, 0);
}

#[test]
fn a_second_signal_ends_at_once_though_nobody_reads_the_log() {
    let node = Node::with_log(log("elektra-dach"));
    let (isems, address) = collector();
    let isems = isems.nodes([&node]);
    isems.run(&["update-data"]).expect(0);
    let (_left, stderr) = full_pipe();
    let mut serving = isems.start_telling(&["serve"], stderr);
    wait_for_api(&address);
    // Somebody who asks for much and reads nothing keeps the API draining.
    let mut slow = TcpStream::connect(&address).unwrap();
    let ask = format!("GET /measurements/Elektra-Dach/latest HTTP/1.1\r\nHost: {address}\r\n\r\n");
    slow.write_all(ask.repeat(16).as_bytes()).unwrap();
    slow.peek(&mut [0]).unwrap();

    serving.signal("TERM");
    eventually("it begins to end", || TcpStream::connect(&address).is_err().then_some(()));
    serving.signal("TERM");
    let status = serving.wait(Duration::from_secs(2));
    assert_eq!(status.code(), Some(130));
}

#[test]
fn an_error_that_nobody_reads_does_not_keep_the_program_from_ending() {
    let isems = Isems::new();
    std::fs::write(isems.database().path(), "this is no database, but long enough").unwrap();
    let (_left, stderr) = full_pipe();
    let begun = Instant::now();
    let mut serving = isems.start_telling(&["serve"], stderr);
    let status = serving.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(65));
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waited for a reader");
}

#[test]
fn results_that_nobody_reads_do_not_keep_a_command_from_ending_when_asked() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    let (_left, stdout) = full_pipe();
    let updating = isems.start_into(&["update-data"], stdout);
    isems.database().wait_for_rows(42);

    expect_to_end(updating, 1);
}
