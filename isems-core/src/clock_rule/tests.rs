#![expect(clippy::single_range_in_vec_init, reason = "a table of stretches")]

use super::*;

const ARRIVAL: Timestamp = Timestamp::from_unix(1_748_770_000);

fn times(reported: &[i64]) -> Vec<Timestamp> {
    reported.iter().copied().map(Timestamp::from_unix).collect()
}

fn run(offset: i64, basis: Basis, first: i64, last: i64) -> ClockRun {
    ClockRun {
        offset,
        basis,
        first_reported: Timestamp::from_unix(first),
        last_reported: Timestamp::from_unix(last),
        guessed: false,
    }
}

fn here() -> Circumstances {
    Circumstances { arrival: ARRIVAL, sender_clock: None, retained: false, doubted: None }
}

fn with_date(date: i64) -> Circumstances {
    Circumstances { sender_clock: Some(Timestamp::from_unix(date)), ..here() }
}

/// The fate of a last stretch of unknown lines of a node without runs.
fn last(reported: &[i64], circumstances: &Circumstances) -> Fate {
    let fates = decide(
        &times(reported),
        &vec![None; reported.len()],
        &[],
        None,
        Place::Free,
        circumstances,
    );
    assert!(fates.iter().all(|fate| *fate == fates[0]), "{fates:?}");
    fates[0]
}

/// The same of an earlier stretch.
fn earlier(reported: &[i64], next: Next) -> Fate {
    decide(&times(reported), &vec![None; reported.len()], &[], Some(next), Place::Free, &here())[0]
}

const fn begins(offset: i64, basis: Basis) -> Fate {
    Fate::Begins { offset, basis }
}

#[test]
fn stretches_end_at_clock_steps() {
    let now = 1_748_770_000;
    for (reported, expected) in [
        (&[][..], &[][..]),
        (&[now], &[0..1]),
        (&[99, now, now + 61], &[0..1, 1..3]),
        (&[now, now - 60], &[0..2]),
        (&[now, now - 61], &[0..1, 1..2]),
        (&[now, now + 86_400], &[0..2]),
        (&[now, now + 86_401], &[0..1, 1..2]),
        (&[1, 2, now, 3, 4], &[0..2, 2..3, 3..5]),
        (&[0, 1_000_000_000_000_000, 0], &[0..1, 1..2, 2..3]),
    ] {
        assert_eq!(stretches(&times(reported)), expected, "{reported:?}");
    }
}

#[test]
fn times_farther_apart_than_any_number_do_not_follow_each_other() {
    for (first, last, follows) in [
        (i64::MIN, 1, false),
        (i64::MIN, i64::MAX, false),
        (i64::MAX, i64::MIN, false),
        (i64::MIN, i64::MIN + 86_400, true),
        (0, -86_401, false),
    ] {
        let first_observed = Timestamp::from_unix(first);
        let next = Next { first_observed, basis: Basis::Node, interval: None };
        assert_eq!(next.may_follow(Timestamp::from_unix(last)), follows, "{first} {last}");
    }
}

#[test]
fn times_before_2016_and_more_than_ten_minutes_ahead_are_impossible() {
    for (reported, possible) in [
        (0, false),
        (99, false),
        (123_456_789, false),
        (1_451_606_399, false),
        (1_451_606_400, true),
        (1_534_377_630, true),
        (ARRIVAL.as_unix() + 600, true),
        (ARRIVAL.as_unix() + 601, false),
    ] {
        assert_eq!(here().is_possible(Timestamp::from_unix(reported)), possible, "{reported}");
    }
}

#[test]
fn a_doubted_clock_of_ours_refuses_no_time_of_a_node() {
    let doubted =
        Circumstances { doubted: Some(Guess { present: ARRIVAL, is_agreed: false }), ..here() };
    assert!(doubted.is_possible(ARRIVAL.plus(86_400)));
    assert!(!doubted.is_possible(Timestamp::from_unix(99)));
}

