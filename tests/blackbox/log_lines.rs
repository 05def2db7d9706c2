//! What the log and `/sources` say of the intake.

use crate::{
    serve::{collector, source, subscribed},
    support::{Broker, Isems, Node, Running, eventually, log, of_a_fleet},
};

/// The numbers before a word, in all lines of a log that have it.
fn counts(log: &str, word: &str) -> Vec<usize> {
    let before = log.split(word).map(|text| text.rsplit([' ', '(']).next().unwrap_or_default());
    let mut counts: Vec<usize> = before.map(|number| number.parse().unwrap_or(0)).collect();
    counts.pop();
    counts
}

#[test]
fn every_message_is_in_a_line_of_the_log_also_the_last() {
    let broker = Broker::start();
    let isems = collector(&broker, "5");
    let serving = subscribed(&isems, &broker);
    broker.publish(&[of_a_fleet(0)]);
    serving.wait_for_log("1 message: 1 stored");
    // The next line would come in a minute.
    broker.publish(&(1..8).map(of_a_fleet).collect::<Vec<_>>());
    isems.database().wait_for_rows(8);

    let told = serving.stop().expect(0).stderr;

    assert_eq!(counts(&told, " stored").iter().sum::<usize>(), 8, "{told}");
    assert_eq!(counts(&told, " messages: "), [7], "{told}");
}

#[test]
fn a_node_that_answers_with_a_page_was_not_read() {
    let page = Node::with_log("<html>\n<h1>LuCI</h1>\n</html>\n");
    let good = Node::with_log(log("aa-ring"));
    let serving = Isems::new().nodes([&page, &good]).serve();

    serving.wait_for_log("polling round: 1 of 2 nodes read");

    let shown = source(&serving, &page.source());
    let error = shown["lastError"].as_str().unwrap_or_default();
    assert!(error.starts_with("the answer is not a log: <html>"), "{shown}");
    assert!(shown["lastSuccess"].is_null(), "{shown}");
    assert_eq!(shown["rejected"]["not a log"], 1, "{shown}");
}

/// Waits for so many more rounds.
fn rounds(serving: &Running, more: usize) {
    let count = || serving.log().matches("polling round: ").count();
    let before = count();
    eventually("more rounds", || (count() >= before + more).then_some(()));
}

/// The lines of a log that warn of a node.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" WARN ") && line.contains("http://")).collect()
}

#[test]
fn a_node_that_fails_is_told_of_when_that_begins_changes_and_ends() {
    const OTHER: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    const PAGE: &str = "<html>\n<h1>LuCI</h1>\n</html>\n";
    // Given a node without a log
    let node = Node::empty();
    let isems = Isems::new().nodes([&node]).set("ISEMS_POLL_INTERVAL", "1s");
    let serving = isems.serve();
    rounds(&serving, 3);
    assert_eq!(warnings(&serving.log()).len(), 1, "{}", serving.log());

    // When it fails for other reasons, and for a known one
    node.set_raw("/ISEMS/ffopenmppt.log", OTHER);
    rounds(&serving, 3);
    node.set_log(PAGE);
    rounds(&serving, 3);
    node.remove("/ISEMS/ffopenmppt.log");
    rounds(&serving, 2);
    node.set_log(log("aa-ring"));
    serving.wait_for_log("read again, after ");
    rounds(&serving, 2);
    node.remove("/ISEMS/ffopenmppt.log");
    rounds(&serving, 3);

    // Then each is told once, and each return, and rounds count all of it
    let told = serving.stop().expect(0).stderr;
    let warnings = warnings(&told);
    let reasons = ["404", "500", "the answer is not a log", "404"];
    assert_eq!(warnings.len(), reasons.len(), "{warnings:#?}");
    for (warning, reason) in warnings.iter().zip(reasons) {
        assert!(warning.contains(reason), "{warnings:#?}");
    }
    assert_eq!(told.matches("read again, after ").count(), 1, "{told}");
    let is_count =
        |line: &&str| line.contains("http://") && line.contains("1 rejected (not a log)");
    assert_eq!(told.lines().filter(is_count).count(), 1, "{told}");
    assert!(told.matches("polling round: 0 of 1 node read").count() >= 13, "{told}");
}
