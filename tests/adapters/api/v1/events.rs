//! What happens, as it happens.

use std::{sync::Arc, time::Duration};

use isems_core::RepoError;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::support::{World, measured};
use crate::api::support::{
    Answer, Api, BOUND, Stub, chunk, read_all, row, settings, start_with, until,
};

const DAY: i64 = 86_400;

/// An event as a browser would see it.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    node: Value,
}

/// A client that follows.
struct Follower {
    stream: TcpStream,
    raw: Vec<u8>,
    text: String,
    /// How much of the text was read.
    at: usize,
    id: String,
}

impl Follower {
    async fn of(api: &Api) -> Self {
        Self::with(api, "X: y").await
    }

    /// Follows from an event on, once the server has begun to answer.
    async fn from(api: &Api, last: &str) -> Self {
        Self::with(api, &format!("Last-Event-ID: {last}")).await
    }

    async fn with(api: &Api, header: &str) -> Self {
        Self::over(api.connect().await, header).await
    }

    async fn over(mut stream: TcpStream, header: &str) -> Self {
        let request = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{header}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut follower =
            Self { stream, raw: Vec::new(), text: String::new(), at: 0, id: String::new() };
        while !follower.raw.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            follower.read().await;
        }
        let end = follower.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let answer = Answer::parse(&follower.raw[..end]);
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
        follower.raw.drain(..end);
        follower
    }

    async fn read(&mut self) {
        let read = timeout(BOUND, self.stream.read_buf(&mut self.raw)).await;
        assert!(read.expect("nothing comes").unwrap() > 0, "the stream ended");
    }

    /// The next block of lines.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, _)) = self.text[self.at..].split_once("\n\n") {
                let block = block.to_owned();
                self.at += block.len() + 2;
                return block;
            }
            self.text.drain(..std::mem::take(&mut self.at));
            while chunk(&self.raw).is_none() {
                self.read().await;
            }
            let (piece, rest) = chunk(&self.raw).unwrap();
            self.text.push_str(std::str::from_utf8(piece).unwrap());
            self.raw = rest.to_vec();
        }
    }

    /// The next event with data, and its kind.
    async fn any_event(&mut self) -> (String, Event) {
        timeout(BOUND, self.with_data()).await.expect("no event comes, only signs of life")
    }

    async fn with_data(&mut self) -> (String, Event) {
        loop {
            let block = self.block().await;
            let field = |name: &str| {
                let prefix = format!("{name}: ");
                block.lines().find_map(|line| line.strip_prefix(&*prefix).map(str::to_owned))
            };
            if let Some(id) = field("id") {
                self.id = id;
            }
            if let Some(data) = field("data") {
                let node = serde_json::from_str(&data).unwrap();
                return (field("event").unwrap(), Event { id: self.id.clone(), node });
            }
        }
    }

    /// The next event, which is one of a node.
    async fn event(&mut self) -> Event {
        let (kind, event) = self.any_event().await;
        assert_eq!(kind, "node", "{event:?}");
        event
    }
}

async fn quick(nodes: &[&str]) -> World {
    let rows = nodes.iter().map(|node| measured(node, 600)).collect();
    World::with(rows, |limits| limits.event_interval = Duration::from_millis(20)).await
}

#[tokio::test]
async fn a_new_measurement_is_told_to_all_who_follow() {
    let world = quick(&["a", "b"]).await;
    let mut followers = [Follower::of(&world.api).await, Follower::of(&world.api).await];
    world.store(vec![measured("b", 300)]).await;
    for follower in &mut followers {
        assert_eq!(follower.block().await, "retry: 5000");
        assert_eq!(follower.block().await, "id: 2", "nothing happened before");
        let event = follower.event().await;
        assert_eq!((event.id.as_str(), &event.node["id"]), ("3", &"b".into()));
        assert_eq!(event.node, world.api.get("/api/v1/nodes/b").await.json());
    }
}

#[tokio::test]
async fn an_older_measurement_is_no_news() {
    let world = quick(&["a"]).await;
    let mut follower = Follower::of(&world.api).await;
    world.store(vec![measured("a", 900)]).await;
    world.store(vec![measured("b", 0)]).await;
    assert_eq!(follower.event().await.node["id"], "b");
}