#[test]
fn a_last_stretch_begins_a_run_by_what_is_known_of_its_clock() {
    let now = ARRIVAL.as_unix();
    let year = 31_536_000;
    for (why, reported, circumstances, fate) in [
        ("possible: believed", &[now - 70, now - 9][..], here(), begins(0, Basis::Node)),
        ("old but possible: believed", &[now - year], here(), begins(0, Basis::Node)),
        (
            "since boot: counted from arrival",
            &[129, 190],
            here(),
            begins(now - 190, Basis::Estimated),
        ),
        (
            "in the future: counted from arrival",
            &[now + year],
            here(),
            begins(-year, Basis::Estimated),
        ),
        (
            "Date near ours says nothing new",
            &[now - 9],
            with_date(now - 300),
            begins(0, Basis::Node),
        ),
        (
            "Date tells the offset",
            &[now + year - 9],
            with_date(now + year),
            begins(-year, Basis::Corrected),
        ),
        (
            "Date since boot tells the offset",
            &[129],
            with_date(200),
            begins(now - 200, Basis::Corrected),
        ),
        ("Date right, line before NTP", &[99], with_date(now), begins(now - 99, Basis::Estimated)),
        (
            "Date wrong, line before that was set",
            &[99],
            with_date(now + 3_600),
            begins(now - 99, Basis::Estimated),
        ),
        (
            "a line ahead of its node's Date",
            &[now + year],
            with_date(now - 1_000),
            begins(-year, Basis::Estimated),
        ),
    ] {
        assert_eq!(last(reported, &circumstances), fate, "{why}");
    }
}

#[test]
fn an_earlier_stretch_ends_one_interval_before_the_next() {
    let next = |basis, interval| Next { first_observed: ARRIVAL, basis, interval };
    let now = ARRIVAL.as_unix();
    for (why, reported, next, fate) in [
        (
            "own median",
            &[10, 25, 40][..],
            next(Basis::Node, Some(61)),
            begins(now - 55, Basis::Corrected),
        ),
        ("the next one's", &[99], next(Basis::Node, Some(15)), begins(now - 114, Basis::Corrected)),
        ("the usual", &[99], next(Basis::Node, None), begins(now - 160, Basis::Corrected)),
        (
            "possible but moved",
            &[1_534_377_630],
            next(Basis::Node, None),
            begins(now - 61 - 1_534_377_630, Basis::Corrected),
        ),
        (
            "possible before a clock that is not",
            &[now - 900],
            next(Basis::Estimated, None),
            begins(0, Basis::Node),
        ),
        (
            "impossible before a clock that is not",
            &[99],
            next(Basis::Estimated, None),
            begins(now - 160, Basis::Corrected),
        ),
    ] {
        assert_eq!(earlier(reported, next), fate, "{why}");
    }
}

#[test]
fn new_lines_take_the_run_of_the_known_line_before_them_else_after() {
    let runs = [run(1_000, Basis::Estimated, 1, 500), run(2_000, Basis::Estimated, 501, 900)];
    let known = [None, Some(0), None, Some(1), None];
    let fates =
        decide(&times(&[100, 161, 222, 600, 661]), &known, &runs, None, Place::Free, &here());
    assert_eq!(
        fates,
        [
            Fate::Continues(0),
            Fate::Known(0),
            Fate::Continues(0),
            Fate::Known(1),
            Fate::Continues(1)
        ]
    );
}

#[test]
fn a_last_stretch_without_known_lines_continues_the_newest_run_or_not() {
    let runs = [
        run(0, Basis::Node, 1_748_000_000, 1_748_600_000),
        run(1_748_700_000, Basis::Estimated, 5, 1_000),
    ];
    for (first, continues) in
        [(1_001, true), (87_400, true), (87_401, false), (940, true), (939, false), (5, false)]
    {
        // Late enough that nothing would lie in the future.
        let circumstances =
            Circumstances { arrival: Timestamp::from_unix(1_748_800_000), ..here() };
        let fate = decide(&times(&[first]), &[None], &runs, None, Place::Free, &circumstances)[0];
        assert_eq!(fate == Fate::Continues(1), continues, "{first}: {fate:?}");
    }
}

#[test]
fn lines_that_would_lie_in_the_future_begin_a_run() {
    let now = ARRIVAL.as_unix();
    let runs = [run(now - 1_000, Basis::Estimated, 5, 1_000)];
    for (newest, fate) in
        [(1_600, Fate::Continues(0)), (1_601, begins(now - 1_601, Basis::Estimated))]
    {
        let fates =
            decide(&times(&[1_000, newest]), &[Some(0), None], &runs, None, Place::Free, &here());
        assert_eq!(fates, [Fate::Known(0), fate], "{newest}");
    }
}

