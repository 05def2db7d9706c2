//! What a commit costs in writes is what OPERATIONS.md says that it does.

use std::{fs, path::Path};

use crate::{
    faults::{Event, Preload},
    power_cut::{collector, messages, subscribed, wait_for_acknowledged},
    support::{Broker, Isems, Node, eventually, log},
};

/// Lines of the first round, and of the second that brings some.
const LINES: usize = 3_000;
const MORE: usize = 15;

/// Bytes before the syncs of the four kinds that the document tells of.
#[derive(Debug)]
struct Costs {
    first_round: u64,
    nothing_new: u64,
    fifteen_lines: u64,
    end: u64,
}

impl Costs {
    /// From the table in "On a Raspberry Pi".
    fn told(document: &str) -> Self {
        let row = |what: &str| {
            let cell = document.split_once(what).map(|(before, _)| before.trim_end());
            let cell = cell.unwrap_or_else(|| panic!("OPERATIONS.md has no row {what:?}"));
            cell.rsplit(' ').next().unwrap().parse().unwrap()
        };
        Self {
            first_round: row("| the first round: 3,000 lines |"),
            nothing_new: row("| a round in which the node had nothing new"),
            fifteen_lines: row("| a round with 15 new lines |"),
            end: row("| the end: the write-ahead log goes into the file |"),
        }
    }

    /// As the document has them measured, in less time.
    fn measured() -> Self {
        let text = String::from_utf8(log("elektra-dach")).unwrap();
        let first = |lines: usize| text.split_inclusive('\n').take(lines).collect::<String>();
        let node = Node::with_log(first(LINES));
        let isems = Isems::new().nodes([&node]).set("ISEMS_POLL_INTERVAL", "1s");
        let (isems, preload) = Preload::before(isems, None);
        let commits = || of_each_sync(preload.journal().events(), "wal");
        let serving = isems.serve();
        isems.database().wait_for_rows(LINES);
        let before = commits().len();
        let enough = || (commits().len() > before + 4).then_some(());
        eventually("some rounds without news", enough);
        node.set_log(first(LINES + MORE));
        isems.database().wait_for_rows(LINES + MORE);
        serving.stop().expect(0);

        // The dearest commit is the first round's; the dearest after it has the
        // few lines, and most of the others nothing.
        let all = commits();
        let dearest = all.iter().max().unwrap();
        let begin = all.iter().position(|bytes| bytes == dearest).unwrap();
        let mut rounds = all[begin + 1..].to_vec();
        rounds.sort_unstable();
        Self {
            first_round: all[begin],
            nothing_new: rounds[rounds.len() / 2],
            fifteen_lines: *rounds.last().unwrap(),
            end: *of_each_sync(preload.journal().events(), "db").last().unwrap(),
        }
    }
}

/// OPERATIONS.md, in one line.
fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asserts that the document tells what is. A page more or less of many may come
/// with the length of an address.
#[track_caller]
fn assert_is_as_told(what: &str, told: u64, measured: u64) {
    let is_close = told.abs_diff(measured) * 20 <= told;
    assert!(is_close, "{what}: OPERATIONS.md says {told} bytes, it is {measured}");
}

/// The bytes that were written to a file before each sync of it.
fn of_each_sync(events: &[Event], of: &str) -> Vec<u64> {
    let (mut all, mut sum) = (Vec::new(), 0);
    for event in events {
        match event {
            Event::Written { file, bytes } if file == of => sum += bytes,
            Event::Synced { file, .. } if file == of => all.push(std::mem::take(&mut sum)),
            _ => {}
        }
    }
    all
}

#[test]
fn what_a_round_costs_in_writes_is_what_the_document_says() {
    let document = document();
    let (told, measured) = (Costs::told(&document), Costs::measured());

    assert_is_as_told("the first round", told.first_round, measured.first_round);
    assert_is_as_told("a round without news", told.nothing_new, measured.nothing_new);
    assert_is_as_told("15 lines", told.fifteen_lines, measured.fifteen_lines);
    assert_is_as_told("the end", told.end, measured.end);
    // And the sentence beneath the table is in order.
    let words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let times = |one: u64, other: u64| words[usize::try_from(one / other).unwrap()];
    let sentence = format!(
        "15 lines in one commit cost as much as {} commits without any, and 3,000 lines more than \
         {} times as much as 15",
        times(measured.fifteen_lines, measured.nothing_new),
        times(measured.first_round, measured.fifteen_lines),
    );
    assert!(document.contains(&sentence), "OPERATIONS.md should say: {sentence}");
}

#[test]
fn what_a_lone_message_costs_in_writes_is_what_the_document_says() {
    const COMMITS: usize = 30;
    const SENTENCE: &str = "An MQTT message that comes alone costs ";
    let broker = Broker::start();
    let (isems, preload) = collector(&broker, "0s");
    let _serving = subscribed(&isems, &broker);
    let mut publisher = broker.publisher();
    // The first ones make nodes and fill the first pages.
    publisher.publish(&messages(0..60));
    wait_for_acknowledged(&preload, 60);
    let before = of_each_sync(preload.journal().events(), "wal").len();

    for number in 60..60 + COMMITS {
        publisher.publish(&messages(number..number + 1));
        wait_for_acknowledged(&preload, number + 1);
    }

    let all = of_each_sync(preload.journal().events(), "wal");
    let commits = &all[before..];
    assert_eq!(commits.len(), COMMITS, "one sync for each commit");
    let document = document();
    let told = document.split_once(SENTENCE).unwrap().1.split(' ').next().unwrap();
    let mean = commits.iter().sum::<u64>() / commits.len() as u64;
    assert_is_as_told("a lone message", told.parse().unwrap(), mean);
}
