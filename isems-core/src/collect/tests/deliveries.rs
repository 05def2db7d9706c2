//! What becomes of whole deliveries.

use std::future::Future as _;

use super::*;
use crate::{Framing, ReadPosition, SourceError, SourceId, testing::ScriptedSource};

const T: i64 = 1_748_768_945;

#[test]
fn the_fixture_logs_are_stored_whole_and_once() {
    let mut world = World::new();
    let mut stored = 0;
    for (name, arrival, lines, rejected) in [
        ("aa-ring", 1_748_911_400, 42, 0),
        ("avr-echt", 1_739_185_200, 472, 0),
        ("elektra-dach", 1_743_386_300, 3660, 0),
        ("herbst-umstellung", 1_761_480_900, 900, 0),
        ("kaputte-geo", 1_748_912_500, 60, 0),
        ("keine-verbindung", 1_746_069_800, 200, 0),
        ("latin1", 1_748_914_900, 100, 0),
        ("leere-uci", 1_748_912_500, 60, 0),
        ("leerzeichen-geo", 1_748_910_700, 30, 0),
        ("ohne-ntp.boot2", 1_750_087_020, 1426, 0),
        ("ohne-ntp.boot3", 1_750_099_300, 200, 0),
        ("ps-wort", 1_748_910_600, 28, 0),
        ("semikolon", 1_748_910_100, 0, 20),
        ("uhrensprung", 1_748_952_000, 708, 0),
        ("wackelkontakt", 1_744_316_400, 1200, 0),
        ("watchdog42000", 1_754_185_300, 100, 0),
    ] {
        let log = delivery(name, &fixture(&format!("logs/{name}.log")), arrival);
        let first = world.take(log.clone()).tally;
        assert_eq!((first.stored, first.rejected_in_all()), (lines, rejected), "{name}");
        let again = world.take(log).tally;
        assert_eq!((again.stored, again.duplicate), (0, lines), "{name}, second round");
        stored += first.stored;
    }
    assert_eq!(stored, 9186);
}

#[test]
fn lines_of_several_nodes_in_one_log_are_kept_apart() {
    let mut world = World::new();
    let log =
        [line("A", T, 12.0), line("B", T, 12.1), line("A", T + 61, 12.2), line("B", T + 61, 12.3)]
            .concat();
    let report = world.take(delivery("ring", log.as_bytes(), T + 70));
    assert_eq!(report.nodes, ["A", "B"].map(|name| NodeId::new(name).unwrap()));
    assert_eq!((world.history("A").len(), world.history("B").len()), (2, 2));
}

#[test]
fn a_node_that_two_addresses_report_is_noted_once() {
    let mut world = World::new();
    let from = |address: &str, t| delivery(address, line("A", t, 12.0).as_bytes(), t + 5);
    assert_eq!(world.take(from("http://10.0.0.1/", T)).notes, []);
    let other = SourceId::new("http://10.0.0.1/");
    assert_eq!(
        world.take(from("http://10.0.0.2/", T + 61)).notes,
        [Note::NodeAtTwoAddresses { node: NodeId::new("A").unwrap(), other }]
    );
    assert_eq!(world.take(from("http://10.0.0.2/", T + 122)).notes, []);
}

#[test]
fn a_topic_that_names_another_node_rejects_the_message_once_and_whole() {
    let mut world = World::new();
    let payload = [line("A", T, 12.0), line("B", T, 12.0), line("B", T + 61, 12.0)].concat();
    let report = world.take(Delivery {
        topic: Some("/isems/A/csvlog".into()),
        framing: Framing::Whole,
        ..delivery("broker", payload.as_bytes(), T + 5)
    });
    assert_eq!((report.tally.stored, report.tally.rejected_in_all()), (0, 1));
    assert_eq!(report.tally.rejected["node mismatch"], 1);
}

#[test]
fn a_known_prefix_is_neither_looked_at_nor_counted_again() {
    let mut world = World::new();
    let first = [line("A", T, 12.0), "trash;\n".into(), line("A", T + 61, 12.1)].concat();
    world.take(delivery("s", first.as_bytes(), T + 70));
    let grown = first.clone() + &line("A", T + 122, 12.2);
    let report = world
        .take(Delivery { known_prefix: first.len(), ..delivery("s", grown.as_bytes(), T + 130) });
    assert_eq!(report.tally, Tally { stored: 1, ..Tally::default() });
    assert_eq!(world.history("A").len(), 3);
}

