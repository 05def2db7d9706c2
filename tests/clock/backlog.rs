//! A node that never knows the time, and the ways in which its messages reach
//! the collector.
//!
//! `esp-ohne-ntp.jsonl`: five lines a message, the first often the last of the
//! message before; each last line measured at most 15 s before the message was
//! published; one reboot that continues the seconds.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    recorded_logs::{Message, reported},
    station::Station,
};

const NODE: &str = "ESP-ohne-NTP";

/// As `max_error_s` of the scripts with this node.
const ALLOWED: i64 = 20;

/// Whether the collector is begun anew before each transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Stays,
    BegunAnew,
}

/// So many messages wait at the broker and come together, when the last of
/// them is published.
struct Away(usize);

fn recorded() -> Vec<Message> {
    Message::all_of("esp-ohne-ntp")
}

/// Takes in all messages; `away` says how many come together each time.
async fn take_in(
    messages: &[Message],
    away: impl IntoIterator<Item = Away>,
    process: Process,
) -> Station {
    let mut station = Station::new().await;
    let mut rest = messages;
    let mut away = away.into_iter();
    while !rest.is_empty() {
        let Away(count) = away.next().expect("a plan for all messages");
        let (together, later) = rest.split_at(count.min(rest.len()));
        rest = later;
        if process == Process::BegunAnew {
            station.restart().await;
        }
        let arrival = together.last().unwrap().t;
        station.set_clock(arrival);
        let deliveries: Vec<_> = together.iter().map(|message| message.delivery(arrival)).collect();
        station.ingest(&deliveries).await;
    }
    station
}

/// Every line once, with its own values and none of another's time.
async fn assert_complete(station: &Station, messages: &[Message]) {
    let sent: BTreeSet<i64> = messages.iter().flat_map(Message::reported).collect();
    let stored = station.history(NODE).await;
    let found: Vec<i64> = stored.iter().map(|row| row.reported.key()).collect();
    let sorted: BTreeSet<i64> = found.iter().copied().collect();
    assert_eq!(found.len(), sent.len(), "each line is stored exactly once");
    assert_eq!(sorted, sent);
    assert_eq!(station.tally.rejected_in_all(), 0);
    assert_eq!(station.tally.conflict, 0);
}

/// The lines that a message brought follow each other as they were measured.
/// (What an earlier message brought stays where it was put.)
async fn assert_ordered(station: &Station, messages: &[Message]) {
    let stored = station.history(NODE).await;
    let observed: BTreeMap<i64, i64> =
        stored.iter().map(|row| (row.reported.key(), row.observed.as_unix())).collect();
    let mut known = BTreeSet::new();
    for message in messages {
        let mut brought = message.reported();
        brought.retain(|line| known.insert(*line));
        for pair in brought.windows(2) {
            let passed = observed[&pair[1]] - observed[&pair[0]];
            assert_eq!(passed, pair[1] - pair[0], "between {pair:?} s since the boot");
        }
    }
}

/// No row lies further ahead of its arrival than a clock may be.
async fn assert_nothing_in_the_future(station: &Station) {
    for row in station.history(NODE).await {
        let ahead = row.observed.since(row.received.unwrap());
        assert!(ahead <= 600, "{ahead} s ahead: {row:?}");
    }
}

/// Every line lies where the message that brought it says.
async fn assert_near_the_truth(station: &Station, messages: &[Message]) {
    let stored = station.history(NODE).await;
    let observed: BTreeMap<i64, i64> =
        stored.iter().map(|row| (row.reported.key(), row.observed.as_unix())).collect();
    for message in messages {
        let last = reported(message.payload.lines().last().unwrap());
        for line in message.reported() {
            // Measured at most 15 s earlier than this, and not later.
            let latest = message.t - (last - line);
            let error = observed[&line] - latest;
            assert!((-ALLOWED..=ALLOWED).contains(&error), "{line} s since the boot: {error} s");
        }
    }
}

async fn assert_all(station: &Station, messages: &[Message]) {
    assert_complete(station, messages).await;
    assert_ordered(station, messages).await;
    assert_nothing_in_the_future(station).await;
    assert_near_the_truth(station, messages).await;
}

#[tokio::test]
async fn each_message_when_it_is_published() {
    let messages = recorded();
    let away = std::iter::repeat_with(|| Away(1));
    assert_all(&take_in(&messages, away, Process::Stays).await, &messages).await;
}

#[tokio::test]
async fn each_message_to_another_process() {
    let messages = recorded();
    let away = std::iter::repeat_with(|| Away(1));
    assert_all(&take_in(&messages, away, Process::BegunAnew).await, &messages).await;
}

#[tokio::test]
async fn bursts_of_every_length_once_the_node_is_known() {
    let messages = recorded();
    for process in [Process::Stays, Process::BegunAnew] {
        // 700 messages: 1, 2, 3, … together.
        let away = (1..).map(Away);
        assert_all(&take_in(&messages, away, process).await, &messages).await;
    }
}

#[tokio::test]
async fn away_while_the_node_boots() {
    let messages = recorded();
    for (before, after) in [(455, 1), (400, 100), (455, 245)] {
        let away = [Away(1), Away(before - 1), Away(after)];
        let away = away.into_iter().chain(std::iter::repeat_with(|| Away(5)));
        assert_all(&take_in(&messages, away, Process::BegunAnew).await, &messages).await;
    }
}

#[tokio::test]
async fn messages_that_never_arrive_take_nothing_else_with_them() {
    for every in [2, 10] {
        let kept: Vec<Message> = recorded()
            .into_iter()
            .enumerate()
            .filter_map(|(index, message)| (index % every != 1).then_some(message))
            .collect();
        let away = std::iter::repeat_with(|| Away(1));
        assert_all(&take_in(&kept, away, Process::Stays).await, &kept).await;
    }
}

#[tokio::test]
async fn messages_that_arrive_twice_are_stored_once() {
    let messages = recorded();
    let twice: Vec<Message> =
        messages.iter().flat_map(|message| [message.clone(), message.clone()]).collect();
    let away = std::iter::repeat_with(|| Away(1));
    assert_all(&take_in(&twice, away, Process::Stays).await, &messages).await;
}

/// Nobody can know when such lines were measured. What is promised is that
/// they are all there, in their order.
#[tokio::test]
async fn a_backlog_of_an_unknown_node_is_complete_and_in_order() {
    let messages = recorded();
    for first in [50, 456, 700] {
        let away = [Away(first)].into_iter().chain(std::iter::repeat_with(|| Away(1)));
        let station = take_in(&messages, away, Process::Stays).await;
        assert_complete(&station, &messages).await;
        assert_ordered(&station, &messages).await;
        assert_nothing_in_the_future(&station).await;
    }
}
