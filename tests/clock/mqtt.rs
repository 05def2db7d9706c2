//! Scripts of nodes that publish: a real mosquitto, the MQTT adapter, a
//! database file.

use isems_adapters::mqtt::{MqttSubscription, Protocol};
use isems_core::{Delivery, NodeSource as _, Timestamp};

use crate::{
    script::{Script, Step, lines_in},
    station::Station,
};
use broker::Mosquitto;
use support::{address, ready, settings, take};

#[expect(dead_code, reason = "the adapter's own tests need more of it")]
#[path = "../adapters/mqtt/broker.rs"]
mod broker;
#[expect(dead_code, unused_imports, unused_macros, reason = "as above")]
#[path = "../adapters/mqtt/support.rs"]
mod support;

/// All scripts that are played here, sorted.
pub(crate) const SCRIPTS: [&str; 2] = ["mqtt-no-clock-backlog", "mqtt-no-clock-redelivered"];

/// A node, a broker that keeps a session for the collector, and the collector.
struct World {
    script: Script,
    broker: Mosquitto,
    station: Station,
}

impl World {
    async fn new(script: &str) -> Self {
        let script = Script::load(script);
        let world =
            Self { script, broker: Mosquitto::start().await, station: Station::new().await };
        let mut first = world.subscribe();
        ready(&mut first, &world.broker).await;
        first.close().await;
        world
    }

    /// As a process does when it begins.
    fn subscribe(&self) -> MqttSubscription {
        let settings = settings(&address(&self.broker), Protocol::V5);
        MqttSubscription::start(settings, self.station.clock.clone()).unwrap()
    }

    async fn publish(&self, burst: &[Step]) {
        let topic = format!("/isems/{}/csvlog", self.script.node());
        let messages = burst.iter().map(|step| (topic.clone(), self.script.text(step)));
        self.broker.publish(messages).await;
    }

    /// What the broker hands out for the first time, of this burst.
    async fn take(&self, subscription: &mut MqttSubscription, burst: &[Step]) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for step in burst {
            let delivery = take(subscription).await;
            assert_eq!(delivery.arrival, Timestamp::from_unix(step.arrival));
            assert_eq!(delivery.payload, self.script.text(step).into_bytes());
            assert!(!delivery.redelivered);
            taken.push(delivery);
        }
        taken
    }
}

async fn confirm(subscription: &mut MqttSubscription, deliveries: &[Delivery]) {
    for delivery in deliveries {
        subscription.confirm(delivery.receipt).await.unwrap();
    }
}

async fn in_one_process(script: &str) {
    let mut world = World::new(script).await;
    let script = Script::load(script);
    let mut subscription = world.subscribe();
    for burst in script.bursts() {
        world.station.set_clock(burst[0].arrival);
        world.publish(burst).await;
        let deliveries = world.take(&mut subscription, burst).await;
        world.station.ingest(&deliveries).await;
        confirm(&mut subscription, &deliveries).await;
    }
    script.check(&world.station, script.repeated()).await;
}

/// The collector is away whenever the node publishes, and begins anew before
/// each message that it stores, also within what waited together.
async fn begun_anew_for_every_delivery(script: &str) {
    let mut world = World::new(script).await;
    let script = Script::load(script);
    for burst in script.bursts() {
        world.publish(burst).await;
        world.station.set_clock(burst[0].arrival);
        let mut subscription = world.subscribe();
        let deliveries = world.take(&mut subscription, burst).await;
        for delivery in &deliveries {
            world.station.restart().await;
            world.station.ingest(std::slice::from_ref(delivery)).await;
        }
        confirm(&mut subscription, &deliveries).await;
        subscription.close().await;
    }
    script.check(&world.station, script.repeated()).await;
}

/// The process is killed after each message that it acknowledges: the rest of
/// the burst comes again.
async fn killed_between_any_two_deliveries(script: &str) {
    let mut world = World::new(script).await;
    let script = Script::load(script);
    for burst in script.bursts() {
        world.publish(burst).await;
        world.station.set_clock(burst[0].arrival);
        for (acknowledged, step) in burst.iter().enumerate() {
            world.station.restart().await;
            let mut subscription = world.subscribe();
            let delivery = take(&mut subscription).await;
            assert_eq!(delivery.payload, script.text(step).into_bytes());
            assert!(acknowledged == 0 || delivery.redelivered);
            world.station.ingest(std::slice::from_ref(&delivery)).await;
            subscription.confirm(delivery.receipt).await.unwrap();
            // Over when the broker has that acknowledgement.
            subscription.close().await;
        }
    }
    script.check(&world.station, script.repeated()).await;
}