#[test]
fn a_known_prefix_that_the_repository_does_not_hold_is_read_again() {
    let mut world = World::new();
    let first = [line("A", T, 12.0), line("A", T + 61, 12.1), "trash;\n".into()].concat();
    world.take(delivery("s", first.as_bytes(), T + 70));
    // As after the database was moved away, or restored from a backup.
    block_on(world.repo.forget(&NodeId::new("A").unwrap())).unwrap();
    let grown = first.clone() + &line("A", T + 122, 12.2);
    let known = Delivery { known_prefix: first.len(), ..delivery("s", grown.as_bytes(), T + 130) };
    assert_eq!(world.take(known.clone()).tally.stored, 3);
    assert_eq!(world.take(known).tally, Tally { duplicate: 1, ..Tally::default() });
}

#[test]
fn a_known_prefix_that_was_pruned_is_not_read_again() {
    let mut world = World::new();
    let first: String = (0..5).map(|n| line("A", T + n * 61, 12.0)).collect();
    world.take(delivery("s", first.as_bytes(), T + 300));
    // A later line by another way makes all of the log old.
    world.take(delivery("other", line("A", T + 600, 12.5).as_bytes(), T + 600));
    let policy = crate::RetentionPolicy { keep_per_node: Some(1), keep_days: None };
    let now = Timestamp::from_unix(T + 700);
    block_on(world.repo.prune(&policy, now, crate::PruneMode::Apply)).unwrap();
    let grown = first.clone() + &line("A", T + 661, 12.2);
    let known = Delivery { known_prefix: first.len(), ..delivery("s", grown.as_bytes(), T + 700) };
    assert_eq!(world.take(known).tally, Tally { stored: 1, ..Tally::default() });
}

#[test]
fn an_answer_without_news_only_tells_that_the_source_lives() {
    let mut world = World::new();
    world.take(delivery("s", b"", T));
    let sources = block_on(crate::MeasurementReader::sources(&*world.repo)).unwrap();
    assert_eq!(sources[0].last_success, Some(Timestamp::from_unix(T)));
    assert_eq!(sources[0].tally, Tally::default());
}

#[test]
fn the_read_position_is_stored_with_the_rows() {
    let mut world = World::new();
    let position = ReadPosition("everything up to here".into());
    world.take(Delivery {
        position: Some(position.clone()),
        ..delivery("s", line("A", T, 12.0).as_bytes(), T)
    });
    let positions = block_on(world.repo.read_positions()).unwrap();
    assert_eq!(positions[&SourceId::new("s")], position);
}

#[test]
fn a_wrong_node_clock_is_noted_when_a_run_begins_and_not_again() {
    let mut world = World::new();
    let log = line("A", 129, 12.0);
    let node = NodeId::new("A").unwrap();
    assert_eq!(
        world.take(delivery("s", log.as_bytes(), T)).notes,
        [Note::NodeClockWrong { node, offset: T - 129, basis: Basis::Estimated }]
    );
    let grown = log + &line("A", 190, 12.1);
    assert_eq!(world.take(delivery("s", grown.as_bytes(), T + 61)).notes, []);
}

#[test]
fn the_unset_first_line_after_a_boot_is_no_news() {
    let mut world = World::new();
    let log = [line("A", 99, 12.0), line("A", T, 12.1)].concat();
    assert_eq!(world.take(delivery("s", log.as_bytes(), T + 5)).notes, []);
}

#[test]
fn a_time_in_the_future_does_not_hide_later_data() {
    let mut world = World::new();
    world.take(delivery("s", line("A", T + 31_536_000, 12.0).as_bytes(), T));
    world.take(delivery("s", line("A", T + 61, 12.5).as_bytes(), T + 61));
    let latest = block_on(crate::MeasurementReader::latest(&*world.repo, None)).unwrap();
    assert_eq!(latest[0].measurement.sample.battery_voltage, Some(12.5));
}

