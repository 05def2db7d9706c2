//! A database that another process holds for longer than anybody waits.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    serve::{collector, subscribed},
    support::{Broker, Isems, Lock, Node, SOON, eventually, log, of_a_fleet, told_by},
};

/// What `docs/OPERATIONS.md` says, and what the last try may take beyond it.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(40);

/// A collector with a database in which nothing is stored.
fn with_a_database() -> Isems {
    let isems = Isems::new();
    isems.serve().stop().expect(0);
    isems
}

#[test]
fn update_data_gives_up_after_30_seconds_of_a_lock_that_was_there_at_its_start() {
    let isems = with_a_database();
    let lock = Lock::on(isems.database());
    let node = Node::with_log(log("aa-ring"));
    let isems = isems.nodes([&node]);

    let begun = Instant::now();
    let told = isems.run(&["update-data"]).expect(1);

    let waited = begun.elapsed();
    assert!((PATIENCE..MOST).contains(&waited), "{waited:?}: {}", told.stderr);
    assert!(told.stderr.contains("held by another process"), "{}", told.stderr);
    assert_eq!(told.stderr.matches(" ERROR ").count(), 1, "{}", told.stderr);
    assert_eq!(node.requests().len(), 0, "nobody is asked in vain");
    drop(lock);
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 42");
}

#[test]
fn update_data_gives_up_after_30_seconds_of_a_lock_that_came_while_it_read() {
    // Given a node that answers only when the lock is there
    let isems = with_a_database();
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    node.set_nonblocking(true).unwrap();
    let address = node.local_addr().unwrap().to_string();
    let isems = isems.set("ISEMS_ROUTER_IPS", &address);
    let mut running = isems.start(&["update-data"]);
    let (mut asked, _) = eventually("a request", || node.accept().ok());
    let _lock = Lock::on(isems.database());
    let begun = Instant::now();
    let log = log("aa-ring");
    asked.set_nonblocking(false).unwrap();
    write!(asked, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", log.len()).unwrap();
    asked.write_all(&log).unwrap();

    let status = running.wait(MOST);

    let waited = begun.elapsed();
    assert!(waited >= PATIENCE, "{waited:?}: {}", running.log());
    assert_eq!(status.code(), Some(1), "{}", running.log());
    assert!(running.log().contains("will come again"), "{}", running.log());
    assert_eq!(running.log().matches(" ERROR ").count(), 1, "{}", running.log());
    assert_eq!(isems.database().count(), 0);
}

#[test]
fn update_data_waits_for_a_lock_that_is_given_up_in_time() {
    let isems = with_a_database();
    let lock = Lock::on(isems.database());
    let node = Node::with_log(log("aa-ring"));
    let isems = isems.nodes([&node]);
    let mut running = isems.start(&["update-data"]);
    running.wait_for_log("waiting for the database, for 30s at most");
    drop(lock);
    running.wait_for_result("Inserted 42");
    assert_eq!(running.wait(MOST).code(), Some(0), "{}", running.log());
}

/// Somebody who follows the events, and was answered already.
fn follow_events(api: &str) -> TcpStream {
    let host = api.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
    )
    .unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream
}

#[test]
fn sigterm_while_it_is_locked_ends_serve_in_order_and_what_was_in_hand_comes_again() {
    // Given messages in hand, and somebody who follows the events
    let all: Vec<_> = (0..40).map(of_a_fleet).collect();
    let broker = Broker::start();
    let isems = collector(&broker, "5").set("ISEMS_LOG", "info,isems=debug");
    let serving = subscribed(&isems, &broker);
    broker.publish(&all[..10]);
    isems.database().wait_for_rows(10);
    let lock = Lock::on(isems.database());
    let in_hand = || serving.log().matches("bytes in hand").count();
    let before = in_hand();
    broker.publish(&all[10..]);
    eventually("messages in hand", || (in_hand() > before).then_some(()));
    let mut events = follow_events(&serving.api());

    // When it is asked to end
    let asked = Instant::now();
    let told = serving.stop().expect(0).stderr;

    // Then it does not wait for the lock, and everybody has his answer
    assert!(asked.elapsed() < Duration::from_secs(7), "{:?}: {told}", asked.elapsed());
    assert!(told.contains("will come again"), "{told}");
    assert!(told.contains("the API has stopped"), "{told}");
    assert!(!told.contains("given up"), "{told}");
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "it was cut: {rest:?}");

    // And nothing is missing later
    drop(lock);
    let serving = subscribed(&isems, &broker);
    isems.database().wait_for_rows(40);
    serving.stop().expect(0);
    isems.database().assert_holds_once(told_by(&all));
}
