//! What was confirmed before is marked, and only that.

use isems_core::NodeSource as _;

use super::{
    FakeNode, LOG, delivery, file, fixture, line, lines, many_rounds, poll_from, poll_once,
    polling, remembered,
};

#[tokio::test]
async fn a_log_that_grew_is_marked_up_to_what_was_confirmed() {
    let node = FakeNode::with_log(file("1", lines(0..3))).await;
    let mut source = polling(many_rounds(&node.address.to_string()));
    let first = delivery(&mut source).await;
    assert_eq!(first.known_prefix, 0);
    source.confirm(first.receipt).await.unwrap();

    node.answer(LOG, file("2", lines(0..5)));
    let second = delivery(&mut source).await;
    assert_eq!(second.known_prefix, lines(0..3).len());
    assert_eq!(second.payload, lines(0..5).as_bytes());
}

#[tokio::test]
async fn what_was_confirmed_is_known_after_a_restart() {
    let node = FakeNode::with_log(file("1", lines(0..3))).await;
    let first = poll_once(&node).await.unwrap();
    node.answer(LOG, file("2", lines(0..5)));
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert_eq!(second.known_prefix, lines(0..3).len());
}

#[tokio::test]
async fn a_last_line_without_newline_is_known_with_the_newline_that_followed() {
    let unterminated = lines(0..3).trim_end().to_owned();
    let node = FakeNode::with_log(file("1", unterminated)).await;
    let first = poll_once(&node).await.unwrap();
    node.answer(LOG, file("2", lines(0..5)));
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert_eq!(second.known_prefix, lines(0..3).len());
}

#[tokio::test]
async fn a_log_that_changed_within_is_not_known() {
    let node = FakeNode::with_log(file("1", lines(0..3))).await;
    let first = poll_once(&node).await.unwrap();
    node.answer(LOG, file("2", line(0) + &lines(2..5)));
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert_eq!(second.known_prefix, 0);
    assert_eq!(node.requests().len(), 2, "the first line is the same");
}

#[tokio::test]
async fn the_few_lines_of_an_esp32_are_read_without_asking_for_an_old_log() {
    let before = fixture("http/esp2021_csv.raw");
    let after = fixture("http/esp2021_csv_plus15s.raw");
    let node = FakeNode::with_log(before).await;
    let first = poll_once(&node).await.unwrap();
    node.answer(LOG, after.clone());
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert_eq!(second.payload, super::body_of(&after));
    assert_eq!(second.known_prefix, 0);
    assert_eq!(node.paths(), [LOG, LOG]);
}

#[tokio::test]
async fn a_broken_answer_within_the_known_part_takes_nothing_back() {
    let log = lines(0..4);
    let node = FakeNode::with_log(file("1", &log)).await;
    let first = poll_once(&node).await.unwrap();
    let mut broken = file("2", &log);
    broken.truncate(broken.len() - 2 * line(0).len());
    node.answer(LOG, broken);
    let second = poll_from(&node, &remembered(&first)).await.unwrap();
    assert_eq!(second.position, None);
}
