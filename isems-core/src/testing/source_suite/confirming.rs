//! What a receipt does: it lets the source forget one delivery, and no other.

use super::{
    SourceUnderTest,
    caller::{Caller, Interruption, LINE, NEXT, brings},
};

/// So often something may come again that was confirmed: a confirmation can be
/// lost on its way.
const LOST_CONFIRMATIONS: usize = 8;

pub(super) async fn what_is_not_confirmed_comes_again_when_opened_again(
    fresh: &mut dyn SourceUnderTest,
) {
    comes_again(fresh, Interruption::Restart).await;
}

pub(super) async fn what_is_not_confirmed_comes_again_over_the_next_link(
    fresh: &mut dyn SourceUnderTest,
) {
    comes_again(fresh, Interruption::BrokenLink).await;
}

pub(super) async fn what_is_confirmed_comes_no_more_when_opened_again(
    fresh: &mut dyn SourceUnderTest,
) {
    comes_no_more(fresh, Interruption::Restart).await;
}

pub(super) async fn what_is_confirmed_comes_no_more_over_the_next_link(
    fresh: &mut dyn SourceUnderTest,
) {
    comes_no_more(fresh, Interruption::BrokenLink).await;
}

pub(super) async fn a_receipt_confirms_nothing_that_came_before(fresh: &mut dyn SourceUnderTest) {
    one_of_two_is_confirmed(fresh, Confirmed::Second).await;
}

pub(super) async fn a_receipt_confirms_nothing_that_came_after(fresh: &mut dyn SourceUnderTest) {
    one_of_two_is_confirmed(fresh, Confirmed::First).await;
}

async fn comes_again(fresh: &mut dyn SourceUnderTest, interruption: Interruption) {
    fresh.offer(LINE).await;
    let mut caller = Caller::open(fresh).await;
    caller.take(LINE).await;
    // Gives one that was wrongly sent its time.
    caller.until_marker(&[LINE]).await;
    let mut caller = caller.interrupted(interruption).await;
    caller.expect_again(LINE).await;
}

async fn comes_no_more(fresh: &mut dyn SourceUnderTest, interruption: Interruption) {
    fresh.offer(LINE).await;
    let mut caller = Caller::open(fresh).await;
    let line = caller.take(LINE).await;
    caller.confirm(&line).await;
    for _ in 0..LOST_CONFIRMATIONS {
        // Gives the confirmation its time.
        caller.until_marker(&[]).await;
        caller = caller.interrupted(interruption).await;
        let came = caller.until_marker(&[]).await;
        if !came.iter().any(|delivery| brings(delivery, LINE)) {
            return;
        }
    }
    panic!(
        "what was confirmed came again {LOST_CONFIRMATIONS} times, and was confirmed each time: \
         `confirm` does nothing"
    );
}

#[derive(Clone, Copy)]
enum Confirmed {
    First,
    Second,
}

async fn one_of_two_is_confirmed(fresh: &mut dyn SourceUnderTest, which: Confirmed) {
    fresh.offer(LINE).await;
    let mut caller = Caller::open(fresh).await;
    let first = caller.take(LINE).await;
    caller.world.offer_from_another_node(NEXT).await;
    let second = caller.take(NEXT).await;
    let (confirmed, left) = match which {
        Confirmed::First => (first, NEXT),
        Confirmed::Second => (second, LINE),
    };
    caller.confirm(&confirmed).await;
    if brings(&confirmed, left) {
        // The one log that grows: its second delivery holds the first.
        return;
    }
    // Gives the confirmation its time.
    caller.until_marker(&[LINE, NEXT]).await;
    for interruption in [Interruption::BrokenLink, Interruption::Restart] {
        caller = caller.interrupted(interruption).await;
        caller.expect_again(left).await;
    }
}
