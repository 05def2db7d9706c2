//! What a delivery may cost, whatever times it names.

use std::sync::mpsc;

use super::*;
use crate::{
    ClockMarks, ClockRun, NodeState, PartReport, StoreReport, testing::MockMeasurementRepo,
};

const T: i64 = 1_748_768_945;

/// Nothing is stored of any node, but all have as many runs as are kept, each
/// of which may hold any line. Notes for how many lines it is asked.
fn repo(asked: mpsc::Sender<usize>) -> MockMeasurementRepo {
    let kept = i64::try_from(ClockRun::KEPT).unwrap();
    let run = |offset| ClockRun {
        offset,
        basis: Basis::Corrected,
        first_reported: Timestamp::from_unix(0),
        last_reported: Timestamp::from_unix(i64::MAX),
        guessed: false,
    };
    let state =
        NodeState { version: 1, runs: (0..kept).map(run).collect(), ..NodeState::default() };
    let mut repo = MockMeasurementRepo::new();
    repo.expect_clock_marks().returning(|| Ok(ClockMarks::default()));
    repo.expect_node_state().returning(move |_| Ok(state.clone()));
    repo.expect_find().returning(move |_, wanted| {
        asked.send(wanted.len()).unwrap();
        Ok(Vec::new())
    });
    repo.expect_store().returning(|batch| {
        Ok(StoreReport { parts: vec![PartReport::default(); batch.parts.len()] })
    });
    repo
}

/// For how many lines the repository is asked, question by question.
fn asked_for(deliveries: &[Delivery]) -> Vec<usize> {
    let (asked, questions) = mpsc::channel();
    let mut collector = Collector::new(Arc::new(repo(asked)), BUILT);
    block_on(collector.ingest(deliveries, Timestamp::from_unix(T))).unwrap();
    drop(collector);
    questions.iter().collect()
}

fn log(lines: i64, time: impl Fn(i64) -> i64) -> Delivery {
    let lines: String = (0..lines).map(|at| line("A", time(at), 12.0)).collect();
    delivery("s", lines.as_bytes(), T)
}

#[test]
fn a_log_of_many_times_is_looked_up_within_bounds() {
    for (name, log) in [
        ("lines an hour apart", log(40_000, |at| T - 3_700 * (40_000 - at))),
        ("lines that lie close together", log(40_000, |at| T - 40_000 + at)),
        ("nothing but clock steps", log(40_000, |at| T - 100 * at)),
    ] {
        let asked = asked_for(&[log]);
        let (lines, questions) = (asked.iter().sum::<usize>(), asked.len());
        assert!(lines <= 200_000 && questions <= 8_000, "{name}: {lines} in {questions} questions");
        assert!(lines + 25 * questions >= 150_000, "{name}: {lines} in {questions} questions");
    }
}

#[test]
fn what_nodes_send_is_compared_with_many_runs() {
    let full_log = asked_for(&[log(3_660, |at| T - 61 * (3_660 - at))]);
    assert!(full_log.iter().sum::<usize>() >= 50 * 3_660, "{full_log:?}");

    let messages: Vec<Delivery> =
        (0..512).map(|at| log(5, |line| T - 65 * (512 - at) + 15 * line)).collect();
    let window: usize = asked_for(&messages).iter().sum();
    assert!((512 * 5 * 12..=200_000).contains(&window), "{window}");
}
