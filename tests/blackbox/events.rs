//! `/api/v1/events` of the real binary: what changes, what time alone changes,
//! what is removed, and what a client hears that comes back.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::support::{Isems, Node, Running, SOON, eventually, get, request};

const DAY: u64 = 86_400;

/// A log's line of this node, so many seconds old.
#[expect(clippy::disallowed_methods, reason = "the program under test goes by the wall clock")]
fn line(node: &str, age: u64, volts: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let time = now - age;
    format!(
        "{node};1;{time};ATmega8_A_1;9940;0;21.03;16.84;{volts};83;97;17;11.7;14.2;7;20;\
         52.507309;13.458635;900\n"
    )
}

fn collector(nodes: &[&Node]) -> Isems {
    Isems::new()
        .nodes(nodes.iter().copied())
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_COMMIT_INTERVAL", "20ms")
}

/// What a client that saw `last` gets when it asks without following: the nodes
/// by id and voltage, and the id to resume from.
fn missed(serving: &Running, last: &str) -> (Vec<(String, f64)>, String) {
    let headers = [("Last-Event-ID", last)];
    let answer = request("GET", &format!("{}/api/v1/events", serving.api()), &headers);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let node = |data: &str| {
        let node: Value = serde_json::from_str(data).unwrap();
        let volts = node["values"]["batteryVoltage"].as_f64().unwrap();
        (node["id"].as_str().unwrap().to_owned(), volts)
    };
    let id = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    (data.map(node).collect(), id.to_owned())
}

fn present_id(serving: &Running) -> String {
    let text = get(&format!("{}/api/v1/events", serving.api())).text();
    text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
}

fn check(serving: &Running, node: &str) -> Value {
    get(&format!("{}/api/v1/nodes/{node}", serving.api())).json()["state"]["check"].take()
}

/// A client that follows.
struct Follower(BufReader<TcpStream>);

#[derive(Debug, PartialEq, Eq)]
struct Event {
    kind: String,
    node: String,
    id: u64,
}

impl Follower {
    fn of(serving: &Running) -> Self {
        let address = serving.api();
        let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request =
            b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut follower = Self(BufReader::new(stream));
        // The first id ends what comes before the news.
        while !follower.line().starts_with("id: ") {}
        follower
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    fn event(&mut self) -> Event {
        let (mut kind, mut id) = (String::new(), 0);
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < SOON, "no event comes, only signs of life");
            let line = self.line();
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("id", value)) => id = value.parse().unwrap(),
                Some(("data", json)) => {
                    let node: Value = serde_json::from_str(json).unwrap();
                    return Event { kind, node: node["id"].as_str().unwrap().to_owned(), id };
                }
                _ => {}
            }
        }
    }
}

#[test]
fn what_time_alone_changes_while_a_client_is_away_it_hears_when_it_comes_back() {
    // Given a node that will have been silent for a day in some seconds, one
    // that has been for long, and one that is well
    let well = line("well", 60, "12.3");
    let nodes = [
        Node::with_log(line("ends", DAY - 8, "12.1")),
        Node::with_log(line("ended", 3 * DAY, "12.2")),
        Node::with_log(well.clone()),
    ];
    let isems = collector(&nodes.each_ref());
    let serving = isems.serve();
    isems.database().wait_for_rows(3);
    assert_eq!(check(&serving, "ends"), "charging");
    let left = present_id(&serving);
    assert_eq!(missed(&serving, &left), (Vec::new(), left.clone()), "nothing happened");

    // When it falls silent while nobody listens
    eventually("silence", || (check(&serving, "ends") == "silent").then_some(()));

    // Then who comes back hears of it, and of nothing else, as often as it asks
    for _ in 0..2 {
        assert_eq!(missed(&serving, &left), (vec![("ends".to_owned(), 12.1)], left.clone()));
    }

    // And who has seen what came later does not hear it again
    nodes[2].set_log(well + &line("well", 0, "12.4"));
    isems.database().wait_for_rows(4);
    let later = present_id(&serving);
    assert_ne!(left, later);
    let told = ["ends", "well"].map(str::to_owned).into_iter().zip([12.1, 12.4]).collect();
    assert_eq!(missed(&serving, &left), (told, later.clone()));
    assert_eq!(missed(&serving, &later), (Vec::new(), later));
}

#[test]
fn who_follows_hears_what_is_removed_and_what_another_database_brings() {
    let known = line("a", 600, "12.1") + &line("b", 60, "12.2");
    let node = Node::with_log(known.clone());
    let isems = collector(&[&node]);
    let serving = isems.serve();
    isems.database().wait_for_rows(2);
    let backup = isems.database().folder().join("backup.db");
    isems.run(&["backup", backup.to_str().unwrap()]).expect(0);
    let mut follower = Follower::of(&serving);

    // When something is measured
    node.set_log(known.clone() + &line("c", 30, "12.3"));
    let event = |kind: &str, node: &str, id| Event { kind: kind.into(), node: node.into(), id };
    assert_eq!(follower.event(), event("node", "c", 3));

    // When a node is removed
    isems.run(&["forget", "c", "--yes"]).expect(0);
    assert_eq!(follower.event(), event("gone", "c", 2));

    // When a backup is put in the place of the database, in which another node
    // was heard meanwhile
    node.set_log(known.clone() + &line("d", 0, "12.4"));
    assert_eq!(follower.event().node, "d");
    // What the backup lacks would be read again.
    node.set_log(known);
    let path = isems.database().path();
    fs::rename(&path, isems.database().folder().join("aside.db")).unwrap();
    fs::rename(&backup, &path).unwrap();
    let gone = follower.event();
    assert_eq!((gone.kind.as_str(), gone.node.as_str(), gone.id), ("gone", "d", 2));
}
