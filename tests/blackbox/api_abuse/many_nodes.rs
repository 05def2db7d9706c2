//! Many nodes cost a client's question no more memory than its answer takes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    thread,
};

use crate::support::{Isems, Node, Running, SOON, get, log};

/// As many names as somebody can invent in 20 hours.
const NODES: usize = 20_000;

/// The most memory that this may take, in MiB, as whatever clients do. The answer
/// that holds all nodes is made for one client at a time.
const MOST_MEMORY: u64 = 120;

#[test]
fn memory_does_not_grow_with_the_nodes_that_nobody_asks_for() {
    // Given very many nodes, and a client that follows what happens to them
    let known = log("aa-ring");
    let node = Node::with_log(known.clone());
    let isems = Isems::new()
        .nodes([&node])
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_COMMIT_INTERVAL", "0s");
    isems.run(&["update-data"]).expect(0);
    isems.database().multiply_nodes(NODES);
    let serving = isems.serve();
    let mut follower = Follower::of(&serving);

    // When four clients at a time ask for one of them, for those that are
    // active, and two for all
    for (target, clients) in [
        ("/api/v1/nodes?limit=1", 4),
        ("/api/v1/latest?limit=1&after=many%20010000", 4),
        ("/api/v1/nodes?limit=1&active=false", 4),
        ("/measurements/latest", 4),
        ("/measurements/latest?all=true", 2),
    ] {
        let url = format!("{}{target}", serving.api());
        let asking: Vec<_> = (0..clients)
            .map(|_| {
                let url = url.clone();
                thread::spawn(move || get(&url))
            })
            .collect();
        for answer in asking.into_iter().map(|thread| thread.join().unwrap()) {
            assert_eq!(answer.status, 200, "{target}");
            let count = answer.text().matches("\"isemsRevision\"").count()
                + answer.text().matches("\"measurementId\"").count();
            let expected = match target {
                "/measurements/latest" => 0,
                "/measurements/latest?all=true" => NODES + 1,
                _ => 1,
            };
            assert_eq!(count, expected, "{target}");
        }
    }

    // Then the one that follows hears what is new, and none of it took the
    // memory of all
    node.set_log([known, log("ps-wort")].concat());
    follower.hears("ps-wort");
    assert!(serving.peak_memory() < MOST_MEMORY, "{} MiB", serving.peak_memory());
}

/// A client that follows events.
struct Follower(BufReader<TcpStream>);

impl Follower {
    fn of(serving: &Running) -> Self {
        let api = serving.api();
        let mut stream = TcpStream::connect(api.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request =
            b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut follower = Self(BufReader::new(stream));
        follower.hears("id: ");
        follower
    }

    /// Waits for a line with this part.
    fn hears(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended before {part}");
        }
    }
}
