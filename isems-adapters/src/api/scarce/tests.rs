use tokio::time::{Instant, advance};

use super::{pool::LOOK, *};
use crate::api::settings::ApiLimits;

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
    tokio::time::timeout(limit, scarce.share(amount, &client)).await.ok().map(Result::unwrap)
}

fn is_given_up((client, _): &(Arc<Client>, Share)) -> bool {
    client.is_given_up()
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_for_longest_goes_for_one_who_waits_and_nobody_else() {
    let scarce = scarce(3);
    let mut holders = Vec::from(stalled_with_shares_of([1, 1, 1], &scarce).await);
    holders[0].0.goes_on(1);

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
    holders[2].0.goes_on(1);
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

fn at(address: &str) -> Arc<Client> {
    Arc::new(Client::at(address.parse().unwrap(), &ApiLimits::default()))
}

#[tokio::test(start_paused = true)]
async fn one_address_holds_half_and_who_waits_for_its_half_is_in_nobody_elses_way() {
    for (same, others, most) in [
        ("10.0.0.1", "10.0.0.2", 4),
        ("2001:db8::", "2001:db8:0:1::", 4),
        ("127.0.0.1", "10.0.0.1", 8),
    ] {
        let scarce = scarce(8);
        let mut held = Vec::new();
        let of_one_address = async {
            for _ in 0..20 {
                held.push(scarce.share(1, &at(same)).await.unwrap());
            }
        };
        let minute = Duration::from_mins(1);
        let of_others = async {
            let mut held = Vec::new();
            while let Ok(share) = tokio::time::timeout(minute, scarce.share(1, &at(others))).await {
                held.push(share.unwrap());
            }
            held.len()
        };
        tokio::select! {
            biased;
            () = of_one_address => panic!("{same} got more than there is"),
            count = of_others => assert_eq!(count, 8 - most, "{others}"),
        }
        assert_eq!(held.len(), most, "{same}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_addresss_half_has_those_of_its_address_given_up() {
    let scarce = scarce(4);
    let clients = ["10.0.0.2", "10.0.0.1", "10.0.0.1"].map(at);
    let mut held = Vec::new();
    for client in &clients {
        client.stalls(Instant::now());
        advance(Duration::from_secs(1)).await;
        held.push(scarce.share(1, client).await.unwrap());
    }
    let client = at("10.0.0.1");
    let waits = scarce.share(1, &client);
    assert!(tokio::time::timeout(Duration::from_secs(6), waits).await.is_err());
    assert_eq!(clients.each_ref().map(|client| client.is_given_up()), [false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_single_answer_may_take_more_than_half_but_a_second_one_waits() {
    let (scarce, second) = (scarce(8), Duration::from_secs(1));
    let client = at("10.0.0.1");
    let mut share = scarce.share(1, &client).await.unwrap();
    assert!(share.fits(7));
    let more = scarce.share(1, &client);
    assert!(tokio::time::timeout(second, more).await.is_err(), "its address has its half");
    let mut other = try_for(&scarce, 1, second).await.expect("one is left for others");
    assert!(!share.fits(8) && !other.fits(2), "nothing is free");
    assert!(share.fits(3));
    let mut more = scarce.share(1, &client).await.unwrap();
    assert!(!more.fits(2), "its address has its half");
    assert!(other.fits(4), "what is left is for others");
    drop((share, more));
    assert!(scarce.of_address.lock().unwrap().len() <= 1, "who holds nothing is forgotten");
}

/// Whether a client that takes so many bytes each time, in such intervals, is
/// given up within ten minutes for one that waits.
async fn goes_at(bytes: usize, interval: Duration) -> bool {
    let scarce = scarce(1);
    let client = at("10.0.0.1");
    let _share = scarce.share(1, &client).await.unwrap();
    let takes = async {
        loop {
            client.stalls(Instant::now());
            tokio::time::sleep(interval).await;
            client.goes_on(bytes);
        }
    };
    tokio::select! {
        () = takes => {}
        share = try_for(&scarce, 1, Duration::from_mins(10)) => assert!(share.is_none()),
    }
    client.is_given_up()
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_little_to_ever_end_goes_too_and_who_takes_enough_stays() {
    let second = Duration::from_secs(1);
    assert!(goes_at(1_000, second).await, "a trickle");
    assert!(goes_at(3 * 2_000, 3 * second).await, "a trickle in bursts");
    assert!(!goes_at(4_200, second).await, "just enough");
    assert!(!goes_at(4 * 20_000, 4 * second).await, "steadily, in bursts");
}
