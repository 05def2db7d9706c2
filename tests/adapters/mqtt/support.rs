//! Words that the MQTT tests share.

use std::{sync::Arc, time::Duration};

use isems_adapters::mqtt::{MqttSettings, MqttSubscription, Protocol, parse_filters};
use isems_core::{Delivery, NodeSource, SourceError, Timestamp, testing::ManualClock};
use tokio::time::timeout;

use super::broker::Mosquitto;

/// More than enough for anything that should happen at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// When the clock of these tests says that it is.
pub(crate) const NOW: i64 = 1_750_000_000;

/// A test for each version of MQTT.
macro_rules! both_protocols {
    ($(#[doc = $doc:literal])? async fn $name:ident($protocol:ident) $body:block) => {
        mod $name {
            use super::*;

            async fn case($protocol: isems_adapters::mqtt::Protocol) $body

            #[tokio::test]
            async fn with_mqtt_5() {
                case(isems_adapters::mqtt::Protocol::V5).await;
            }

            #[tokio::test]
            async fn with_mqtt_3_1_1() {
                case(isems_adapters::mqtt::Protocol::V311).await;
            }
        }
    };
}
pub(crate) use both_protocols;

/// Settings for impatient tests.
pub(crate) fn settings(address: &str, protocol: Protocol) -> MqttSettings {
    let topics = parse_filters("/isems/#").expect("valid filters");
    let mut settings = MqttSettings::new(address.parse().expect("valid address"), topics);
    settings.protocol = protocol;
    settings.retry_min = Duration::from_millis(50);
    settings.retry_max = Duration::from_millis(200);
    settings
}

pub(crate) fn start(settings: MqttSettings) -> MqttSubscription {
    let clock = ManualClock::at(Timestamp::from_unix(NOW));
    MqttSubscription::start(settings, Arc::new(clock)).expect("settings that can be used")
}

/// A subscription that the broker has accepted: messages published from now on
/// are kept for it.
pub(crate) async fn subscribed(broker: &Mosquitto, protocol: Protocol) -> MqttSubscription {
    let mut subscription = start(settings(&address(broker), protocol));
    ready(&mut subscription, broker).await;
    subscription
}

pub(crate) fn address(broker: &Mosquitto) -> String {
    format!("127.0.0.1:{}", broker.port())
}

/// Waits until messages get through, and takes all that this needed.
pub(crate) async fn ready(subscription: &mut MqttSubscription, broker: &Mosquitto) {
    const QUESTION: &[u8] = b"ready?";
    let first = async {
        loop {
            broker.publish([("/isems/ready/csvlog", QUESTION)]).await;
            let patience = Duration::from_millis(100);
            while let Ok(answer) = timeout(patience, subscription.next()).await {
                let Ok(Some(delivery)) = answer else { continue };
                subscription.confirm(delivery.receipt).await.expect("confirmed");
                if delivery.payload == QUESTION {
                    return;
                }
            }
        }
    };
    timeout(LIMIT, first).await.expect("a message gets through");
    until_marker(subscription, broker).await;
}

/// The next delivery; trouble on the way is passed over.
pub(crate) async fn take(subscription: &mut MqttSubscription) -> Delivery {
    let delivery = async {
        loop {
            if let Ok(delivery) = subscription.next().await {
                return delivery.expect("a subscription is never over");
            }
        }
    };
    timeout(LIMIT, delivery).await.expect("a delivery comes")
}

/// The next trouble, with what came before it forgotten.
pub(crate) async fn trouble(subscription: &mut MqttSubscription) -> SourceError {
    let trouble = async {
        loop {
            if let Err(error) = subscription.next().await {
                return error;
            }
        }
    };
    timeout(LIMIT, trouble).await.expect("trouble comes")
}

/// Takes and confirms so many deliveries.
pub(crate) async fn take_confirmed(
    subscription: &mut MqttSubscription,
    count: usize,
) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let delivery = take(subscription).await;
        subscription.confirm(delivery.receipt).await.expect("confirmed");
        taken.push(delivery);
    }
    taken
}

/// Publishes a last message and gives the payloads of all that came before it,
/// confirming everything.
pub(crate) async fn until_marker(
    subscription: &mut MqttSubscription,
    broker: &Mosquitto,
) -> Vec<String> {
    payloads(&deliveries_until_marker(subscription, broker).await)
}

/// The same with all that belongs to them.
pub(crate) async fn deliveries_until_marker(
    subscription: &mut MqttSubscription,
    broker: &Mosquitto,
) -> Vec<Delivery> {
    const MARKER: &[u8] = b"marker";
    broker.publish([("/isems/marker/csvlog", MARKER)]).await;
    let mut before = Vec::new();
    loop {
        let delivery = take(subscription).await;
        subscription.confirm(delivery.receipt).await.expect("confirmed");
        if delivery.payload == MARKER {
            return before;
        }
        before.push(delivery);
    }
}

/// Messages `0` to `count`, numbered in their payload.
pub(crate) fn numbered(count: usize) -> impl Iterator<Item = (&'static str, String)> {
    (0..count).map(|number| ("/isems/ESP/csvlog", number.to_string()))
}

pub(crate) fn payloads(deliveries: &[Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|delivery| String::from_utf8_lossy(&delivery.payload).into_owned())
        .collect()
}
