//! Nothing that the broker accepted is lost, and nothing is acknowledged too
//! early.

use std::time::Duration;

use isems_adapters::mqtt::Protocol;
use isems_core::{Delivery, NodeSource};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    broker::Mosquitto,
    support::{
        address, both_protocols, deliveries_until_marker, numbered, payloads, ready, settings,
        start, subscribed, take, take_confirmed, until_marker,
    },
};

both_protocols! {
    async fn only_what_was_not_confirmed_comes_again(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;
        broker.publish(numbered(3)).await;
        let taken = [
            take(&mut subscription).await,
            take(&mut subscription).await,
            take(&mut subscription).await,
        ];
        for index in [2, 0] {
            subscription.confirm(taken[index].receipt).await.expect("confirmed");
        }
        subscription.close().await;

        let mut subscription = start(settings(&address(&broker), protocol));
        let again = take(&mut subscription).await;
        subscription.confirm(again.receipt).await.expect("confirmed");

        assert_eq!(again.payload, b"1");
        assert!(again.redelivered);
        assert_eq!(until_marker(&mut subscription, &broker).await, [""; 0]);
    }
}

both_protocols! {
    async fn what_queues_while_the_collector_is_away_arrives_in_order(protocol) {
        let broker = Mosquitto::start().await;
        subscribed(&broker, protocol).await.close().await;

        broker.publish(numbered(1500)).await;
        let mut subscription = start(settings(&address(&broker), protocol));
        let taken = take_confirmed(&mut subscription, 1500).await;

        let expected: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
        assert_eq!(payloads(&taken), expected);
        assert_eq!(until_marker(&mut subscription, &broker).await, [""; 0]);
    }
}

both_protocols! {
    async fn a_restarted_broker_is_subscribed_to_again(protocol) {
        let mut broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker.stop().await;
        broker.run().await;
        broker.publish(numbered(1)).await;

        let taken = take_confirmed(&mut subscription, 1).await;
        assert_eq!(payloads(&taken), ["0"]);
    }
}

both_protocols! {
    async fn a_broker_that_forgot_the_session_is_subscribed_to_again(protocol) {
        let mut broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker.stop().await;
        std::fs::remove_file(broker.file("mosquitto.db")).expect("the broker has saved");
        broker.run().await;

        ready(&mut subscription, &broker).await;
    }
}

both_protocols! {
    async fn a_receipt_of_an_earlier_connection_is_never_acknowledged(protocol) {
        let mut broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;
        broker.publish(numbered(1)).await;
        let stale = take(&mut subscription).await.receipt;
        broker.stop().await;
        broker.run().await;
        // The same message under the same packet id, on a new connection.
        let again = take(&mut subscription).await;
        assert_eq!(again.payload, b"0");

        subscription.confirm(stale).await.expect("ignored");
        subscription.close().await;

        let mut subscription = start(settings(&address(&broker), protocol));
        assert_eq!(take(&mut subscription).await.payload, b"0");
    }
}

/// So many are on their way at once with either protocol.
const ON_THEIR_WAY: usize = 18;

/// What the broker still knows once it was killed.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    All,
    Session,
    Nothing,
}

/// Kills a broker that has handed over messages which nobody took yet, and
/// starts it again. Gives what is delivered then.
async fn delivered_after_a_kill(protocol: Protocol, known: Known) -> Vec<Delivery> {
    const HANDED_OVER: &str = "Sending PUBLISH to ";
    let mut broker = Mosquitto::start_with(|_| "allow_anonymous true\nlog_type all\n".into()).await;
    let mut subscription = subscribed(&broker, protocol).await;
    broker.save().await;
    let before = broker.log().matches(HANDED_OVER).count();
    broker.publish(numbered(ON_THEIR_WAY)).await;
    broker.wait_for_log(HANDED_OVER, before + ON_THEIR_WAY).await;
    match known {
        Known::All => broker.save().await,
        Known::Session => {}
        Known::Nothing => std::fs::remove_file(broker.file("mosquitto.db")).expect("removed"),
    }

    broker.kill_and_run().await;

    broker.wait_for_log("Sending SUBACK to ", 2).await;
    let resumed = broker.log().contains("Sending CONNACK to isems-collector (1, 0)");
    assert_eq!(resumed, known != Known::Nothing);
    let delivered = deliveries_until_marker(&mut subscription, &broker).await;
    let again = broker.log().matches(" (d1, q1").count();
    assert_eq!(again, if known == Known::All { ON_THEIR_WAY } else { 0 });
    // And all that the broker knew of was acknowledged.
    subscription.close().await;
    let mut subscription = start(settings(&address(&broker), protocol));
    assert_eq!(until_marker(&mut subscription, &broker).await, [""; 0]);
    delivered
}

