//! Clients that misbehave cost others next to nothing, and the intake nothing.

mod addresses;
mod app_files;
mod crowd;
mod many_nodes;
mod siege;

use std::time::{Duration, Instant};

use self::{crowd::Crowd, siege::Siege};
use crate::{
    faults::{Fault, Preload},
    serve::source,
    support::{Answer, Isems, Node, Running, eventually, get, log, send},
};

/// What nobody notices, on a machine that runs other tests meanwhile.
const HARDLY_NOTICEABLE: Duration = Duration::from_secs(2);

/// The most memory that clients may bring the collector to take, in MiB.
const MOST_MEMORY: u64 = 128;

/// A request whose end is still to come.
const HALF: &[u8] = b"GET /measurements/latest?all=true HTTP/1.1\r\nHost: isems\r\n";

/// A collector that has read a node with a history of full length.
fn serving_a_history(node: &Node, open_files: u32) -> (Isems, Running) {
    let isems = Isems::new().nodes([node]).open_files(open_files);
    let serving = isems.serve();
    isems.database().wait_for_rows(3_660);
    (isems, serving)
}

/// Asserts that normal requests are answered as if nobody else were there.
#[track_caller]
fn assert_not_delayed(api: &str) {
    for _ in 0..20 {
        let asked = Instant::now();
        let answer = get(&format!("{api}/measurements/latest?all=true"));
        let took = asked.elapsed();
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("Elektra-Dach"), "{}", answer.text());
        assert!(took < HARDLY_NOTICEABLE, "{took:?}");
    }
}

#[test]
fn a_thousand_idle_and_400_half_open_connections_do_not_delay_a_normal_request() {
    let node = Node::with_log(log("elektra-dach"));
    let (_isems, serving) = serving_a_history(&node, 1_024);
    let mut crowd = Crowd::default();

    crowd.join(&serving.api(), 1_000, b"");
    crowd.join(&serving.api(), 400, HALF);

    assert_not_delayed(&serving.api());
    assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
    let log = serving.stop().expect(0).stderr;
    assert!(!log.contains("refuses connections"), "{log}");
}