#[tokio::test]
async fn a_node_that_falls_silent_is_news_though_nothing_was_measured() {
    let world = quick(&["a", "b"]).await;
    world.store(vec![measured("b", 0)]).await;
    let mut follower = Follower::of(&world.api).await;
    world.clock.advance(DAY - 600 + 1);
    let event = follower.event().await;
    assert_eq!((event.id.as_str(), &event.node["id"]), ("3", &"a".into()));
    assert_eq!(event.node["state"]["check"], "silent");
    world.clock.advance(600);
    assert_eq!(follower.event().await.node["id"], "b");
    world.clock.advance(29 * DAY - 600);
    let inactive = follower.event().await.node;
    assert_eq!((&inactive["id"], &inactive["active"]), (&"a".into(), &false.into()));
}

#[tokio::test]
async fn who_comes_back_hears_first_what_it_missed_lowest_id_first() {
    let world = quick(&["a", "b", "c"]).await;
    world.store(vec![measured("c", 60), measured("a", 30)]).await;
    let mut follower = Follower::from(&world.api, "3").await;
    let missed = [follower.event().await, follower.event().await];
    let told = missed.map(|event| (event.id, event.node["id"].as_str().unwrap().to_owned()));
    assert_eq!(told, [("4", "c"), ("5", "a")].map(|(id, node)| (id.to_owned(), node.to_owned())));
    world.store(vec![measured("b", 0)]).await;
    let event = follower.event().await;
    assert_eq!((event.id.as_str(), &event.node["id"]), ("6", &"b".into()));
}

#[tokio::test]
async fn who_comes_back_hears_of_those_that_fell_silent_meanwhile() {
    let world = quick(&["a", "b"]).await;
    world.store(vec![measured("b", 0)]).await;
    world.clock.advance(DAY);
    let mut follower = Follower::from(&world.api, "3").await;
    assert_eq!(follower.event().await.node["id"], "a");
}

