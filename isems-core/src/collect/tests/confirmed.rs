//! What has passed whatever our own clock shows.

use super::*;

const T: i64 = 1_748_768_945;
const YEAR: i64 = 366 * 86_400;

impl World {
    fn surely_passed(&self) -> i64 {
        block_on(self.collector.surely_passed()).unwrap().as_unix()
    }
}

#[test]
fn before_anything_is_heard_the_program_existed() {
    assert_eq!(World::new().surely_passed(), BUILT.as_unix());
}

#[test]
fn a_moment_passed_if_a_node_shows_it_as_our_clock_does() {
    // Lines of a minute ago, by the clock of the node and by ours; with `Date`
    // an hour ago does as well.
    let dated = Delivery {
        sender_clock: Some(Timestamp::from_unix(T + 3)),
        ..delivery("s", line("A", T - 3600, 12.0).as_bytes(), T)
    };
    for delivery in [delivery("s", line("A", T - 60, 12.0).as_bytes(), T), dated] {
        let mut world = World::new();
        world.take(delivery);
        world.restart();
        assert_eq!(world.surely_passed(), T);
    }
}

#[test]
fn what_comes_in_by_a_clock_that_no_node_confirms_says_nothing_of_what_passed() {
    let ahead = T + YEAR;
    let dated = Delivery {
        sender_clock: Some(Timestamp::from_unix(T)),
        ..delivery("s", line("A", T - 60, 12.0).as_bytes(), ahead)
    };
    let undated = delivery("s", line("A", T - 60, 12.0).as_bytes(), ahead);
    let without_clock = delivery("s", line("A", 129, 12.0).as_bytes(), ahead);
    let empty = delivery("s", b"", ahead);
    for delivery in [dated, undated, without_clock, empty] {
        let mut world = World::new();
        world.take(delivery);
        assert_eq!(world.surely_passed(), BUILT.as_unix());
    }
}

#[test]
fn a_clock_that_is_doubted_says_nothing_of_what_passed() {
    // Given one node that shows what our clock shows, and two that do not
    let ahead = T + YEAR;
    let dated = |node: &str, clock: i64| Delivery {
        sender_clock: Some(Timestamp::from_unix(clock)),
        ..delivery(node, line(node, clock - 9, 12.0).as_bytes(), ahead)
    };
    let mut world = World::new();
    world.ingest(&[dated("A", T), dated("B", T), dated("C", ahead)]);
    assert_eq!(world.surely_passed(), BUILT.as_unix());
}
