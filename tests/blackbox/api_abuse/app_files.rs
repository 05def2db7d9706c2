//! Files of the app for clients that do not take them.

use std::{fs, io::Write as _, net::TcpStream, thread, time::Duration};

use crate::support::{Isems, Node, get, log};

/// Clients that ask for a large file and read nothing: nearly as many as there
/// may be connections.
const READERS: usize = 508;

/// The most files that may be open meanwhile: half of those that the system
/// allows, and what the collector has open by itself.
const MOST_OPEN: usize = 512 + 80;

#[test]
fn files_that_nobody_takes_cost_neither_open_files_nor_memory() {
    // Given an app with a large file and a small one
    let app = tempfile::tempdir().unwrap();
    fs::write(app.path().join("index.html"), "<!doctype html><title>app</title>").unwrap();
    fs::write(app.path().join("main.js"), "x".repeat(3_000_000)).unwrap();
    let known = log("aa-ring");
    let node = Node::with_log(known.clone());
    let isems = Isems::new()
        .nodes([&node])
        .set("ISEMS_APP_DIR", app.path().to_str().unwrap())
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_COMMIT_INTERVAL", "0s")
        .open_files(1_024);
    let serving = isems.serve();
    isems.database().wait_for_rows(42);

    // When many ask for the large one and read nothing, for longer than those
    // wait who have no place
    let address = serving.api().strip_prefix("http://").unwrap().to_owned();
    let readers: Vec<TcpStream> = (0..READERS).map(|_| asks_and_reads_nothing(&address)).collect();
    let mut most_open = 0;
    for _ in 0..120 {
        most_open = most_open.max(serving.open_files());
        thread::sleep(Duration::from_millis(100));
    }

    // Then there are files and memory left, nodes are read and others answered
    assert!(most_open > 480, "as many as possible were connected: {most_open}");
    assert!(most_open < MOST_OPEN, "{most_open} files were open");
    node.set_log([known, log("ps-wort")].concat());
    isems.database().wait_for_rows(42 + 28);
    let page = get(&format!("{}/index.html", serving.api()));
    assert_eq!((page.status, page.text().contains("<title>app</title>")), (200, true));
    assert!(serving.peak_memory() < super::MOST_MEMORY, "{} MiB", serving.peak_memory());
    drop(readers);
    let log = serving.stop().expect(0).stderr;
    assert!(!log.contains("Too many open files"), "{log}");
}

fn asks_and_reads_nothing(address: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(address.parse().unwrap()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.write_all(b"GET /main.js HTTP/1.1\r\nHost: isems\r\n\r\n").unwrap();
    stream
}
