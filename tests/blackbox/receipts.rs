//! What was delivered and is not acknowledged comes again: it is known, and what
//! it once came with is worth nothing any more.

use crate::{
    faults::{Fault, Preload},
    serve::{both_protocols, collector, source, subscribed},
    support::{
        Broker, Isems, Link, Message, Running, eventually, of_a_fleet, told_by,
        wait_for_another_second,
    },
};

/// Telemetry of one node, each message another.
fn telemetry(count: usize) -> Vec<Message> {
    let message = |i| ("/isems/Wetter/data.json".to_owned(), of_a_fleet(6 * i + 4).1);
    (0..count).map(message).collect()
}

/// As many messages of one node as a broker of MQTT 5 may have unacknowledged.
const WINDOW: usize = 512;

/// A collector that has stored a whole window of telemetry, and whose
/// acknowledgements were lost on the way.
fn a_window_in_vain() -> (Broker, Link, Isems, Running) {
    let broker = Broker::start();
    let link = Link::to(&broker);
    let isems = collector(&broker, "5").set("MQTT_SERVER", &link.address());
    let serving = subscribed(&isems, &broker);
    link.lose_what_the_collector_says();
    broker.publish(&telemetry(WINDOW));
    isems.database().wait_for_rows(WINDOW);
    wait_for_another_second();
    assert_eq!(broker.acknowledgements(), 0);
    (broker, link, isems, serving)
}

#[track_caller]
fn assert_all_is_known(isems: &Isems, serving: &Running, broker: &Broker, link: &Link) {
    eventually("every message acknowledged", || {
        (broker.acknowledgements() >= WINDOW).then_some(())
    });
    let shown = source(serving, &format!("mqtt://{}", link.address()));
    let counts = [&shown["stored"], &shown["duplicate"]].map(|count| count.as_u64().unwrap());
    assert_eq!(counts, [WINDOW, WINDOW].map(|count| count as u64), "{shown}");
    isems.database().assert_holds_once(told_by(&telemetry(WINDOW)));
}

#[test]
fn a_whole_window_of_telemetry_is_known_when_the_link_broke() {
    let (broker, link, isems, serving) = a_window_in_vain();
    link.break_and_mend();
    assert_all_is_known(&isems, &serving, &broker, &link);
}

#[test]
fn a_whole_window_of_telemetry_is_known_when_power_failed() {
    let (broker, link, isems, serving) = a_window_in_vain();
    serving.kill();
    link.break_and_mend();
    let serving = isems.serve();
    assert_all_is_known(&isems, &serving, &broker, &link);
}

both_protocols! {
    fn a_receipt_of_an_earlier_connection_is_never_acknowledged(protocol) {
        const MESSAGES: usize = 10;
        let messages: Vec<Message> = (0..MESSAGES).map(of_a_fleet).collect();
        // Given messages in hand that cannot be stored
        let broker = Broker::start();
        let link = Link::to(&broker);
        let isems = collector(&broker, protocol)
            .set("MQTT_SERVER", &link.address())
            .set("ISEMS_COMMIT_INTERVAL", "300ms");
        let (isems, preload) = Preload::before(isems, None);
        let serving = subscribed(&isems, &broker);
        preload.begin(Fault::FULL);
        broker.publish(&messages);
        serving.wait_for_log("cannot store what nodes sent");

        // When the link breaks, and the broker sends them again
        link.break_and_mend();
        eventually("all messages again", || (broker.sent_again() >= MESSAGES).then_some(()));
        assert_eq!(broker.acknowledgements(), 0, "nothing is stored yet");
        preload.end();

        // Then each is stored and acknowledged once, by what it came with last
        eventually("all acknowledged, and those that were in hand known", || {
            let shown = source(&serving, &format!("mqtt://{}", link.address()));
            let known = shown["duplicate"].as_u64() > Some(0);
            (known && broker.acknowledgements() >= MESSAGES).then_some(())
        });
        serving.stop().expect(0);
        assert_eq!(broker.acknowledgements(), MESSAGES, "{}", broker.log());
        isems.database().assert_holds_once(told_by(&messages));
    }
}
