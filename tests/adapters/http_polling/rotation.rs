//! After a rotation, what was not yet read is only in the compressed old log.

use std::{sync::Arc, time::Duration};

use isems_adapters::http_polling::HttpPolling;
use isems_core::{Delivery, Framing, NodeSource as _, SourceError, testing::ManualClock};

use super::{
    FakeNode, LOG, NOW, Positions, delivery,
    fake_node::{Act, OLD_LOG},
    file, fixture, gzip, lines, many_rounds, not_modified, poll_from, poll_once, polling,
    remembered, settings, text,
};

/// A node whose log of ten lines was read up to the sixth, and then rotated;
/// with what is remembered of it.
async fn rotated() -> (FakeNode, Positions) {
    let node = FakeNode::with_log(file("new-1", lines(0..6))).await;
    let positions = remembered(&poll_once(&node).await.unwrap());
    node.answer(LOG, file("new-2", lines(10..12)));
    node.answer(OLD_LOG, file("old-1", gzip(lines(0..10))));
    node.forget_requests();
    (node, positions)
}

fn log_is_missing(node: &FakeNode) {
    node.answer(LOG, fixture("http/router_log_404_after_rotation.raw"));
}

fn assert_whole(got: &Delivery) {
    assert_eq!(text(got), lines(0..12));
    assert_eq!(got.known_prefix, lines(0..6).len());
    assert_eq!(got.framing, Framing::Log);
}

#[tokio::test]
async fn a_log_that_began_anew_comes_after_what_the_old_one_still_held() {
    let (node, positions) = rotated().await;
    let got = poll_from(&node, &positions).await.unwrap();
    assert_whole(&got);
    assert_eq!(node.paths(), [LOG, OLD_LOG]);
}

#[tokio::test]
async fn the_new_log_is_remembered_alone_and_the_old_one_by_its_tag() {
    let (node, positions) = rotated().await;
    let got = poll_from(&node, &positions).await.unwrap();
    node.answer(LOG, file("new-3", lines(10..13)));
    let next = poll_from(&node, &remembered(&got)).await.unwrap();
    assert_eq!(text(&next), lines(10..13));
    assert_eq!(next.known_prefix, lines(10..12).len());
    assert_eq!(node.paths(), [LOG, OLD_LOG, LOG]);
    assert!(node.requests()[2].contains("if-none-match: \"new-2\""));
}

#[tokio::test]
async fn a_missing_log_yields_the_old_one() {
    let (node, positions) = rotated().await;
    log_is_missing(&node);
    let got = poll_from(&node, &positions).await.unwrap();
    assert_eq!(text(&got), lines(0..10));
    assert_eq!(got.known_prefix, lines(0..6).len());
    assert!(got.sender_clock.is_some());

    // Still missing: the old log is asked for by its tag, and is no news.
    let stored = remembered(&got);
    node.answer(OLD_LOG, not_modified());
    let still = poll_from(&node, &stored).await.unwrap();
    assert!(still.payload.is_empty());
    assert!(node.requests()[3].contains("if-none-match: \"old-1\""));

    // There again: a new log, whose old one was read.
    node.answer(LOG, file("new-2", lines(10..12)));
    let new = poll_from(&node, &stored).await.unwrap();
    assert_eq!(text(&new), lines(10..12));

    // Or, much later, a newer log yet, with another old one between.
    node.answer(LOG, file("new-3", lines(20..22)));
    node.answer(OLD_LOG, file("old-2", gzip(lines(10..20))));
    let late = poll_from(&node, &stored).await.unwrap();
    assert_eq!(text(&late), lines(10..22));
}

#[tokio::test]
async fn rotation_is_noticed_within_one_run_too() {
    let node = FakeNode::with_log(file("new-1", lines(0..6))).await;
    let mut source = polling(many_rounds(&node.address.to_string()));
    let first = delivery(&mut source).await;
    source.confirm(first.receipt).await.unwrap();
    node.answer(LOG, file("new-2", lines(10..12)));
    node.answer(OLD_LOG, file("old-1", gzip(lines(0..10))));
    assert_whole(&delivery(&mut source).await);
    // Not confirmed: it comes again.
    let again = delivery(&mut source).await;
    assert_whole(&again);
    source.confirm(again.receipt).await.unwrap();
    node.answer(LOG, not_modified());
    assert!(delivery(&mut source).await.payload.is_empty());
}

#[tokio::test]
async fn the_first_log_of_an_unknown_node_needs_no_old_one() {
    let (node, _) = rotated().await;
    let got = poll_once(&node).await.unwrap();
    assert_eq!(text(&got), lines(10..12));
    assert_eq!(node.paths(), [LOG]);
}

#[tokio::test]
async fn a_log_lost_in_a_reboot_has_no_old_one_and_goes_ahead() {
    let (node, positions) = rotated().await;
    node.answer(OLD_LOG, fixture("http/router_log_404_after_rotation.raw"));
    let got = poll_from(&node, &positions).await.unwrap();
    assert_eq!(text(&got), lines(10..12));
    node.forget_requests();
    poll_from(&node, &remembered(&got)).await.unwrap();
    assert_eq!(node.paths(), [LOG], "asked for once");
}