#[test]
fn lines_whose_clock_has_left_the_run_begin_another() {
    let now = ARRIVAL.as_unix();
    for (offset, date, continues) in [
        (0, now - 300, true),
        (0, now - 301, false),
        (5_000, now - 5_060, true),
        (5_000, now - 5_061, false),
        (-31_536_000, now, false),
    ] {
        let reported = now - offset - 61;
        let runs = [run(offset, Basis::Corrected, reported, reported)];
        let fates = decide(
            &times(&[reported, reported + 61]),
            &[Some(0), None],
            &runs,
            None,
            Place::Free,
            &with_date(date),
        );
        assert_eq!(
            fates[1] == Fate::Continues(0),
            continues,
            "offset {offset}, Date {}: {fates:?}",
            date - now
        );
    }
}

#[test]
fn lines_from_before_a_clock_was_set_continue_the_run_of_that_time() {
    let now = ARRIVAL.as_unix();
    for (why, date, continues) in [
        ("set right", now, true),
        ("set wrong", now + 3_600, true),
        ("set to half a day after the line", 1_534_377_600 + 43_200, false),
    ] {
        let runs = [run(now - 70 - 1_534_377_600, Basis::Corrected, 1_534_377_600, 1_534_377_600)];
        let reported = times(&[1_534_377_600, 1_534_377_661]);
        let here = with_date(date);
        let fates = decide(&reported, &[Some(0), None], &runs, None, Place::Free, &here);
        assert_eq!(fates[1] == Fate::Continues(0), continues, "{why}: {fates:?}");
    }
}

#[test]
fn a_doubted_clock_of_ours_corrects_nothing() {
    let now = ARRIVAL.as_unix();
    let doubted = Circumstances {
        doubted: Some(Guess { present: ARRIVAL, is_agreed: false }),
        ..with_date(now + 86_400)
    };
    assert_eq!(last(&[now + 86_390], &doubted), begins(0, Basis::Node));
    let runs = [run(0, Basis::Node, now, now)];
    let fates = decide(&times(&[now + 1_000]), &[None], &runs, None, Place::Free, &doubted);
    assert_eq!(fates, [Fate::Continues(0)]);
}

#[test]
fn a_retained_message_is_never_counted_from_arrival() {
    let now = ARRIVAL.as_unix();
    let retained = Circumstances { retained: true, ..here() };
    let runs = [run(now - 200, Basis::Estimated, 5, 100)];
    let fates = decide(
        &times(&[90, 150, now - 9]),
        &[Some(0), None, None],
        &runs,
        None,
        Place::Free,
        &retained,
    );
    assert_eq!(fates, [Fate::Known(0), Fate::Refused, begins(0, Basis::Node)]);
}

#[test]
fn a_run_is_continued_by_what_is_known_of_the_present() {
    let now = ARRIVAL.as_unix();
    let guess = |present: i64, is_agreed| Circumstances {
        doubted: Some(Guess { present: Timestamp::from_unix(present), is_agreed }),
        ..here()
    };
    let day = 86_400;
    let guessed = ClockRun { guessed: true, ..run(now - day - 100, Basis::Estimated, 100, 100) };
    let known = ClockRun { guessed: false, ..guessed };
    let ahead = run(now + day - 100, Basis::Corrected, 100, 100);
    for (run, circumstances, continues) in [
        (known, here(), true),
        (guessed, here(), false),
        (ClockRun { offset: now - 280 - 100, ..guessed }, here(), true),
        (guessed, guess(now, false), true),
        (ahead, here(), false),
        (ahead, guess(now, false), true),
        (ahead, guess(now, true), false),
        (ahead, guess(now + day, true), true),
    ] {
        let fates = decide(&times(&[161]), &[None], &[run], None, Place::Free, &circumstances);
        assert_eq!(fates[0] == Fate::Continues(0), continues, "{run:?} {circumstances:?}");
    }
}

#[test]
fn a_line_from_before_the_clock_was_set_is_told_from_a_stale_one() {
    let now = ARRIVAL.as_unix();
    let (set, unset) = (with_date(now), here());
    let known = |last: i64| [run(0, Basis::Node, last - 600, last)];
    let build_date = 1_534_377_600;
    let counted = begins(now - build_date, Basis::Estimated);
    let stale = begins(0, Basis::Node);
    for (reported, runs, circumstances, expected) in [
        (build_date, known(now - 90), &set, counted),
        // Nothing later is known of it, or not that its clock was set since.
        (build_date, known(build_date - 900), &set, stale),
        (build_date, known(now - 90), &unset, stale),
        // The log stands still for days.
        (now - 3 * 86_400, known(now - 3 * 86_400 - 90), &set, stale),
    ] {
        let fates = decide(&times(&[reported]), &[None], &runs, None, Place::Taken, circumstances);
        assert_eq!(fates[0], expected, "{reported} {runs:?}");
    }
}