both_protocols! {
    async fn what_a_killed_broker_had_handed_over_is_delivered_all_the_same(protocol) {
        let expected: Vec<String> = (0..ON_THEIR_WAY).map(|number| number.to_string()).collect();
        for known in [Known::All, Known::Session, Known::Nothing] {
            let mut delivered = delivered_after_a_kill(protocol, known).await;
            // What was taken before it came again is delivered again, as such.
            delivered.retain(|delivery| !delivery.redelivered);
            assert_eq!(payloads(&delivered), expected);
        }
    }
}

both_protocols! {
    async fn closing_sends_every_acknowledgement_first(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;
        let count = subscription.window();
        broker.publish(numbered(count)).await;
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(take(&mut subscription).await.receipt);
        }
        for receipt in taken {
            subscription.confirm(receipt).await.expect("confirmed");
        }
        subscription.close().await;

        let mut subscription = start(settings(&address(&broker), protocol));
        assert_eq!(until_marker(&mut subscription, &broker).await, [""; 0]);
    }
}

both_protocols! {
    async fn unconfirmed_messages_fill_the_window_and_block_or_lose_nothing(protocol) {
        const COUNT: usize = 700;
        let broker = Mosquitto::start().await;
        let mut settings = settings(&address(&broker), protocol);
        settings.keep_alive = Duration::from_secs(5);
        let mut subscription = start(settings);
        ready(&mut subscription, &broker).await;
        let began = Instant::now();
        broker.publish(numbered(COUNT)).await;

        let mut taken = Vec::new();
        for _ in 0..subscription.window() {
            taken.push(take(&mut subscription).await);
        }
        // The broker gives up clients that are silent for 1.5 times the keep-alive.
        let too_long = began + Duration::from_secs(9);
        let more = timeout(too_long - Instant::now(), subscription.next()).await;
        assert!(more.is_err(), "more than the window came: {more:?}");
        sleep_until(too_long).await;
        for delivery in &taken {
            subscription.confirm(delivery.receipt).await.expect("confirmed");
        }
        let rest = COUNT - taken.len();
        taken.extend(take_confirmed(&mut subscription, rest).await);

        let expected: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
        assert_eq!(payloads(&taken), expected);
        assert!(taken.iter().all(|delivery| !delivery.redelivered));
    }
}

both_protocols! {
    async fn a_cancelled_wait_loses_nothing(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;
        broker.publish(numbered(100)).await;

        let mut taken = Vec::new();
        while taken.len() < 100 {
            // Dropped at its first wait, or done at once.
            let step = timeout(Duration::ZERO, subscription.next()).await;
            match step {
                Ok(delivery) => taken.push(delivery.expect("no trouble").expect("not over")),
                Err(_) => tokio::task::yield_now().await,
            }
            let Some(last) = taken.last() else { continue };
            subscription.confirm(last.receipt).await.expect("confirmed");
        }

        let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(payloads(&taken), expected);
    }
}

#[tokio::test]
async fn with_mqtt_5_the_broker_drops_what_is_larger_than_256_kib() {
    let broker = Mosquitto::start().await;
    let mut subscription = subscribed(&broker, Protocol::V5).await;

    let sizes = [10, 300 * 1024, 20].map(|size| ("/isems/ESP/csvlog", vec![b'x'; size]));
    broker.publish(sizes).await;

    let sizes: Vec<usize> =
        until_marker(&mut subscription, &broker).await.iter().map(String::len).collect();
    assert_eq!(sizes, [10, 20]);
}

#[tokio::test]
async fn with_mqtt_3_1_1_a_message_too_large_costs_the_session_but_not_the_intake() {
    let broker = Mosquitto::start().await;
    subscribed(&broker, Protocol::V311).await.close().await;
    broker.publish(numbered(1)).await;
    broker.publish([("/isems/ESP/csvlog", vec![b'x'; 300 * 1024])]).await;

    let mut subscription = start(settings(&address(&broker), Protocol::V311));

    // What came before it is not lost with the session.
    assert_eq!(take(&mut subscription).await.payload, b"0");
    ready(&mut subscription, &broker).await;
    broker.publish(numbered(1)).await;
    assert_eq!(take(&mut subscription).await.payload, b"0");
}
