//! A broker that is killed while the collector cannot store: what it had
//! accepted and handed over is in the collector's hands alone, or comes again.

use std::fs;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::runtime::{Builder, Runtime};

use crate::{
    serve::{both_protocols, collector, source, subscribed},
    support::{Broker, Database, Isems, Message, Running, eventually, of_a_fleet, told_by},
};

/// As many as a broker of MQTT 3.1.1 sends without an acknowledgement, nearly:
/// it has handed over all of them.
const ON_THEIR_WAY: usize = 18;

/// What the log of the broker says of each message that it hands over.
const HANDED_OVER: &str = "Sending PUBLISH to isems-collector";

/// Lines of nodes with and without a clock, and telemetry: of every node that
/// sends that there are two messages, so that the older is not its last.
fn messages() -> Vec<Message> {
    (0..ON_THEIR_WAY / 2).chain(120..120 + ON_THEIR_WAY / 2).map(of_a_fleet).collect()
}

/// A database that another process holds.
struct Held {
    runtime: Runtime,
    other: SqliteConnection,
}

impl Held {
    fn by_another(database: &Database) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(database.path());
        let mut other = runtime.block_on(options.connect()).unwrap();
        runtime.block_on(sqlx::query("BEGIN EXCLUSIVE").execute(&mut other)).unwrap();
        Self { runtime, other }
    }

    fn release(self) {
        self.runtime.block_on(self.other.close()).unwrap();
    }
}

/// A collector that stores each message by itself: one is in hand, the others
/// wait.
fn one_by_one(broker: &Broker, protocol: &str) -> Isems {
    collector(broker, protocol).set("ISEMS_COMMIT_INTERVAL", "0s")
}

fn wait_for_handed_over(broker: &Broker, count: usize) {
    eventually("the messages handed over", || {
        (broker.log().matches(HANDED_OVER).count() >= count).then_some(())
    });
}

fn kill_and_run(broker: &mut Broker) {
    let before = broker.subscriptions();
    broker.kill();
    broker.run();
    broker.wait_for_subscription(before);
}

/// What is marked as sent again in the broker's log.
fn sent_again(broker: &Broker) -> usize {
    broker.log().matches(&format!("{HANDED_OVER} (d1")).count()
}

fn wait_for_duplicates(broker: &Broker, serving: &Running, count: usize) {
    eventually("what came again is known", || {
        (source(serving, &broker.source())["duplicate"] == count).then_some(())
    });
}

#[track_caller]
fn assert_stored_once(isems: &Isems, serving: Running, messages: &[Message]) {
    isems.database().wait_for_rows(messages.len());
    // What is on its way or in hand would be stored now.
    serving.stop().expect(0);
    isems.database().assert_holds_once(told_by(messages));
}

both_protocols! {
    fn what_it_has_forgotten_since_it_last_saved_is_stored_once(protocol) {
        let mut broker = Broker::start();
        let isems = one_by_one(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        broker.save();
        let held = Held::by_another(isems.database());
        broker.publish(&messages());
        wait_for_handed_over(&broker, ON_THEIR_WAY);

        kill_and_run(&mut broker);
        serving.wait_for_log("(resumed session)");
        held.release();

        assert_eq!(sent_again(&broker), 0);
        assert_stored_once(&isems, serving, &messages());
    }
}

both_protocols! {
    fn what_it_sends_again_is_stored_once(protocol) {
        let mut broker = Broker::start();
        let isems = one_by_one(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let held = Held::by_another(isems.database());
        broker.publish(&messages());
        wait_for_handed_over(&broker, ON_THEIR_WAY);
        broker.save();

        // Twice: what comes again then came again before, and still waits.
        for time in 1..=2 {
            kill_and_run(&mut broker);
            wait_for_handed_over(&broker, ON_THEIR_WAY * (1 + time));
        }
        held.release();

        assert_eq!(sent_again(&broker), ON_THEIR_WAY * 2);
        // What waits is acknowledged with what came again, what was in hand by
        // itself.
        eventually("each is acknowledged", || {
            (broker.acknowledgements() >= ON_THEIR_WAY).then_some(())
        });
        assert_stored_once(&isems, serving, &messages());
        // All were acknowledged: it has none to send again.
        subscribed(&isems, &broker).stop().expect(0);
        assert_eq!(sent_again(&broker), ON_THEIR_WAY * 2);
    }
}

both_protocols! {
    fn what_it_lost_with_all_its_files_is_stored_once(protocol) {
        let mut broker = Broker::start();
        let isems = one_by_one(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        let held = Held::by_another(isems.database());
        broker.publish(&messages());
        wait_for_handed_over(&broker, ON_THEIR_WAY);

        // It saves for the first time when it ends in good order, if ever.
        assert!(!fs::exists(broker.file("mosquitto.db")).unwrap());
        kill_and_run(&mut broker);
        held.release();

        assert_eq!(serving.log().matches("(new session)").count(), 2);
        assert_stored_once(&isems, serving, &messages());
    }
}

both_protocols! {
    fn lines_that_it_sends_anew_without_saying_so_are_stored_once(protocol) {
        // Given messages that queued while the collector was away, and were saved
        let mut broker = Broker::start();
        let isems = one_by_one(&broker, protocol);
        subscribed(&isems, &broker).stop().expect(0);
        let mut lines = messages();
        lines.retain(|(topic, _)| topic.ends_with("/csvlog"));
        broker.publish(&lines);
        broker.save();
        broker.kill();
        let serving = isems.serve();
        let held = Held::by_another(isems.database());

        // When it is killed after it has handed them over
        broker.run();
        wait_for_handed_over(&broker, lines.len());
        kill_and_run(&mut broker);
        wait_for_handed_over(&broker, lines.len() * 2);
        held.release();

        // Then it knows of no first time
        assert_eq!(sent_again(&broker), 0);
        wait_for_duplicates(&broker, &serving, lines.len());
        assert_stored_once(&isems, serving, &lines);
    }
}

both_protocols! {
    fn a_broker_that_is_killed_again_and_again_is_not_taken_for_another_collector(protocol) {
        let mut broker = Broker::start();
        let isems = collector(&broker, protocol);
        let serving = subscribed(&isems, &broker);
        for time in 1..=3 {
            // Surely connected again, for a moment
            broker.publish(&[of_a_fleet(time)]);
            isems.database().wait_for_rows(time);
            let before = broker.subscriptions();
            broker.kill();
            eventually("the loss in the log", || {
                let log = serving.log();
                (log.matches("the broker closed the connection").count() >= time).then_some(())
            });
            broker.run();
            broker.wait_for_subscription(before);
        }
        let log = serving.stop().expect(0).stderr;
        assert!(!log.contains("another collector"), "{log}");
    }
}
