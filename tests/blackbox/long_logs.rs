//! A node whose log is longer than any real one, and another one in each round:
//! it costs neither the collector its memory nor other nodes their turn.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::{
    serve::source,
    support::{Isems, Node, eventually, get},
};

const ROUNDS: usize = 12;

/// Lines of 85 bytes, five times more than are used.
const LINES: usize = 120_000;

/// How much memory the collector may take meanwhile, in MiB.
const MOST_MEMORY: u64 = 160;

/// How long a good node may wait until its newest line is stored. It is asked
/// each second.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What the rounds cost.
struct Cost {
    /// In MiB, at most until the end of each round.
    memory: Vec<u64>,
    /// From the moment when the good node has a line until it is served.
    waits: Vec<Duration>,
}

fn line(node: &str, time: usize, voltage: usize) -> String {
    format!(
        "{node};1;{time};ATmega8_A_1;9940;0;21.002;17.041;12.{voltage};23;100;17;11.7;14.2;7;20;\
         52.5;13.4;880\n"
    )
}

/// A log that names more than fourteen years, in which no line of an earlier round
/// comes again. Each line lies in an hour of its own.
fn hostile_log(round: usize) -> String {
    let line = |at: usize| line("Flut", 1_600_000_000 + 7 * round + 3_700 * at, 100 + round);
    (0..LINES).map(line).collect()
}

fn good_log(lines: usize) -> String {
    (0..lines).map(|at| line("Gut", 1_760_000_000 + 61 * at, 100)).collect()
}

/// The rounds, which all tests look at.
fn rounds() -> &'static Cost {
    static COST: OnceLock<Cost> = OnceLock::new();
    COST.get_or_init(|| {
        let (hostile, good) = (Node::empty(), Node::with_log(good_log(1)));
        let isems = Isems::new().nodes([&hostile, &good]).set("ISEMS_POLL_INTERVAL", "1s");
        let serving = isems.serve();
        let stored = |node: &Node| source(&serving, &node.source())["stored"].as_u64();
        let served = |lines: usize| {
            let answer = get(&format!("{}/measurements/Gut/latest", serving.api())).json();
            (answer["measurements"].as_array().unwrap().len() == lines).then_some(())
        };
        eventually("the good node", || served(1));
        let mut cost = Cost { memory: Vec::new(), waits: Vec::new() };
        for round in 1..=ROUNDS {
            let before = stored(&hostile);
            hostile.set_log(hostile_log(round));
            good.set_log(good_log(1 + round));
            let told = Instant::now();
            eventually("the line of the good node", || served(1 + round));
            cost.waits.push(told.elapsed());
            eventually("the long log", || (stored(&hostile) > before).then_some(()));
            cost.memory.push(serving.peak_memory());
        }
        let lines = stored(&hostile).unwrap();
        assert!(lines > 20_000 * ROUNDS as u64, "{lines} lines of the long logs were stored");
        cost
    })
}

#[test]
fn memory_is_bounded_over_many_rounds() {
    let memory = &rounds().memory;
    assert!(memory.iter().all(|memory| *memory < MOST_MEMORY), "MiB after each round: {memory:?}");
}

#[test]
fn a_good_node_is_not_kept_waiting() {
    let waits = &rounds().waits;
    assert!(waits.iter().all(|wait| *wait < LONGEST_WAIT), "{waits:?}");
}