#[tokio::test]
async fn neither_log_nor_old_log_is_an_error() {
    let node = FakeNode::start().await;
    let error = poll_once(&node).await.unwrap_err();
    assert!(matches!(error, SourceError::Refused { .. }), "{error:?}");
    let said = "answered 404 Not Found: no log at this address";
    assert_eq!(error.describe(), said);
    assert_eq!(node.paths(), [LOG, OLD_LOG]);
}

#[tokio::test]
async fn an_esp32_is_never_asked_for_an_old_log() {
    let node = FakeNode::start().await;
    let mut source = polling(settings(&node.url("/csv.log")));
    super::next(&mut source).await.unwrap_err();
    assert_eq!(node.paths(), ["/csv.log"]);
}

#[tokio::test]
async fn an_old_log_that_cannot_be_read_yet_does_not_hold_up_the_new_one() {
    let whole = gzip(lines(0..10));
    let forbidden = fixture("http/router_race_403.raw");
    let half_written = file("half", &whole[..whole.len() / 2]);
    let mut broken_off = file("old-1", &whole);
    broken_off.truncate(broken_off.len() - 20);
    for failure in [forbidden, half_written, broken_off] {
        let (node, positions) = rotated().await;
        node.answer(OLD_LOG, failure);
        let got = poll_from(&node, &positions).await.unwrap();
        assert_eq!(text(&got), lines(10..12));

        // Next round it is asked for again, and both are read in their order.
        node.answer(OLD_LOG, file("old-1", &whole));
        let positions = remembered(&got);
        node.forget_requests();
        let both = poll_from(&node, &positions).await.unwrap();
        assert_eq!(text(&both), lines(0..12));
        assert_eq!(node.paths(), [OLD_LOG, LOG]);
        assert!(!node.requests()[1].contains("if-none-match"));

        // And then no more.
        node.forget_requests();
        node.answer(LOG, not_modified());
        let last = poll_from(&node, &remembered(&both)).await.unwrap();
        assert!(last.payload.is_empty());
        assert_eq!(node.paths(), [LOG]);
    }
}

#[tokio::test]
async fn while_an_old_log_cannot_be_read_the_new_one_is_not_sent_again_and_again() {
    let (node, positions) = rotated().await;
    let forbidden = fixture("http/router_race_403.raw");
    node.answer(OLD_LOG, forbidden);
    let positions = remembered(&poll_from(&node, &positions).await.unwrap());

    node.answer(LOG, not_modified());
    let still = poll_from(&node, &positions).await.unwrap();
    assert!(still.payload.is_empty());

    // There is none after all: that is remembered without a new log.
    node.answer(OLD_LOG, fixture("http/router_log_404_after_rotation.raw"));
    let positions = remembered(&poll_from(&node, &remembered(&still)).await.unwrap());
    node.forget_requests();
    poll_from(&node, &positions).await.unwrap();
    assert_eq!(node.paths(), [LOG]);
}

/// What a poll brings so many seconds after [`NOW`], by our clock, after a restart.
async fn poll_at(
    node: &FakeNode,
    positions: &Positions,
    seconds: i64,
) -> Result<Delivery, SourceError> {
    let clock = Arc::new(ManualClock::at(NOW.plus(seconds)));
    let settings = settings(&node.address.to_string());
    let mut source = HttpPolling::new(settings, positions, clock).unwrap();
    super::next(&mut source).await.map(|delivery| delivery.expect("a result"))
}

/// A log that has just gone, of which nothing is left but an old one that is read.
async fn just_rotated() -> (FakeNode, Positions) {
    let (node, positions) = rotated().await;
    log_is_missing(&node);
    let positions = remembered(&poll_at(&node, &positions, 0).await.unwrap());
    node.answer(OLD_LOG, not_modified());
    (node, positions)
}

const QUARTER_HOUR: i64 = 900;
const YEAR: i64 = 365 * 86_400;

#[tokio::test]
async fn a_log_that_stays_missing_is_an_error_until_it_is_there_again() {
    let (node, positions) = just_rotated().await;

    for round in 1..=2 {
        let error = poll_at(&node, &positions, round * QUARTER_HOUR).await.unwrap_err();
        assert!(error.describe().contains("no log at this address"), "{round}: {error}");
    }

    node.answer(LOG, file("new-2", lines(10..12)));
    let there = poll_at(&node, &positions, 3 * QUARTER_HOUR).await.unwrap();
    log_is_missing(&node);
    let next = poll_at(&node, &remembered(&there), 4 * QUARTER_HOUR).await;
    assert!(next.is_ok(), "the next rotation");
}

