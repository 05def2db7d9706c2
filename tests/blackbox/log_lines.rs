//! What the log and `/sources` say of the intake.

use crate::{
    serve::{collector, source, subscribed},
    support::{Broker, Isems, Node, log, of_a_fleet},
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
