//! What comes out of a message.

use isems_core::{Format, Framing, SourceId, SourceKind, Timestamp};
use rumqttc::QoS;

use super::{
    broker::Mosquitto,
    support::{NOW, address, both_protocols, settings, start, subscribed, take, until_marker},
};

both_protocols! {
    async fn a_csv_log_is_delivered_byte_for_byte_with_its_topic(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;
        let payload: Vec<u8> = (0..=255).cycle().take(100_000).collect();

        broker.publish([("/isems/Käthe/csvlog", payload.clone())]).await;
        let delivery = take(&mut subscription).await;

        assert!(delivery.payload == payload, "the payload was changed");
        assert_eq!(delivery.topic.as_deref(), Some("/isems/Käthe/csvlog"));
        assert_eq!(delivery.format, Format::CsvLog);
        assert_eq!(delivery.node.as_deref(), Some("Käthe"));
        assert_eq!(delivery.framing, Framing::Whole);
        assert_eq!(delivery.kind, SourceKind::Mqtt);
        let source = format!("mqtt://127.0.0.1:{}", broker.port());
        assert_eq!(delivery.source, SourceId::new(&source));
        assert_eq!(delivery.arrival, Timestamp::from_unix(NOW));
        assert!(!delivery.redelivered);
        assert!(!delivery.retained);
        assert!(delivery.bytes > 100_000, "{}", delivery.bytes);
    }
}

both_protocols! {
    async fn telemetry_is_delivered_with_the_node_of_its_topic(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker.publish([("/isems/dach/ESP-Akku0/data.json", "{}")]).await;
        let delivery = take(&mut subscription).await;

        assert_eq!(delivery.format, Format::TelemetryJson);
        assert_eq!(delivery.node.as_deref(), Some("dach/ESP-Akku0"));
    }
}

both_protocols! {
    async fn an_empty_message_is_a_delivery(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker.publish([("/isems/ESP/csvlog", "")]).await;

        assert_eq!(take(&mut subscription).await.payload, b"");
    }
}

both_protocols! {
    async fn a_message_that_needs_no_acknowledgement_can_be_confirmed(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker
            .publisher()
.publish(QoS::AtMostOnce, false, [("/isems/ESP/csvlog", "zero")])
            .await;

        assert_eq!(until_marker(&mut subscription, &broker).await, ["zero"]);
    }
}

both_protocols! {
    async fn other_topics_are_ignored_and_acknowledged(protocol) {
        let broker = Mosquitto::start().await;
        let mut subscription = subscribed(&broker, protocol).await;

        broker
            .publish([
                ("/isems/ESP/csvlog/x", "other"),
                ("/isems/ESP/status", "other"),
                ("elsewhere/ESP/csvlog", "other"),
            ])
            .await;
        assert_eq!(until_marker(&mut subscription, &broker).await, [""; 0]);

        // What is not acknowledged would come again now.
        subscription.close().await;
        let mut subscription = subscribed(&broker, protocol).await;
        assert_eq!(until_marker(&mut subscription, &broker).await, [""; 0]);
    }
}

#[tokio::test]
async fn with_mqtt_3_1_1_a_kept_message_is_marked_as_retained() {
    let broker = Mosquitto::start().await;
    broker.publisher().publish(QoS::AtLeastOnce, true, [("/isems/ESP/csvlog", "old")]).await;

    let protocol = isems_adapters::mqtt::Protocol::V311;
    let mut subscription = start(settings(&address(&broker), protocol));

    assert!(take(&mut subscription).await.retained);
}

#[tokio::test]
async fn with_mqtt_5_kept_messages_are_not_asked_for() {
    let broker = Mosquitto::start().await;
    broker.publisher().publish(QoS::AtLeastOnce, true, [("/isems/ESP/csvlog", "old")]).await;

    let protocol = isems_adapters::mqtt::Protocol::V5;
    let mut subscription = start(settings(&address(&broker), protocol));
    let first = take_first_published(&mut subscription, &broker).await;

    assert_eq!(first, "new");
}

/// Publishes until something comes.
async fn take_first_published(
    subscription: &mut isems_adapters::mqtt::MqttSubscription,
    broker: &Mosquitto,
) -> String {
    use isems_core::NodeSource;
    loop {
        broker.publish([("/isems/ESP/csvlog", "new")]).await;
        let patience = std::time::Duration::from_millis(100);
        if let Ok(Ok(Some(delivery))) = tokio::time::timeout(patience, subscription.next()).await {
            return String::from_utf8_lossy(&delivery.payload).into_owned();
        }
    }
}