/// What was stored and not acknowledged when the process was killed comes
/// again, and is known.
async fn killed_before_every_acknowledgement(script: &str) {
    let mut world = World::new(script).await;
    let script = Script::load(script);
    let mut unacknowledged: Vec<Vec<u8>> = Vec::new();
    for burst in script.bursts() {
        world.station.set_clock(burst[0].arrival);
        world.station.restart().await;
        let mut subscription = world.subscribe();
        for expected in unacknowledged.drain(..) {
            let again = take(&mut subscription).await;
            assert_eq!(again.payload, expected);
            assert!(again.redelivered);
            let receipt = again.receipt;
            let tally = world.station.ingest(&[again]).await;
            assert_eq!(tally.stored, 0, "it was stored before");
            subscription.confirm(receipt).await.unwrap();
        }
        // Over when the broker has those acknowledgements.
        subscription.close().await;

        let mut subscription = world.subscribe();
        world.publish(burst).await;
        let deliveries = world.take(&mut subscription, burst).await;
        world.station.ingest(&deliveries).await;
        unacknowledged.extend(deliveries.into_iter().map(|delivery| delivery.payload));
        drop(subscription);
    }
    let unacknowledged = script.bursts().last().unwrap();
    let twice = lines_in(&script.deliveries) - lines_in(unacknowledged);
    script.check(&world.station, script.repeated() + twice).await;
}

/// The broker restarts while nothing can be stored: what is held and what comes
/// again, with a later arrival, is stored in one transaction.
async fn held_while_the_broker_restarts(script: &str) {
    const LATER: i64 = 90;
    const SELDOM: usize = 20;
    let mut world = World::new(script).await;
    let script = Script::load(script);
    let mut subscription = world.subscribe();
    let mut again_in_all = 0;
    for (number, burst) in script.bursts().enumerate() {
        world.station.set_clock(burst[0].arrival);
        world.publish(burst).await;
        let mut deliveries = world.take(&mut subscription, burst).await;
        if burst.len() == 1 && number % SELDOM != 0 {
            world.station.ingest(&deliveries).await;
            confirm(&mut subscription, &deliveries).await;
            continue;
        }
        world.broker.stop().await;
        world.station.set_clock(burst[0].arrival + LATER);
        world.broker.run().await;
        let mut lines: usize = 0;
        for step in burst {
            let again = take(&mut subscription).await;
            assert_eq!(again.payload, script.text(step).into_bytes());
            assert!(again.redelivered);
            lines += script.text(step).lines().count();
            deliveries.push(again);
        }

        let tally = world.station.ingest(&deliveries).await;

        assert!(tally.duplicate >= lines as u64, "{lines} lines came again: {tally:?}");
        again_in_all += lines;
        confirm(&mut subscription, &deliveries).await;
    }
    script.check(&world.station, script.repeated() + again_in_all).await;
}

macro_rules! scripts {
    ($($name:ident: $script:literal,)*) => {$(
        mod $name {
            #[tokio::test]
            async fn in_one_process() {
                super::in_one_process($script).await;
            }

            #[tokio::test]
            async fn begun_anew_for_every_delivery() {
                super::begun_anew_for_every_delivery($script).await;
            }

            #[tokio::test]
            async fn killed_between_any_two_deliveries() {
                super::killed_between_any_two_deliveries($script).await;
            }

            #[tokio::test]
            async fn killed_before_every_acknowledgement() {
                super::killed_before_every_acknowledgement($script).await;
            }

            #[tokio::test]
            async fn held_while_the_broker_restarts() {
                super::held_while_the_broker_restarts($script).await;
            }
        }
    )*};
}

scripts! {
    backlog: "mqtt-no-clock-backlog",
    redelivered: "mqtt-no-clock-redelivered",
}
