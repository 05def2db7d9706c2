//! Brokers that are away, hang, or know better.

use std::time::{Duration, Instant};

use isems_adapters::mqtt::Protocol;
use isems_core::{NodeSource, SourceError};
use tokio::time::timeout;

use super::{
    broker::Mosquitto,
    support::{
        LIMIT, address, both_protocols, numbered, ready, settings, start, subscribed, take, trouble,
    },
};

both_protocols! {
    async fn an_absent_broker_is_told_once_and_used_when_it_appears(protocol) {
        let mut broker = Mosquitto::prepare(|_| "allow_anonymous true\n".into());
        let mut subscription = start(settings(&address(&broker), protocol));

        let first = timeout(LIMIT, subscription.next()).await.expect("at once");
        assert!(matches!(first, Err(SourceError::Unavailable { .. })), "{first:?}");
        // Long enough for several attempts.
        let second = timeout(Duration::from_secs(1), subscription.next()).await;
        assert!(second.is_err(), "told twice: {second:?}");

        broker.run().await;
        ready(&mut subscription, &broker).await;
    }
}

both_protocols! {
    async fn a_lost_broker_is_told_with_its_name(protocol) {
        let mut broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker.stop().await;
        let error = trouble(&mut subscription).await;

        let name = format!("mqtt://127.0.0.1:{}: ", broker.port());
        assert!(error.to_string().starts_with(&name), "{error}");
        assert!(!error.is_final());
    }
}

both_protocols! {
    async fn closing_does_not_wait_for_a_broker_that_hangs(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;
        broker.publish(numbered(1)).await;
        let receipt = take(&mut subscription).await.receipt;
        broker.signal("STOP").await;

        let began = Instant::now();
        subscription.confirm(receipt).await.expect("on its way");
        subscription.close().await;
        let took = began.elapsed();
        broker.signal("CONT").await;

        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

both_protocols! {
    async fn closing_does_not_wait_for_a_broker_that_is_away(protocol) {
        let broker = Mosquitto::prepare(|_| String::new());
        let mut subscription = start(settings(&address(&broker), protocol));
        trouble(&mut subscription).await;

        let began = Instant::now();
        subscription.close().await;

        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

both_protocols! {
    async fn two_with_one_client_id_throw_each_other_out_and_lose_nothing(protocol) {
        let broker = Mosquitto::start().await;
        let mut first = subscribed(&broker, protocol).await;
        let mut second = start(settings(&address(&broker), protocol));

        let error = trouble(&mut first).await;
        assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");

        broker.publish(numbered(1)).await;
        let delivery = tokio::select! {
            delivery = take(&mut first) => delivery,
            delivery = take(&mut second) => delivery,
        };
        assert_eq!(delivery.payload, b"0");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_start() {
    let clock = std::sync::Arc::new(isems_adapters::SystemClock);
    let mut settings = settings("mqtts://127.0.0.1:1", Protocol::V5);
    settings.ca_file = Some("/nowhere/ca.pem".into());

    let error = isems_adapters::mqtt::MqttSubscription::start(settings, clock)
        .expect_err("the file does not exist");

    assert!(error.is_final());
    assert!(error.to_string().contains("MQTT_CA_FILE"), "{error}");
}
