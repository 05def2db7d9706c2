//! What nodes are asked: as their web servers can bear it, and in no way that
//! could cost a line.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use crate::support::{Isems, Node, Told, log};

const LOG: &str = "/ISEMS/ffopenmppt.log";
const OLD_LOG: &str = "/ISEMS/ffopenmppt.log.gz";

fn packed(log: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(log.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// So many lines of a real log.
fn lines(range: std::ops::Range<usize>) -> String {
    let whole = String::from_utf8(log("elektra-dach")).unwrap();
    let lines = whole.split_inclusive('\n').skip(range.start).take(range.len());
    lines.collect()
}

fn asks_for_news(request: &str) -> bool {
    request.to_lowercase().contains("\r\nif-none-match:")
}

/// The requests for a path, so far.
fn requests_for(node: &Node, path: &str) -> Vec<String> {
    let of_path = |request: &String| request.split(' ').nth(1) == Some(path);
    node.requests().into_iter().filter(of_path).collect()
}

/// A node that was polled before its log was rotated and after, and thrice
/// since; gives the requests, and the lines that there were.
fn polled_over_a_rotation() -> (Node, Isems, String) {
    let node = Node::with_log(lines(0..40));
    let isems = Isems::new().nodes([&node]);
    for _ in 0..2 {
        isems.run(&["update-data"]).expect(0);
    }
    node.set_file(OLD_LOG, packed(&lines(0..60)));
    for fresh in 61..64 {
        node.set_log(lines(60..fresh));
        isems.run(&["update-data"]).expect(0);
    }
    (node, isems, lines(0..63))
}

#[test]
fn no_request_holds_what_a_web_server_of_nodes_stumbles_over() {
    let (node, _, _) = polled_over_a_rotation();
    let requests = node.requests();
    assert!(requests.iter().any(|request| asks_for_news(request)));
    assert!(requests.iter().any(|request| request.contains(OLD_LOG)));
    for request in requests {
        // The path is the operator's.
        let (_, headers) = request.split_once("\r\n").unwrap();
        let headers = headers.to_lowercase();
        let names: Vec<&str> =
            headers.lines().filter_map(|line| line.split(':').next()).map(str::trim).collect();
        // The old log in place of the log; false 304; 412; nothing of it.
        for name in ["accept-encoding", "if-modified-since", "range", "if-range", "referer"] {
            assert!(!names.contains(&name), "{name} in {request}");
        }
        // An ESP32 looks for these anywhere.
        for word in ["csv", "log", "random", "help"] {
            assert!(!headers.contains(word), "{word:?} in {request}");
        }
    }
}

#[test]
fn the_old_log_is_asked_for_once_after_a_rotation() {
    let (node, isems, expected) = polled_over_a_rotation();
    assert_eq!(requests_for(&node, OLD_LOG).len(), 1, "{:#?}", node.requests());
    isems.database().assert_holds_once(expected.lines().map(Told::by_line));
}

#[test]
fn the_tag_of_an_answer_that_was_cut_is_not_remembered() {
    // Given an answer that is shorter than its length
    let whole = lines(0..20);
    let tagged =
        format!("HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: {}\r\n\r\n", whole.len());
    let node = Node::empty();
    node.set_raw(LOG, format!("{tagged}{}", &whole[..whole.len() / 2]));
    let isems = Isems::new().nodes([&node]);
    isems.run(&["update-data"]).expect(0);
    let cut = isems.database().count();
    assert!((5..15).contains(&cut), "{cut} rows");

    // When it comes whole, with the same tag
    node.set_raw(LOG, format!("{tagged}{whole}"));
    isems.run(&["update-data"]).expect(0);
    isems.run(&["update-data"]).expect(0);

    // Then it was asked for without, and the rest is there
    isems.database().assert_holds_once(whole.lines().map(Told::by_line));
    let tags: Vec<bool> = node.requests().iter().map(|request| asks_for_news(request)).collect();
    assert_eq!(tags, [false, false, true], "{:#?}", node.requests());
}
