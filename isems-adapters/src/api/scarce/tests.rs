use tokio::time::{Instant, advance};

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn scarce(most: usize) -> Scarce {
    Scarce::new(most, PATIENCE)
}

/// A client that takes nothing, since just now.
fn stalled() -> Arc<Client> {
    let client = Arc::new(Client::default());
    client.stalls(Instant::now());
    client
}

/// As many clients with a share each; one after the other they take nothing.
async fn stalled_with_shares_of<const N: usize>(
    amounts: [usize; N],
    scarce: &Scarce,
) -> [(Arc<Client>, Share); N] {
    let mut all = Vec::new();
    for amount in amounts {
        advance(Duration::from_millis(100)).await;
        let client = stalled();
        let share = scarce.share(amount, &client).await.unwrap();
        all.push((client, share));
    }
    all.try_into().unwrap()
}

/// Tries for a share of `amount` until `limit`.
async fn try_for(scarce: &Scarce, amount: usize, limit: Duration) -> Option<Share> {
    let client = Arc::default();
    timeout(limit, scarce.share(amount, &client)).await.ok().map(Result::unwrap)
}

fn is_given_up((client, _): &(Arc<Client>, Share)) -> bool {
    client.is_given_up()
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_for_longest_goes_for_one_who_waits_and_nobody_else() {
    let scarce = scarce(3);
    let mut holders = Vec::from(stalled_with_shares_of([1, 1, 1], &scarce).await);
    holders[0].0.goes_on();

    let begin = Instant::now();
    let waiting = try_for(&scarce, 1, Duration::from_mins(1));
    let second = Arc::clone(&holders[1].0);
    let ends = async {
        second.given_up().cancelled().await;
        drop(holders.remove(1));
    };
    let (share, ()) = tokio::join!(waiting, ends);

    assert!(share.is_some());
    assert!(begin.elapsed() <= PATIENCE + LOOK, "{:?}", begin.elapsed());
    assert_eq!([&holders[0], &holders[1]].map(is_given_up), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn no_more_go_than_it_takes_however_long_they_need_to_go() {
    let scarce = scarce(4);
    let holders = stalled_with_shares_of([1, 1, 1, 1], &scarce).await;
    assert!(try_for(&scarce, 2, Duration::from_mins(1)).await.is_none(), "they never go");
    assert_eq!(holders.each_ref().map(is_given_up), [true, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_wait_only_the_first_one_has_others_given_up() {
    let scarce = scarce(3);
    let holders = stalled_with_shares_of([1, 1, 1], &scarce).await;
    let first = try_for(&scarce, 1, Duration::from_secs(30));
    let second = try_for(&scarce, 3, Duration::from_secs(20));
    let _ = tokio::join!(first, second);
    assert_eq!(holders.each_ref().map(is_given_up), [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_in_vain() {
    // Given two who take nothing, and one who goes on and holds too much
    let scarce = scarce(4);
    let holders = stalled_with_shares_of([1, 1, 2], &scarce).await;
    holders[2].0.goes_on();
    // When one waits for more than the two have
    assert!(try_for(&scarce, 3, Duration::from_mins(1)).await.is_none());
    // Then they stay
    assert_eq!(holders.each_ref().map(is_given_up), [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_may_stay_while_nobody_waits() {
    let scarce = scarce(2);
    let client = stalled();
    let _share = scarce.share(1, &client).await.unwrap();
    advance(Duration::from_hours(1)).await;
    assert!(try_for(&scarce, 1, Duration::from_mins(1)).await.is_some(), "there is enough");
    assert!(!client.is_given_up());
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_is_not_given_up_however_long_others_wait() {
    let scarce = scarce(1);
    let client = Arc::default();
    let _share = scarce.share(1, &client).await.unwrap();
    assert!(try_for(&scarce, 1, Duration::from_hours(1)).await.is_none());
    assert!(!client.is_given_up());
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_given_back_is_free_again() {
    let scarce = scarce(1);
    for _ in 0..3 {
        assert!(try_for(&scarce, 1, Duration::from_secs(1)).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_is_made_to_fit_as_far_as_something_is_free() {
    let scarce = scarce(10);
    let free = |amount| try_for(&scarce, amount, Duration::from_secs(1));
    let mut share = free(6).await.unwrap();
    assert!(share.fits(2));
    let other = free(8).await.expect("the rest was given back");
    assert!(!share.fits(3), "nothing is free");
    drop(other);
    assert!(share.fits(1_000), "everything is enough");
    assert!(free(1).await.is_none(), "it has everything");
    drop(share);
    assert!(free(10).await.is_some());
}
