//! MQTT, as its port wants it, in both versions.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use isems_adapters::mqtt::{MqttSettings, MqttSubscription, Protocol, parse_filters};
use isems_core::{
    NodeSource, Timestamp,
    testing::{
        ManualClock,
        source_suite::{CASES, SourceUnderTest},
    },
};
use rumqttc::QoS;
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use broker::Mosquitto;

use crate::broken_sources::{COMMON, Flaw, is_caught};

#[expect(dead_code, reason = "the adapter's own tests need more of it")]
#[path = "../adapters/mqtt/broker.rs"]
mod broker;

const LIMIT: Duration = Duration::from_secs(30);
const TOPIC: &str = "/isems/Node-A/csvlog";
const OTHER_TOPIC: &str = "/isems/Node-B/csvlog";
/// What is taken of a message, its topic included.
const MAX_PACKET: usize = 256 * 1024;

/// A broker that already keeps messages for the collector.
struct World {
    broker: Mosquitto,
    protocol: Protocol,
    dead: Option<TcpStream>,
    repeating: Option<JoinHandle<()>>,
}

impl World {
    async fn new(protocol: Protocol) -> Self {
        let world =
            Self { broker: Mosquitto::start().await, protocol, dead: None, repeating: None };
        let mut subscription = world.subscription();
        loop {
            world.broker.publish([(TOPIC, "")]).await;
            let answer = timeout(Duration::from_millis(100), subscription.next()).await;
            if let Ok(Ok(Some(_))) = answer {
                break;
            }
        }
        subscription.close().await;
        world
    }

    fn subscription(&self) -> MqttSubscription {
        let address = format!("127.0.0.1:{}", self.broker.port());
        let topics = parse_filters("/isems/#").unwrap();
        let mut settings = MqttSettings::new(address.parse().unwrap(), topics);
        settings.protocol = self.protocol;
        settings.retry_min = Duration::from_millis(50);
        settings.retry_max = Duration::from_millis(200);
        let clock = ManualClock::at(Timestamp::from_unix(1_748_769_100));
        MqttSubscription::start(settings, Arc::new(clock)).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(task) = &self.repeating {
            task.abort();
        }
    }
}

#[async_trait]
impl SourceUnderTest for World {
    fn max_payload(&self) -> usize {
        MAX_PACKET
    }

    async fn offer(&mut self, payload: &[u8]) {
        self.broker.publish([(TOPIC, payload)]).await;
    }

    async fn offer_from_another_node(&mut self, payload: &[u8]) {
        self.broker.publish([(OTHER_TOPIC, payload)]).await;
    }

    async fn open(&mut self) -> Box<dyn NodeSource> {
        Box::new(self.subscription())
    }

    async fn break_link(&mut self) {
        self.broker.stop().await;
        self.broker.run().await;
    }

    async fn add_dead_node(&mut self) {
        let silent = TcpStream::connect(("127.0.0.1", self.broker.port())).await;
        self.dead = Some(silent.unwrap());
    }

    /// In MQTT 3.1.1 what follows shares the fate of the message that is too
    /// large, until the session was dropped: a node publishes again and again.
    async fn offer_too_much_then(&mut self, too_much: &[u8], payload: &[u8]) {
        self.broker.publish([(TOPIC, too_much)]).await;
        let (publisher, payload) = (self.broker.publisher(), payload.to_vec());
        self.repeating = Some(tokio::spawn(async move {
            loop {
                let message = [(TOPIC, payload.clone())];
                publisher.publish(QoS::AtLeastOnce, false, message).await;
                sleep(Duration::from_millis(200)).await;
            }
        }));
    }
}

async fn conforms(protocol: Protocol) {
    for case in CASES {
        let mut world = World::new(protocol).await;
        timeout(LIMIT, case.run(&mut world))
            .await
            .unwrap_or_else(|_| panic!("{case:?} does not end"));
    }
}

#[tokio::test]
async fn mqtt_5_conforms() {
    conforms(Protocol::V5).await;
}

#[tokio::test]
async fn mqtt_3_1_1_conforms() {
    conforms(Protocol::V311).await;
}

async fn flaws_are_caught(protocol: Protocol) {
    let own =
        [(Flaw::NeverTwice, "what_is_not_confirmed_comes_again_over_the_next_link", "it is lost")];
    for (flaw, case, words) in COMMON.into_iter().chain(own) {
        is_caught(World::new(protocol).await, flaw, case, words).await;
    }
}

#[tokio::test]
async fn the_suite_catches_mqtt_5_that_breaks_its_port() {
    flaws_are_caught(Protocol::V5).await;
}

#[tokio::test]
async fn the_suite_catches_mqtt_3_1_1_that_breaks_its_port() {
    flaws_are_caught(Protocol::V311).await;
}