#[tokio::test]
async fn who_comes_back_hears_what_time_alone_changed_and_only_that() {
    // Given a node that was silent before the client left, one that falls
    // silent and one that becomes inactive while it is away
    let rows = vec![
        measured("silent before", 2 * DAY),
        measured("falls silent", 600),
        measured("becomes inactive", 29 * DAY),
        measured("was heard last", 0),
    ];
    let world = World::of(rows).await;
    world.clock.advance(3 * DAY);
    world.store(vec![measured("is new", -3 * DAY)]).await;

    // When it comes back after days
    let answer = world.api.request("GET", "/api/v1/events", &["Last-Event-ID: 4"]).await;

    // Then it hears of these, and of nothing that it knows
    let told: Vec<Value> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let told: Vec<_> = told
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node["active"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("falls silent", true),
        ("becomes inactive", false),
        ("was heard last", true),
        ("is new", true),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_node_that_is_removed_is_gone() {
    let stub = Stub::of(vec![row(1, "a", 600), row(2, "b", 300), row(3, "c", 0)]);
    let mut settings = settings();
    settings.limits.event_interval = Duration::from_millis(10);
    let api = start_with(&stub, settings).await;
    let mut follower = Follower::of(&api).await;
    stub.rows.lock().unwrap().retain(|row| row.id != 2);
    let (kind, event) = follower.any_event().await;
    assert_eq!((kind.as_str(), event.id.as_str()), ("gone", "3"));
    assert_eq!(event.node, serde_json::json!({"id": "b"}));
    stub.rows.lock().unwrap().push(row(4, "b", 0));
    assert_eq!(follower.event().await.node["id"], "b", "it is there again");
}

#[tokio::test]
async fn who_follows_over_a_change_of_the_database_resumes_from_an_id_of_the_new_one() {
    let stub = Stub::of(vec![row(10, "a", 600), row(11, "b", 300)]);
    let mut settings = settings();
    settings.limits.event_interval = Duration::from_millis(10);
    let api = start_with(&stub, settings).await;
    let mut follower = Follower::of(&api).await;

    // When an older database is put in the place of this one
    *stub.rows.lock().unwrap() = vec![row(3, "a", 900), row(4, "b", 800)];
    let told = [follower.event().await, follower.event().await];
    let told = told.map(|event| (event.id, event.node["id"].as_str().unwrap().to_owned()));

    // Then who is cut off after either of them misses neither
    assert_eq!(told, [("3", "a"), ("4", "b")].map(|(id, node)| (id.to_owned(), node.to_owned())));
    stub.rows.lock().unwrap().push(row(5, "c", 0));
    assert_eq!(follower.event().await.id, "5");
}

#[tokio::test]
async fn an_id_that_was_never_given_is_one_of_another_database() {
    let world = quick(&["a", "b"]).await;
    let mut follower = Follower::from(&world.api, "99").await;
    let told = [follower.event().await.node, follower.event().await.node];
    assert_eq!(told.map(|node| node["id"].as_str().unwrap().to_owned()), ["a", "b"]);
}

#[tokio::test]
async fn who_does_not_name_the_type_polls() {
    let world = quick(&["a"]).await;
    for (headers, events) in
        [(&["X: y"][..], 0), (&["Accept: */*", "Last-Event-ID: 0"], 1), (&["Last-Event-ID: 1"], 0)]
    {
        let answer = world.api.request("GET", "/api/v1/events", headers).await;
        assert_eq!(answer.text().matches("event: node\n").count(), events, "{headers:?}");
        assert!(answer.text().ends_with("id: 1\n\n"));
    }
    for malformed in ["x", "-1", "1.5", ""] {
        let header = format!("Last-Event-ID: {malformed}");
        let answer = world.api.request("GET", "/api/v1/events", &[&header]).await;
        assert_eq!(answer.status, 400, "{malformed}");
    }
}

#[tokio::test]
async fn without_news_there_are_signs_of_life() {
    let world = World::with(vec![measured("a", 0)], |limits| {
        limits.event_heartbeat = Duration::from_millis(30);
    })
    .await;
    let mut follower = Follower::of(&world.api).await;
    let mut blocks = Vec::new();
    for _ in 0..4 {
        blocks.push(follower.block().await);
    }
    assert_eq!(blocks, ["retry: 5000", "id: 1", ":", ":"]);
}

#[tokio::test]
async fn only_so_many_may_follow_and_a_place_becomes_free() {
    let world = World::with(vec![measured("a", 0)], |limits| {
        limits.event_clients = 2;
        limits.event_heartbeat = Duration::from_millis(20);
    })
    .await;
    let first = Follower::of(&world.api).await;
    let _second = Follower::of(&world.api).await;
    let asking = ["Accept: text/event-stream"];
    let refused = world.api.request("GET", "/api/v1/events", &asking).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert_eq!(refused.json()["status"], 503);
    drop(first);
    let free = || async { world.api.get("/api/v1/events").await.status == 200 };
    until("a place is free", free).await;
}

#[tokio::test]
async fn who_does_not_keep_up_is_cut_off_and_the_others_go_on() {
    let names: Vec<_> = (0..2_000).map(|i| format!("node {i:04}")).collect();
    let rows = |age| names.iter().map(|name| measured(name, age)).collect::<Vec<_>>();
    let world = World::with(rows(40_000), |limits| {
        limits.event_interval = Duration::from_millis(10);
        limits.write_stall = Duration::from_millis(300);
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(world.api.address).await.unwrap();
    let request = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    slow.write_all(request).await.unwrap();
    slow.read_exact(&mut [0; 16]).await.unwrap();
    let mut quick = Follower::of(&world.api).await;
    // Some three megabytes each time: more than any buffer of the system holds.
    for round in 0..8 {
        world.store(rows(30_000 - round)).await;
        for _ in 0..names.len() {
            quick.event().await;
        }
    }
    let bytes = read_all(&mut slow).await;
    assert!(!bytes.ends_with(b"0\r\n\r\n"), "it was cut off, not ended");
    world.store(vec![measured("late", 0)]).await;
    assert_eq!(quick.event().await.node["id"], "late");
}

/// Many nodes, and a client that asks for all of them and reads nothing; it has
/// begun to get them.
async fn stalled(stub: &Arc<Stub>, api: &Api, count: usize) -> TcpStream {
    let node = |i| row(i, &format!("node {i:05}"), 0);
    *stub.rows.lock().unwrap() = (1..=i64::try_from(count).unwrap()).map(node).collect();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(api.address).await.unwrap();
    let request = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\n\r\n";
    slow.write_all(request).await.unwrap();
    slow.read_exact(&mut [0; 15]).await.unwrap();
    slow
}

#[tokio::test]
async fn what_a_client_missed_is_made_as_it_takes_it_and_comes_whole() {
    const COUNT: usize = 6_000;
    let stub = Stub::of(Vec::new());
    let api = start_with(&stub, settings()).await;
    let mut slow = stalled(&stub, &api, COUNT).await;

    // While it reads nothing, no more is made than fits the system's buffers
    let looks = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    let rests = || async {
        let before = looks();
        tokio::time::sleep(Duration::from_millis(300)).await;
        looks() == before
    };
    until("the server rests", rests).await;
    assert!(looks() < COUNT / 200, "{} pieces were made", looks());

    // When it reads on, it gets each node once, lowest id first, and the end
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n0\r\n\r\n") {
        let read = timeout(BOUND, slow.read_buf(&mut bytes)).await;
        assert!(read.expect("nothing comes").unwrap() > 0, "the answer breaks off");
    }
    let text = String::from_utf8(bytes).unwrap();
    let ids: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .map(|id| id.parse().unwrap())
        .collect();
    let expected: Vec<_> = (1..=COUNT).chain([COUNT]).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn what_is_removed_while_a_client_takes_what_it_missed_it_hears_too() {
    // Given one that has begun to take what it missed, which is much, and one
    // that follows
    const COUNT: i64 = 3_000;
    let node = |i| row(i, &format!("node {i:04}"), 0);
    let stub = Stub::of((1..=COUNT).map(node).collect());
    let mut settings = settings();
    settings.limits.event_interval = Duration::from_millis(50);
    let api = start_with(&stub, settings).await;
    let mut follower = Follower::of(&api).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(api.address).await.unwrap();
    let mut slow = Follower::over(stream, "Last-Event-ID: 0").await;
    assert_eq!(slow.event().await.node["id"], "node 0001");

    // When a node is removed that was told to it already
    stub.rows.lock().unwrap().retain(|row| row.id != 1);
    let (kind, gone) = follower.any_event().await;
    assert_eq!((kind.as_str(), &gone.node["id"]), ("gone", &"node 0001".into()));

    // Then it hears of that after all the others
    for i in 2..=COUNT {
        assert_eq!(slow.event().await.node["id"], format!("node {i:04}"));
    }
    let (kind, gone) = slow.any_event().await;
    assert_eq!((kind.as_str(), &gone.node["id"]), ("gone", &"node 0001".into()));
}

#[tokio::test]
async fn what_a_client_missed_takes_room_that_all_share() {
    let stub = Stub::of(Vec::new());
    let mut settings = settings();
    settings.limits.answer_bytes = 1;
    settings.limits.request_time = Duration::from_millis(300);
    let api = start_with(&stub, settings).await;
    let slow = stalled(&stub, &api, 6_000).await;
    let full = || async { api.get("/measurements/a/latest").await.status == 503 };
    until("no room is left", full).await;
    drop(slow);
    let free = || async { api.get("/measurements/a/latest").await.status == 200 };
    until("there is room", free).await;
}

#[tokio::test]
async fn while_nobody_follows_nobody_looks() {
    let stub = Stub::of(vec![row(1, "a", 0)]);
    let mut settings = settings();
    settings.limits.event_interval = Duration::from_millis(10);
    settings.limits.event_heartbeat = Duration::from_millis(10);
    let api = start_with(&stub, settings).await;
    let looks = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    let follower = Follower::of(&api).await;
    until("it looks again and again", || async { looks() > 3 }).await;
    drop(follower);
    let rests = || async {
        let before = looks();
        tokio::time::sleep(Duration::from_millis(100)).await;
        looks() == before
    };
    until("it rests", rests).await;
    let _again = Follower::of(&api).await;
    let before = looks();
    until("it looks again", || async { looks() > before + 1 }).await;
}

#[tokio::test]
async fn at_the_end_streams_end_and_are_not_waited_for() {
    let mut world = quick(&["a"]).await;
    let mut follower = Follower::of(&world.api).await;
    follower.block().await;
    follower.block().await;
    world.api.stop.cancel();
    let served = timeout(BOUND, &mut world.api.served).await.expect("it ends").unwrap();
    served.unwrap();
    assert!(read_all(&mut follower.stream).await.ends_with(b"0\r\n\r\n"), "ended, not cut off");
}

#[tokio::test]
async fn trouble_with_the_repository_goes_by_and_nothing_is_missed() {
    let stub = Stub::of(vec![row(1, "a", 600)]);
    let mut settings = settings();
    settings.limits.event_interval = Duration::from_millis(10);
    let api = start_with(&stub, settings).await;
    let mut follower = Follower::of(&api).await;
    stub.fail_with(|| RepoError::Unavailable { what: "busy".to_owned(), cause: None });
    let looks = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    let before = looks();
    until("it fails some times", || async { looks() > before + 3 }).await;
    stub.rows.lock().unwrap().push(row(7, "b", 0));
    *stub.fault.lock().unwrap() = None;
    assert_eq!(follower.event().await.node["id"], "b");
}
