//! A broker that is away for longer than the keep-alive of 30 s: it says nothing
//! any more though the link stands, or it is gone.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    serve::{collector, subscribed},
    support::{Broker, Isems, Message, Running, of_a_fleet, told_by, within},
};

/// So long after a client's last word a broker gives it up: one and a half
/// times the keep-alive, and a little.
const LONGER: Duration = Duration::from_secs(48);

/// The link is tested each 30 s, and given up when the next test is due and the
/// last was not answered. Some of it for a busy machine.
const NOTICED: Duration = Duration::from_secs(80);

/// Attempts to connect come to be up to a minute apart, and a broker that does
/// not answer costs each of them 20 s.
const BACK: Duration = Duration::from_mins(2);

fn messages(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(of_a_fleet).collect()
}

/// The same with each version of MQTT, at once: most of it is waiting.
fn with_each_protocol(case: fn(&str)) {
    thread::scope(|scope| {
        let cases = ["5", "3.1.1"].map(|protocol| scope.spawn(move || case(protocol)));
        for case in cases {
            case.join().unwrap();
        }
    });
}

#[track_caller]
fn assert_came_back(serving: &Running, isems: &Isems, told: usize) {
    within(BACK, "every message", || (isems.database().count() >= told).then_some(()));
    isems.database().assert_holds_once(told_by(&messages(0..told)));
    let log = serving.log();
    let connected = log.matches("connected to MQTT broker").count();
    assert!(connected >= 2 && log.contains("(resumed session)"), "{log}");
}

#[test]
fn a_broker_that_says_nothing_any_more_is_left_by_itself_and_costs_nothing() {
    with_each_protocol(|protocol| {
        let broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let mut node = broker.patient_publisher(BACK);

        // When it stops in the middle of its work, and a node goes on
        node.publish(&messages(0..60));
        broker.signal("STOP");
        let stopped = Instant::now();
        let node = thread::spawn(move || node.publish(&messages(60..120)));

        // Then that is noticed though the link stands
        let told = within(NOTICED, "the loss in the log", || {
            let log = serving.log();
            log.lines().find(|line| line.contains("cannot be used")).map(str::to_owned)
        });
        assert!(told.contains("does not answer any more"), "{told}");

        // And when it goes on, so does the intake
        thread::sleep(LONGER.saturating_sub(stopped.elapsed()));
        broker.signal("CONT");
        node.join().unwrap();
        broker.publish(&messages(120..180));
        assert_came_back(&serving, &isems, 180);
    });
}

#[test]
fn a_broker_that_is_gone_for_longer_than_the_keep_alive_costs_nothing() {
    with_each_protocol(|protocol| {
        let mut broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);

        broker.publish(&messages(0..60));
        broker.stop();
        thread::sleep(LONGER);
        assert!(serving.log().contains("cannot be used"), "{}", serving.log());
        broker.run();
        broker.publish(&messages(60..120));

        assert_came_back(&serving, &isems, 120);
    });
}
