//! What clients can do to the server, and to each other.

use std::{sync::Arc, time::Duration};

use isems_adapters::api::{ApiLimits, ApiSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::support::{Answer, Api, BOUND, Stub, read_all, row, settings, start_with, until};

fn limited(change: impl FnOnce(&mut ApiLimits)) -> ApiSettings {
    let mut settings = settings();
    change(&mut settings.limits);
    settings
}

async fn start_limited(stub: &Arc<Stub>, change: impl FnOnce(&mut ApiLimits)) -> Api {
    start_with(stub, limited(change)).await
}

fn one_node() -> Arc<Stub> {
    Stub::of(vec![row(1, "a", 0)])
}

/// Whether the server has closed the connection, without waiting for it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn who_does_not_finish_a_requests_headers_in_time_is_dropped() {
    let time = Duration::from_millis(200);
    let api = start_limited(&one_node(), |limits| limits.header_time = time).await;
    for beginning in ["", "GET /measurements/latest HTTP/1.1\r\nX-Slow: "] {
        let mut stream = api.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let drip = async {
            // Bytes do not buy time.
            while stream.write_all(b"x").await.is_ok() && !is_closed(&mut stream).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(BOUND, drip).await.expect("is never dropped");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed_in_time() {
    let time = Duration::from_millis(200);
    let api = start_limited(&one_node(), |limits| limits.header_time = time).await;
    let answer = api.send(b"GET /sources HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.status, 200, "and the connection ended, though kept alive");
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let api = start_limited(&one_node(), |limits| limits.header_bytes = 4096).await;
    let long = format!("X-Long: {}", "x".repeat(5000));
    assert_eq!(api.request("GET", "/sources", &[&long]).await.status, 431);
    let target = format!("/measurements/{}/latest", "x".repeat(5000));
    assert_eq!(api.get(&target).await.status, 431);
    let many: Vec<_> = (0..150).map(|i| format!("X-{i}: y")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(api.request("GET", "/sources", &many).await.status, 431);
}

#[tokio::test]
async fn a_request_body_is_ignored() {
    let api = start_limited(&one_node(), |_| {}).await;
    for (method, status) in [("GET", 200), ("POST", 405)] {
        let request = format!(
            "{method} /measurements/latest HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
             GET /sources HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        let answer = api.send(request.as_bytes()).await;
        assert_eq!(answer.status, status);
        let rest = String::from_utf8(answer.body).unwrap();
        assert!(rest.contains("HTTP/1.1 200 OK"), "the next request is understood");
    }
}

#[tokio::test]
async fn a_large_or_endless_request_body_is_not_read_but_answered() {
    let api = start_limited(&one_node(), |_| {}).await;
    for framing in ["Content-Length: 1048576", "Transfer-Encoding: chunked"] {
        let mut stream = api.connect().await;
        let head = format!("POST /measurements/latest HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if framing.starts_with("Transfer") {
            stream.write_all(b"100000\r\n").await.unwrap();
        }
        let mut sent = 0;
        let answer = loop {
            // A reset here would take the answer with it on many a client.
            stream.write_all(&[b'x'; 8192]).await.expect("the rest is taken in");
            sent += 8192;
            if sent == 1 << 20 {
                break Answer::parse(&read_all(&mut stream).await);
            }
            if sent == 1 << 17 {
                stream.readable().await.expect("the answer does not wait for all of the body");
            }
        };
        assert_eq!((answer.status, answer.header("connection")), (405, "close"), "{framing}");
    }
}

#[tokio::test]
async fn a_body_that_never_comes_delays_only_its_own_request() {
    let time = Duration::from_millis(200);
    let api = start_limited(&one_node(), |limits| limits.request_time = time).await;
    let request = b"POST /measurements/latest HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(api.send(request).await.status, 405);
}

#[tokio::test]
async fn idle_connections_go_oldest_first_for_new_ones_and_delay_nobody() {
    let api = start_limited(&one_node(), |limits| limits.connections = 50).await;
    let mut idle = Vec::new();
    for i in 0..200 {
        let mut stream = api.connect().await;
        if i % 2 == 0 {
            stream.write_all(b"GET /measurements/latest HTT").await.unwrap();
        }
        idle.push(stream);
    }
    assert_eq!(api.get("/measurements/latest").await.status, 200);
    let mut closed = Vec::new();
    for stream in &mut idle {
        closed.push(is_closed(stream).await);
    }
    let oldest = closed.iter().take_while(|closed| **closed).count();
    assert!((150..=160).contains(&oldest), "{oldest} of the oldest are closed");
    assert!(!closed[oldest..].contains(&true), "and nobody else");
}

#[tokio::test]
async fn when_everybody_is_busy_a_new_connection_is_refused_and_told_so() {
    let stub = one_node();
    stub.hold_up();
    let mut settings = limited(|limits| limits.connections = 1);
    settings.cors_origin = "https://map.example".parse().unwrap();
    let api = start_with(&stub, settings).await;
    let mut busy = api.connect().await;
    let request = b"GET /measurements/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    busy.write_all(request).await.unwrap();
    let begun = || async { stub.begun.load(std::sync::atomic::Ordering::SeqCst) == 1 };
    until("the request is being answered", begun).await;
    let mut refused = api.connect().await;
    let refusal = Answer::parse(&read_all(&mut refused).await);
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, "5"));
    let why = "As many clients as possible are being answered. Try again in some seconds\n";
    assert_eq!(refusal.text(), why);
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", &*why.len().to_string()),
        ("access-control-allow-origin", "https://map.example"),
        ("vary", "Origin"),
        ("cache-control", "no-cache"),
        ("connection", "close"),
    ] {
        assert_eq!(refusal.header(name), value, "a page of another origin can read why");
    }
    stub.gate.add_permits(1);
    let answer = Answer::parse(&read_all(&mut busy).await);
    assert_eq!(answer.status, 200, "the busy one is not disturbed");
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_cut_off_and_the_place_is_free() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "app").unwrap();
    let large = std::fs::File::create(folder.path().join("large.txt")).unwrap();
    large.set_len(64 << 20).unwrap();
    let mut settings = limited(|limits| {
        limits.connections = 1;
        limits.write_stall = Duration::from_millis(300);
    });
    settings.app_dir = Some(folder.path().to_owned());
    let api = start_with(&one_node(), settings).await;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(api.address).await.unwrap();
    slow.write_all(b"GET /large.txt HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    slow.read_exact(&mut [0; 16]).await.unwrap();
    let place_is_free = || async {
        let mut stream = api.connect().await;
        let request = b"GET /measurements/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(request).await;
        read_all(&mut stream).await.starts_with(b"HTTP/1.1 200")
    };
    assert!(!place_is_free().await, "while it is being waited for");
    until("the slow reader is cut off", place_is_free).await;
    assert!(read_all(&mut slow).await.len() < 64 << 20);
}

#[tokio::test]
async fn who_waits_for_the_rest_of_an_answer_is_not_idle() {
    let stub = one_node_with_a_long_history();
    let api = start_limited(&stub, |limits| limits.connections = 1).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(api.address).await.unwrap();
    let request = b"GET /measurements/a/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    slow.write_all(request).await.unwrap();
    let mut bytes = vec![0; 16];
    slow.read_exact(&mut bytes).await.unwrap();
    // The server has made all of the answer by now, and waits for its reader.
    let mut refused = api.connect().await;
    assert_eq!(Answer::parse(&read_all(&mut refused).await).status, 503);
    bytes.extend(read_all(&mut slow).await);
    assert_eq!(Answer::parse(&bytes).measurements().len(), 1_000);
}

#[tokio::test]
async fn an_answer_that_is_not_ready_in_time_is_given_up() {
    let stub = one_node();
    stub.hold_up();
    let time = Duration::from_millis(100);
    let api = start_limited(&stub, |limits| limits.request_time = time).await;
    let answer = api.get("/measurements/latest").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
}

#[tokio::test]
async fn only_so_many_requests_read_at_once_and_the_others_get_their_turn() {
    let stub = one_node();
    stub.hold_up();
    let api = start_limited(&stub, |limits| limits.concurrent_reads = 4).await;
    let begun = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    let requests = async {
        let one = || api.get("/measurements/latest");
        let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
        [a, b, c, d].map(|answer| answer.status)
    };
    let watch = async {
        until("two read", || async { begun() == 2 }).await;
        // Were a third let in, it would have been by the time this is answered.
        assert_eq!(api.get("/").await.status, 200);
        assert_eq!(begun(), 2);
        stub.gate.add_permits(4);
    };
    let (statuses, ()) = tokio::join!(requests, watch);
    assert_eq!(statuses, [200; 4]);
}

#[tokio::test]
async fn histories_that_wait_for_their_turn_do_not_hold_up_what_is_short() {
    let stub = one_node();
    stub.hold_up();
    let api = start_limited(&stub, |limits| limits.concurrent_reads = 4).await;
    let begun = || stub.begun.load(std::sync::atomic::Ordering::SeqCst);
    let history = || api.get("/measurements/a/latest");
    let histories = async { tokio::join!(history(), history(), history(), history()) };
    let short = async {
        until("two read", || async { begun() == 2 }).await;
        let latest = api.get("/measurements/latest");
        let let_on = async {
            until("the short one reads beside them", || async { begun() == 3 }).await;
            stub.gate.add_permits(5);
        };
        tokio::join!(latest, let_on).0.status
    };
    let (_, status) = tokio::join!(histories, short);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_answer_waits_for_room_while_others_are_on_their_way() {
    // Each answer is larger than all the room, and still they get through.
    let rows = (0..500).map(|i| row(i, "a", i)).collect();
    let api = start_limited(&Stub::of(rows), |limits| limits.answer_bytes = 1000).await;
    let one = || api.get("/measurements/a/latest");
    let (a, b, c) = tokio::join!(one(), one(), one());
    assert_eq!([a, b, c].map(|answer| answer.measurements().len()), [500; 3]);
}

/// A client that asks for a history of megabytes and has read only its head.
async fn asks_and_reads_nothing(api: &Api, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(api.address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    stream
}

/// A node whose history is larger than what the system holds for a connection.
fn one_node_with_a_long_history() -> Arc<Stub> {
    let rows = (0..1_000).map(|i| {
        let mut row = row(i, "a", i);
        row.measurement.sample.firmware = "x".repeat(20_000);
        row
    });
    Stub::of(rows.collect())
}

#[tokio::test]
async fn who_reads_nothing_of_an_answer_goes_for_one_that_waits_for_its_room() {
    // Room for one answer; patience for much longer than the test.
    let stub = one_node_with_a_long_history();
    let api = start_limited(&stub, |limits| limits.answer_bytes = 1000).await;
    let mut slow = asks_and_reads_nothing(&api, "/measurements/a/latest").await;

    assert_eq!(api.get("/measurements/a/latest").await.measurements().len(), 1_000);

    assert!(read_all(&mut slow).await.len() < 20_000_000, "it was cut off");
}

#[tokio::test]
async fn who_reads_nothing_of_an_export_goes_for_one_that_waits_for_its_place() {
    let stub = one_node_with_a_long_history();
    let api = start_limited(&stub, |limits| limits.exports = 1).await;
    let export = "/api/v1/nodes/a/export.csv";
    let mut slow = asks_and_reads_nothing(&api, export).await;

    let whole = String::from_utf8(api.get(export).await.unchunked()).unwrap();
    assert_eq!(whole.lines().count(), 1_001);

    assert!(!read_all(&mut slow).await.ends_with(b"0\r\n\r\n"), "it was cut off");
}

#[tokio::test]
async fn who_takes_a_long_answer_slowly_but_steadily_is_not_given_up_for_one_that_waits() {
    // Room for one answer, and one who waits for it longer than the test takes
    let stub = one_node_with_a_long_history();
    let api = start_limited(&stub, |limits| {
        limits.answer_bytes = 1000;
        limits.request_time = Duration::from_mins(1);
    })
    .await;
    let mut slow = asks_and_reads_nothing(&api, "/measurements/a/latest").await;
    let waits = api.get("/measurements/a/latest");

    // When it takes 20 kB in each second, for ten seconds
    let takes = async {
        let begin = tokio::time::Instant::now();
        let mut taken = vec![0; 2_000];
        while begin.elapsed() < Duration::from_secs(10) {
            slow.read_exact(&mut taken).await.expect("it was cut off");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        read_all(&mut slow).await
    };
    let (rest, answer) = tokio::join!(takes, waits);

    // Then it gets all of its answer, and the other one after it
    assert!(rest.ends_with(b"]}"), "{} bytes more came", rest.len());
    assert_eq!(answer.measurements().len(), 1_000);
}

#[tokio::test]
async fn an_export_under_way_goes_on_while_many_wait_for_the_room_of_those_who_read_nothing() {
    // Given all the room for histories held by one who reads nothing and may,
    // and an export under way
    let stub = one_node_with_a_long_history();
    let api = start_limited(&stub, |limits| {
        limits.answer_bytes = 1000;
        limits.request_time = Duration::from_hours(1);
        limits.write_stall = Duration::from_hours(1);
        limits.patience = Duration::from_hours(1);
    })
    .await;
    let _holds = asks_and_reads_nothing(&api, "/measurements/a/latest").await;
    let mut export = asks_and_reads_nothing(&api, "/api/v1/nodes/a/export.csv").await;

    // When as many wait for that room as there are turns, whatever they ask for
    let mut waiting = Vec::new();
    let history = "/api/v1/nodes/a/history?from=0&to=1748768945";
    for target in ["/measurements/a/latest", history, "/api/v1/events"].repeat(8) {
        let mut stream = api.connect().await;
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    assert_eq!(api.get("/healthz").await.status, 200, "the server has seen them all");

    // Then the export comes whole
    let bytes = read_all(&mut export).await;
    assert!(bytes.ends_with(b"\r\n0\r\n\r\n"), "it breaks off after {} bytes", bytes.len());
}