#[test]
fn the_first_line_of_another_boot_is_stored_though_it_looks_the_same() {
    let mut world = World::new();
    for boot in 0..3 {
        let start = T + boot * 2 * 86_400;
        let log =
            [line("A", 99, 12.176), line("A", start, 12.1), line("A", start + 61, 12.2)].concat();
        assert_eq!(
            world.take(delivery("s", log.as_bytes(), start + 70)).tally.stored,
            3,
            "boot {boot}"
        );
    }
}

#[test]
fn two_boots_that_begin_alike_in_one_log_are_stored_once() {
    let mut world = World::new();
    let log = [0, 512, 0].map(|reported| line("A", reported, 12.0)).concat();
    assert_eq!(world.take(delivery("A", log.as_bytes(), T)).tally.stored, 3);
    let again = world.take(delivery("A", log.as_bytes(), T)).tally;
    assert_eq!((again.stored, again.duplicate), (0, 3));
}

#[test]
fn a_clock_of_ours_that_most_nodes_contradict_corrects_nothing() {
    let mut world = World::new();
    let ahead = 86_400;
    let dated = |node: &str| Delivery {
        sender_clock: Some(Timestamp::from_unix(T + ahead)),
        ..delivery(node, line(node, T + ahead - 9, 12.0).as_bytes(), T)
    };
    let reports = world.ingest(&[dated("A"), dated("B")]);
    assert_eq!(reports[0].notes, [Note::OwnClockDoubted(Doubt::NodesDisagree { nodes: 2, ahead })]);
    assert_eq!(world.history("A")[0].observed, Timestamp::from_unix(T + ahead - 9));
    assert_eq!(world.history("A")[0].basis, Basis::Node);
}

#[test]
fn a_clock_of_ours_that_was_set_back_is_doubted() {
    let mut world = World::new();
    world.take(delivery("s", line("A", T, 12.0).as_bytes(), T + 5));
    world.restart();
    let back = T - 86_400;
    let report = world.take(delivery("s", line("A", T + 61, 12.1).as_bytes(), back));
    let newest = Timestamp::from_unix(T + 5);
    assert_eq!(report.notes, [Note::OwnClockDoubted(Doubt::BeforeNewestArrival { newest })]);
    assert_eq!(world.history("A")[1].observed, Timestamp::from_unix(T + 61));
}

#[test]
fn a_clock_of_ours_that_once_ran_ahead_makes_no_node_look_alive_for_longer() {
    let mut world = World::new();
    let year = 31_536_000;
    world.take(delivery("s", line("A", T + year, 12.0).as_bytes(), T + year));
    // Now it is right, and a node without a clock is heard.
    world.take(delivery("s", line("B", 129, 12.0).as_bytes(), T));
    assert_eq!(world.history("B")[0].observed, Timestamp::from_unix(T));
}

#[test]
fn a_clock_of_ours_from_before_the_program_was_built_is_doubted() {
    let mut world = World::new();
    let report = world.take(delivery("s", line("A", T, 12.0).as_bytes(), 0));
    assert_eq!(report.notes, [Note::OwnClockDoubted(Doubt::BeforeBuild { built: BUILT })]);
    assert_eq!(world.history("A")[0].observed, Timestamp::from_unix(T));
}

#[test]
fn draining_a_source_confirms_what_is_stored_and_goes_on_after_a_failure() {
    let mut world = World::new();
    let failure = SourceError::Refused {
        from: SourceId::new("http://10.0.0.9/"),
        what: "answered 403".into(),
    };
    let script = [
        Ok(delivery("s", line("A", T, 12.0).as_bytes(), T)),
        Err(failure),
        Ok(delivery("s", line("A", T + 61, 12.1).as_bytes(), T + 61)),
    ];
    let mut source = ScriptedSource::new("script", script);
    let clock = crate::testing::ManualClock::at(Timestamp::from_unix(T + 100));
    let mut failures = Vec::new();
    let tally = block_on(world.collector.drain(&mut source, &clock, |error| {
        failures.push(error.to_string());
    }));
    assert_eq!(tally.unwrap().stored, 2);
    assert_eq!(failures, ["http://10.0.0.9/: answered 403"]);
    assert_eq!(source.confirmed().len(), 2);
    let sources = block_on(crate::MeasurementReader::sources(&*world.repo)).unwrap();
    assert_eq!(sources[0].last_error, Some((Timestamp::from_unix(T + 100), "answered 403".into())));
}