#[tokio::test]
async fn a_rotation_may_take_three_minutes_however_often_it_is_polled() {
    let (node, mut positions) = just_rotated().await;

    for seconds in (10..=180).step_by(10) {
        let still = poll_at(&node, &positions, seconds).await.unwrap();
        assert!(still.payload.is_empty());
        positions = remembered(&still);
    }

    let error = poll_at(&node, &positions, 181).await.unwrap_err();
    assert!(error.describe().contains("no log at this address"), "{error}");
}

#[tokio::test]
async fn each_rotation_has_its_own_three_minutes() {
    // Given a log that was missing, and is there again without news
    let (node, positions) = just_rotated().await;
    node.answer(LOG, file("new-2", lines(10..12)));
    let there = poll_at(&node, &positions, 60).await.unwrap();
    log_is_missing(&node);
    let missing = poll_at(&node, &remembered(&there), QUARTER_HOUR).await.unwrap();
    node.answer(LOG, not_modified());
    let again = poll_at(&node, &remembered(&missing), QUARTER_HOUR + 60).await.unwrap();

    log_is_missing(&node);
    let first = poll_at(&node, &remembered(&again), 2 * QUARTER_HOUR).await.unwrap();
    let second = poll_at(&node, &remembered(&first), 2 * QUARTER_HOUR + 180).await.unwrap();

    assert!(poll_at(&node, &remembered(&second), 2 * QUARTER_HOUR + 181).await.is_err());
}

#[tokio::test]
async fn a_clock_that_is_set_back_neither_makes_a_rotation_a_failure_nor_hides_one_for_long() {
    let (node, positions) = just_rotated().await;

    let after = poll_at(&node, &positions, 30 - YEAR).await.unwrap();

    let still = poll_at(&node, &remembered(&after), 210 - YEAR).await.unwrap();
    assert!(poll_at(&node, &remembered(&still), 211 - YEAR).await.is_err());
}

#[tokio::test]
async fn a_missing_log_whose_old_one_cannot_be_read_is_an_error_and_nothing_is_forgotten() {
    let (node, positions) = rotated().await;
    log_is_missing(&node);
    node.answer(OLD_LOG, fixture("http/router_race_403.raw"));
    let error = poll_from(&node, &positions).await.unwrap_err();
    assert!(error.describe().contains("403 Forbidden"), "{error}");

    node.answer(LOG, file("new-2", lines(10..12)));
    node.answer(OLD_LOG, file("old-1", gzip(lines(0..10))));
    assert_whole(&poll_from(&node, &positions).await.unwrap());
}

#[tokio::test]
async fn what_is_no_old_log_is_ignored_and_not_asked_for_again() {
    let page = fixture("http/router_html.raw");
    let packed_page = file("2", gzip("<h1>Not a log</h1>\n"));
    let damaged = {
        let mut packed = gzip(lines(0..10));
        let at = packed.len() - 6;
        packed[at] ^= 0xff;
        file("3", packed)
    };
    for unusable in [page, packed_page, damaged] {
        let (node, positions) = rotated().await;
        node.answer(OLD_LOG, unusable);
        let got = poll_from(&node, &positions).await.unwrap();
        assert_eq!(text(&got), lines(10..12));
        node.forget_requests();
        poll_from(&node, &remembered(&got)).await.unwrap();
        assert_eq!(node.paths(), [LOG]);
    }
}

#[tokio::test]
async fn a_compressed_bomb_is_ignored() {
    let (node, positions) = rotated().await;
    let line_of_zeros = vec![b'0'; 4_000_000];
    let packed = gzip(&line_of_zeros);
    assert!(packed.len() < 50_000);
    node.answer(OLD_LOG, file("bomb", packed));
    let mut settings = settings(&node.address.to_string());
    settings.body_limit = 100_000;
    let got = delivery(&mut super::resumed(settings, &positions)).await;
    assert_eq!(text(&got), lines(10..12));
}

#[tokio::test]
async fn the_torn_end_of_an_old_log_is_not_glued_to_the_new_one() {
    let (node, positions) = rotated().await;
    let torn = lines(0..10) + "Dach;1;17954";
    node.answer(OLD_LOG, file("old-1", gzip(torn)));
    assert_whole(&poll_from(&node, &positions).await.unwrap());
}

#[tokio::test]
async fn a_new_log_that_breaks_off_still_brings_the_old_one() {
    let (node, positions) = rotated().await;
    let mut broken = file("new-2", lines(10..13));
    broken.truncate(broken.len() - 30);
    node.answer(LOG, broken);
    let got = poll_from(&node, &positions).await.unwrap();
    assert_eq!(got.framing, Framing::Cut);
    assert!(text(&got).starts_with(&lines(0..12)));
    assert_eq!(got.known_prefix, lines(0..6).len());
}

#[tokio::test]
async fn an_old_log_that_hangs_does_not_cost_the_new_one() {
    let (node, positions) = rotated().await;
    node.answer(OLD_LOG, vec![Act::Rest(Duration::from_mins(1))]);
    let mut settings = settings(&node.address.to_string());
    settings.timeout = Duration::from_millis(1500);
    let got = delivery(&mut super::resumed(settings, &positions)).await;
    assert_eq!(text(&got), lines(10..12));
}
