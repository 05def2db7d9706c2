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

#[tokio::test]
async fn after_a_resumed_session_only_what_comes_never_again_still_waits() {
    let inbox = inbox();
    inbox.attach(Arc::new(Recorder::default()), false);
    inbox.offer(delivery("comes again"), Some(mark(1))).await;
    inbox.offer(delivery("quality of service 0"), None).await;
    inbox.detach();

    inbox.attach(Arc::new(Recorder::default()), true);

    assert_eq!(waiting(&inbox).await, ["quality of service 0"]);
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