#[test]
fn only_so_many_nodes_may_come_up_within_an_hour() {
    let mut world = World::new();
    world.collector = Collector::new(world.repo.clone(), BUILT).with_new_nodes_per_hour(2);
    let hello = |node: &str, t| delivery("broker", line(node, t, 12.0).as_bytes(), t);
    let reports = world.ingest(&[hello("A", T), hello("B", T), hello("C", T), hello("A", T + 61)]);
    assert_eq!(reports.iter().map(|r| r.tally.stored).collect::<Vec<_>>(), [1, 1, 0, 1]);
    assert_eq!(reports[2].tally.rejected["too many new nodes"], 1);
    assert_eq!(reports[2].notes, [Note::TooManyNewNodes { limit: 2 }]);
    assert_eq!(world.take(hello("C", T + 3_600)).tally.stored, 0);
    assert_eq!(world.take(hello("B", T + 3_600)).tally.stored, 1, "known nodes go on");
    assert_eq!(world.take(hello("C", T + 3_661)).tally.stored, 1, "an hour later");
}

#[test]
fn a_log_is_not_believed_to_name_thousands_of_nodes() {
    let mut world = World::new();
    let log: String = (0..5_000).map(|i| line(&format!("N{i}"), T, 12.0)).collect();
    let report = world.take(delivery("s", log.as_bytes(), T + 5));
    assert_eq!(report.tally.stored, 1_000);
    assert_eq!(report.tally.rejected["too many nodes"], 4_000);
}

#[test]
fn times_at_the_ends_of_what_can_be_written_cost_no_line() {
    let times = [0, 1, T, i64::MAX - 1, i64::MAX];
    let mut world = World::new();
    for (at, [a, b, c]) in times
        .into_iter()
        .flat_map(|a| times.into_iter().flat_map(move |b| times.map(|c| [a, b, c])))
        .enumerate()
    {
        let arrival = T + 61 * i64::try_from(at).unwrap();
        let log = [line("A", a, 12.0), line("A", b, 12.1), line("A", c, 12.2)].concat();
        for date in [None, Some(0), Some(i64::MAX), Some(i64::MIN)] {
            let tally = world
                .take(Delivery {
                    sender_clock: date.map(Timestamp::from_unix),
                    ..delivery("s", log.as_bytes(), arrival)
                })
                .tally;
            assert_eq!(tally.stored + tally.duplicate + tally.conflict, 3, "{log} {date:?}");
        }
    }
}

#[test]
fn no_reported_time_is_too_large_to_be_stored() {
    let mut world = World::new();
    let log = [line("A", i64::MAX, 12.0), line("A", 0, 12.1), line("A", T, 12.2)].concat();
    let report = world.take(Delivery {
        sender_clock: Some(Timestamp::from_unix(T)),
        ..delivery("s", log.as_bytes(), T + 5)
    });
    assert_eq!(report.tally.stored, 3);
    assert!(
        world
            .history("A")
            .iter()
            .all(|row| row.observed.since(Timestamp::from_unix(T)).abs() < 300)
    );
    let again = world.take(delivery("s", line("A", i64::MAX, 12.3).as_bytes(), T + 70));
    assert_eq!(again.tally.stored, 1);
}

/// Fails at once whenever it is asked, a thousand times.
struct AlwaysFailing(SourceId, u32);

#[async_trait::async_trait]
impl NodeSource for AlwaysFailing {
    fn id(&self) -> &SourceId {
        &self.0
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        self.1 += 1;
        let (from, what) = (self.0.clone(), "is away".to_owned());
        if self.1 < 1_000 {
            Err(SourceError::Refused { from, what })
        } else {
            Err(SourceError::Closed { from, what, cause: None })
        }
    }

    async fn confirm(&mut self, _: crate::Receipt) -> Result<(), SourceError> {
        Ok(())
    }
}

#[test]
fn others_run_while_a_source_fails_at_once_again_and_again() {
    let mut world = World::new();
    let clock = crate::testing::ManualClock::at(Timestamp::from_unix(T));
    let mut source = AlwaysFailing(SourceId::new("s"), 0);
    {
        let mut drain = std::pin::pin!(world.collector.drain(&mut source, &clock, drop));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            assert!(drain.as_mut().poll(&mut context).is_pending());
        }
    }
    assert!(source.1 <= 3, "asked {} times while it was polled three times", source.1);
}