#[test]
fn connections_that_are_idle_go_oldest_first_for_new_ones() {
    const IDLE: usize = 700;
    let node = Node::with_log(log("elektra-dach"));
    let (_isems, serving) = serving_a_history(&node, 1_024);
    let mut crowd = Crowd::default();

    // All of them from the loopback interface, for which there is no limit per
    // address.
    crowd.join(&serving.api(), IDLE, b"");
    crowd.join(&serving.api(), 1, HALF);

    let there = eventually("no more than the limit", || {
        let there = crowd.still_there();
        (there.len() <= 512).then_some(there)
    });
    let newest: Vec<usize> = (IDLE + 1 - there.len()..=IDLE).collect();
    assert_eq!(there, newest);
    assert!(there.len() > 500, "{} are left", there.len());
    let answer = crowd.newest_asks(b"Connection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_low_limit_of_open_files_leaves_room_for_everybody() {
    let node = Node::with_log(log("elektra-dach"));
    let (_isems, serving) = serving_a_history(&node, 128);
    let mut crowd = Crowd::default();
    crowd.join(&serving.api(), 60, b"");
    crowd.join(&serving.api(), 60, HALF);

    // Half of the files are left to the intake and the database.
    eventually("no more connections than half of the files", || {
        (serving.open_files() < 100).then_some(())
    });
    assert_not_delayed(&serving.api());
}

#[test]
fn running_out_of_files_neither_ends_nor_spins_the_collector() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new()
        .nodes([&node])
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_COMMIT_INTERVAL", "0s")
        .open_files(48);
    let serving = isems.serve();
    isems.database().wait_for_rows(42);
    let mut crowd = Crowd::default();

    // When more connect than there are files
    crowd.join(&serving.api(), 60, b"");
    serving.wait_for_log("the API cannot accept a connection; it tries again");

    // Then it waits without spinning
    let (used, since) = (serving.processor_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let used = serving.processor_time() - used;
    let share = f64::from(u32::try_from(used).unwrap()) / 100.0 / since.elapsed().as_secs_f64();
    assert!(share < 0.5, "{share} of a processor");
    // And nodes are polled, clients answered
    node.set_log([log("aa-ring"), log("ps-wort")].concat());
    isems.database().wait_for_rows(42 + 28);
    let answer = get(&format!("{}/measurements/latest?all=true", serving.api()));
    assert_eq!(answer.status, 200);
    assert_eq!(source(&serving, &node.source())["stored"], 42 + 28);
    let log = serving.stop().expect(0).stderr;
    assert!(log.matches("cannot accept a connection").count() <= 3, "{log}");
}

#[test]
fn slow_headers_are_not_waited_for() {
    for time in &Siege::get().slow_headers {
        let seconds = time.as_secs();
        assert!((14..20).contains(&seconds), "{time:?}");
    }
}

#[test]
fn a_request_body_without_end_is_not_taken() {
    for bytes in &Siege::get().endless_bodies {
        assert!(*bytes < 20_000_000, "{bytes} bytes");
    }
}

#[test]
fn an_answer_that_is_not_ready_in_ten_seconds_is_given_up() {
    let node = Node::with_log(log("elektra-dach"));
    let isems = Isems::new().nodes([&node]);
    isems.run(&["update-data"]).expect(0);
    let (isems, preload) = Preload::before(isems.unset("ISEMS_ROUTER_IPS"), None);
    let serving = isems.serve();
    let latest = format!("{}/measurements/latest?all=true", serving.api());

    // When the disk does not answer
    preload.begin(Fault::HANGING);
    let asked = Instant::now();
    let answer = get(&latest);
    let took = asked.elapsed();

    // Then the client hears of it in time, and others are answered
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    assert!((Duration::from_secs(10)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert_eq!(get(&format!("{}/", serving.api())).status, 200);
    serving.wait_for_log("an API answer was not ready within its time limit");
    // And all goes on when it does
    preload.end();
    assert_eq!(get(&latest).status, 200);
}

#[test]
fn slow_readers_are_cut_off() {
    let time = Siege::get().taken_by_readers;
    // Twenty seconds of patience with the last of them, after the answers were made.
    assert!((20..98).contains(&time.as_secs()), "{time:?}");
}

#[test]
fn the_intake_never_waits_for_clients() {
    for time in &Siege::get().stored_after {
        // The node is polled each second.
        assert!(*time < Duration::from_secs(10), "{:?}", Siege::get().stored_after);
    }
}

#[test]
fn clients_that_read_nothing_do_not_delay_others() {
    let normal = &Siege::get().normal;
    assert!(normal.len() > 20, "{normal:?}");
    assert!(normal.iter().all(|(_, _, status)| *status == 200), "{normal:?}");
    let mut times: Vec<Duration> = normal.iter().map(|(_, took, _)| *took).collect();
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(median < HARDLY_NOTICEABLE && worst < Duration::from_secs(3), "{times:?}");
}

#[test]
fn memory_is_bounded_whatever_clients_do() {
    let memory = Siege::get().memory;
    assert!(memory < 120, "{memory} MiB");
}

#[test]
fn what_cannot_be_answered_gets_the_right_status() {
    let serving = Isems::new().serve();
    let api = serving.api();
    let long = "a".repeat(20_000);
    let request = |line: &str, more: &str| {
        send(
            &api,
            format!("{line} HTTP/1.1\r\nHost: isems\r\nConnection: close\r\n{more}\r\n").as_bytes(),
        )
    };
    for (line, more, status) in [
        ("GET /nothing", "", 404),
        ("GET /measurements", "", 404),
        ("GET /measurements/Elektra-Dach", "", 404),
        ("GET /api/v0/nodes", "", 404),
        ("GET /measurements/latest/", "", 404),
        ("DELETE /nothing", "", 404),
        ("POST /measurements/latest", "", 405),
        ("PUT /measurements/latest", "Content-Length: 0\r\n", 405),
        ("DELETE /measurements/Elektra-Dach/latest", "", 405),
        ("PATCH /sources", "", 405),
        ("TRACE /measurements/latest", "", 405),
        ("FOO /measurements/latest", "", 405),
        ("GET /measurements/%FF/latest", "", 200),
        ("GET /measurements/%00/latest", "", 200),
        ("GET /measurements/latest", "Accept-Encoding: identity;q=0, br\r\n", 200),
        ("GET /measurements/latest", "Transfer-Encoding: gzip\r\n", 400),
        ("GET /measurements/latest", "Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("GET /measurements/latest", "Content-Length: -1\r\n", 400),
        ("GET /measurements/latest", "No header\r\n", 400),
        ("GET measurements/latest", "", 400),
        ("GET  ", "", 400),
        ("GET /measurements/latest", &format!("X-Y: {long}\r\n"), 431),
        ("GET /measurements/latest", &"X-Y: z\r\n".repeat(2_000), 431),
        (&format!("GET /{long}"), "", 431),
    ] {
        let answer = request(line, more);
        let line = &line[..line.len().min(60)];
        assert_eq!(answer.status, status, "{line} {more:.60}: {answer:?}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{line}: {answer:?}");
        if status >= 400 {
            assert_is_no_json(&answer, line);
        }
    }
}

/// A JSON object that is no list of measurements blanks the page of isems-app.
fn assert_is_no_json(answer: &Answer, line: &str) {
    let kind = answer.header("content-type").unwrap_or("text/plain");
    assert!(kind.starts_with("text/plain"), "{line}: {answer:?}");
}

#[test]
fn an_error_is_json_only_for_those_who_ask_for_it_by_name() {
    let serving = Isems::new().serve();
    for (method, path, status) in [("GET", "/nothing", 404), ("POST", "/measurements/latest", 405)]
    {
        let url = format!("{}{path}", serving.api());
        let answer = crate::support::request(method, &url, &[("Accept", "application/json")]);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.json().is_object(), "{answer:?}");
        let answer = crate::support::request(method, &url, &[("Accept", "application/json, */*")]);
        assert_is_no_json(&answer, path);
    }
}

#[test]
fn no_request_changes_what_is_stored() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    let serving = isems.serve();
    isems.database().wait_for_rows(42);
    let before = isems.database().dump();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "GET"] {
        for path in ["/measurements/latest", "/measurements/Ålesund-Nord/latest", "/sources"] {
            let body = "{\"nodeId\":\"x\"}";
            let head = format!("{method} {path} HTTP/1.1\r\nHost: isems\r\nConnection: close\r\n");
            let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
            let answer = send(&serving.api(), (head + &length).as_bytes());
            assert!([200, 204, 405].contains(&answer.status), "{method} {path}: {answer:?}");
        }
    }
    assert_eq!(isems.database().dump(), before);
}
