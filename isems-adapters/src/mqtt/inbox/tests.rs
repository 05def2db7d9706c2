use std::time::Duration;

use isems_core::{Format, Framing, SourceKind, Timestamp};

use super::*;

/// Writes down what it is asked.
#[derive(Default)]
struct Recorder(Mutex<Vec<u16>>);

impl Recorder {
    fn acknowledged(&self) -> Vec<u16> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl Requests for Recorder {
    fn acknowledge(&self, mark: Mark) {
        self.0.lock().expect("not poisoned").push(mark.packet_id);
    }

    fn disconnect(&self) {}
}

fn inbox() -> Inbox {
    Inbox::new(SourceId::new("mqtt://broker:1883"))
}

fn delivery(payload: &str) -> Delivery {
    Delivery {
        source: SourceId::new("mqtt://broker:1883"),
        kind: SourceKind::Mqtt,
        format: Format::CsvLog,
        payload: payload.into(),
        known_prefix: 0,
        framing: Framing::Whole,
        topic: None,
        node: None,
        arrival: Timestamp::from_unix(0),
        sender_clock: None,
        redelivered: false,
        retained: false,
        bytes: 0,
        position: None,
        receipt: Receipt(0),
    }
}

/// The same once more, as the broker says.
fn again(payload: &str) -> Delivery {
    Delivery { redelivered: true, ..delivery(payload) }
}

fn mark(packet_id: u16) -> Mark {
    Mark { packet_id, exactly_once: false }
}

/// What can be taken without waiting.
async fn waiting(inbox: &Inbox) -> Vec<String> {
    let mut found = Vec::new();
    while let Ok(Ok(delivery)) = tokio::time::timeout(Duration::from_millis(1), inbox.next()).await
    {
        found.push(String::from_utf8(delivery.payload).expect("text"));
    }
    found
}

#[tokio::test]
async fn a_receipt_is_acknowledged_once() {
    let (inbox, link) = (inbox(), Arc::new(Recorder::default()));
    inbox.attach(Arc::clone(&link) as _, false);
    inbox.offer(delivery("a"), Some(mark(7))).await;
    let receipt = inbox.next().await.expect("a delivery").receipt;

    inbox.confirm(receipt);
    inbox.confirm(receipt);

    assert_eq!(link.acknowledged(), [7]);
}

#[tokio::test]
async fn a_receipt_of_an_earlier_connection_is_never_acknowledged() {
    let inbox = inbox();
    let (first, second) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    inbox.attach(Arc::clone(&first) as _, false);
    inbox.offer(delivery("a"), Some(mark(1))).await;
    let stale = inbox.next().await.expect("a delivery").receipt;
    inbox.detach();
    inbox.attach(Arc::clone(&second) as _, true);
    inbox.offer(delivery("b"), Some(mark(1))).await;

    inbox.confirm(stale);

    assert_eq!(first.acknowledged(), [0; 0]);
    assert_eq!(second.acknowledged(), [0; 0]);
}

/// An inbox with a new connection, where messages wait since an earlier one.
async fn held(payloads: &[&str], resumed: bool) -> (Inbox, Arc<Recorder>) {
    let (inbox, link) = (inbox(), Arc::new(Recorder::default()));
    inbox.attach(Arc::new(Recorder::default()), false);
    for (packet_id, payload) in (1..).zip(payloads) {
        inbox.offer(delivery(payload), Some(mark(packet_id))).await;
    }
    inbox.detach();
    inbox.attach(Arc::clone(&link) as _, resumed);
    (inbox, link)
}

#[tokio::test]
async fn what_was_not_taken_waits_on_whatever_the_broker_remembers() {
    for resumed in [true, false] {
        let (inbox, _link) = held(&["a", "b"], resumed).await;
        assert_eq!(waiting(&inbox).await, ["a", "b"], "{resumed}");
    }
}

#[tokio::test]
async fn what_comes_again_while_it_waits_is_delivered_once_and_then_acknowledged() {
    let (inbox, link) = held(&["a", "b"], true).await;
    inbox.offer(again("b"), Some(mark(7))).await;

    let first = inbox.next().await.expect("a");
    inbox.confirm(first.receipt);
    assert_eq!(link.acknowledged(), [0; 0], "that one did not come again");
    let second = inbox.next().await.expect("b");
    inbox.confirm(second.receipt);

    assert_eq!(second.payload, b"b");
    assert_eq!(link.acknowledged(), [7]);
    assert_eq!(waiting(&inbox).await, [""; 0]);
}

#[tokio::test]
async fn of_equal_messages_each_that_waits_stands_for_one_that_comes_again() {
    let (inbox, link) = held(&["a", "a"], true).await;
    // Of three that were on their way one is in the collector's hands.
    for packet_id in 1..=3 {
        inbox.offer(again("a"), Some(mark(packet_id))).await;
    }
    for _ in 0..3 {
        inbox.confirm(inbox.next().await.expect("a delivery").receipt);
    }
    assert_eq!(waiting(&inbox).await, [""; 0]);
    assert_eq!(link.acknowledged(), [1, 2, 3]);
}

#[tokio::test]
async fn only_what_comes_again_is_taken_for_what_waits() {
    // The broker does not say that it sends this again.
    let (inbox, _link) = held(&["a"], true).await;
    inbox.offer(delivery("a"), Some(mark(1))).await;
    assert_eq!(waiting(&inbox).await.len(), 2);

    // It forgot the session that "a" belonged to.
    let (inbox, _link) = held(&["a"], false).await;
    inbox.offer(again("a"), Some(mark(1))).await;
    assert_eq!(waiting(&inbox).await.len(), 2);

    // Another topic, a message that it kept from earlier, or no acknowledgement.
    let (inbox, _link) = held(&["a"], true).await;
    inbox.offer(Delivery { topic: Some("b/csvlog".into()), ..again("a") }, Some(mark(1))).await;
    inbox.offer(Delivery { retained: true, ..again("a") }, Some(mark(2))).await;
    inbox.offer(delivery("b"), None).await;
    inbox.detach();
    inbox.attach(Arc::new(Recorder::default()), true);
    inbox.offer(again("b"), Some(mark(3))).await;
    assert_eq!(waiting(&inbox).await, ["a", "a", "a", "b", "b"]);
}

#[tokio::test]
async fn a_full_inbox_takes_what_it_holds_already() {
    let payloads: Vec<String> = (0..CAPACITY).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let (inbox, link) = held(&texts, true).await;

    let all_again = async {
        for (packet_id, payload) in (1..).zip(&payloads) {
            inbox.offer(again(payload), Some(mark(packet_id))).await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, all_again).await.expect("nothing has to wait for room");

    for payload in &payloads {
        let delivery = inbox.next().await.expect("a delivery");
        assert_eq!(delivery.payload, payload.as_bytes());
        inbox.confirm(delivery.receipt);
    }
    assert_eq!(link.acknowledged().len(), CAPACITY);
    assert_eq!(waiting(&inbox).await, [""; 0]);
}

#[tokio::test]
async fn what_broken_connections_leave_behind_does_not_pile_up() {
    let (inbox, _link) = held(&["a"], true).await;
    inbox.detach();
    inbox.leave(again("a"), true);
    for number in 0..2 * CAPACITY {
        inbox.leave(delivery(&number.to_string()), number % 2 == 0);
    }
    let found = waiting(&inbox).await;
    assert_eq!(found.len(), CAPACITY);
    assert_eq!(found[..3], ["a", "0", "1"]);
}

#[tokio::test]
async fn after_a_lost_session_everything_still_waits() {
    let inbox = inbox();
    inbox.attach(Arc::new(Recorder::default()), false);
    inbox.offer(delivery("a"), Some(mark(1))).await;
    inbox.detach();

    inbox.attach(Arc::new(Recorder::default()), false);
    inbox.detach();
    inbox.attach(Arc::new(Recorder::default()), true);

    assert_eq!(waiting(&inbox).await, ["a"]);
}

#[tokio::test]
async fn a_full_inbox_holds_the_connection_back_and_drops_quality_of_service_0() {
    let inbox = Arc::new(inbox());
    inbox.attach(Arc::new(Recorder::default()), false);
    for packet_id in (1..).take(CAPACITY) {
        inbox.offer(delivery("a"), Some(mark(packet_id))).await;
    }

    inbox.offer(delivery("dropped"), None).await;
    let held_back = tokio::spawn({
        let inbox = Arc::clone(&inbox);
        async move { inbox.offer(delivery("last"), Some(mark(9999))).await }
    });
    tokio::task::yield_now().await;
    assert!(!held_back.is_finished());

    let found = waiting(&inbox).await;
    held_back.await.expect("no panic");
    assert_eq!(found.len(), CAPACITY + 1);
    assert_eq!(found.last().map(String::as_str), Some("last"));
}

#[tokio::test]
async fn large_messages_fill_the_inbox_by_their_bytes() {
    const LARGE: usize = 256 * 1024;
    let inbox = Arc::new(inbox());
    let large = "a".repeat(LARGE);
    inbox.attach(Arc::new(Recorder::default()), false);
    for packet_id in (1..).take(BYTES / LARGE) {
        inbox.offer(delivery(&large), Some(mark(packet_id))).await;
    }

    let held_back = tokio::spawn({
        let inbox = Arc::clone(&inbox);
        async move { inbox.offer(delivery("last"), Some(mark(9999))).await }
    });
    tokio::task::yield_now().await;
    assert!(!held_back.is_finished());

    assert_eq!(waiting(&inbox).await.len(), BYTES / LARGE + 1);
    held_back.await.expect("no panic");
    // What is left makes room again, and what is larger than all of it comes in alone.
    inbox.offer(delivery(&"a".repeat(BYTES + 1)), Some(mark(1))).await;
    assert_eq!(waiting(&inbox).await.len(), 1);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let inbox = inbox();
    inbox.attach(Arc::new(Recorder::default()), false);
    assert_eq!(waiting(&inbox).await, Vec::<String>::new());

    inbox.offer(delivery("a"), Some(mark(1))).await;

    assert_eq!(waiting(&inbox).await, ["a"]);
}

#[tokio::test]
async fn trouble_is_told_once() {
    let inbox = inbox();
    inbox.report(SourceError::Refused {
        from: SourceId::new("mqtt://broker:1883"),
        what: "no".into(),
    });

    assert!(inbox.next().await.is_err());
    assert_eq!(waiting(&inbox).await, Vec::<String>::new());
}
