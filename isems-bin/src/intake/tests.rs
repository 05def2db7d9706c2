//! Group commit, confirmation after storage, patience.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use isems_core::{
    Collector, Receipt, SourceId, Timestamp,
    testing::{ManualClock, delivery},
};
use tokio::{sync::mpsc, time::Instant};

use super::*;
use crate::test_support::{BEGIN, FlakyRepo};

const WAIT: Duration = Duration::from_secs(2);

/// A source that delivers what the test sends, and tells what was confirmed.
struct TestSource {
    id: SourceId,
    incoming: mpsc::UnboundedReceiver<Result<Delivery, SourceError>>,
    confirmed: Arc<Mutex<BTreeSet<u64>>>,
}

#[async_trait]
impl NodeSource for TestSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        self.incoming.recv().await.transpose()
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        self.confirmed.lock().unwrap().insert(receipt.0);
        Ok(())
    }
}

#[derive(Default)]
struct Heard {
    stored: u64,
    failed: usize,
    due: Option<Instant>,
    flushed: usize,
}

impl Observer for Arc<Mutex<Heard>> {
    fn stored(&mut self, report: &DeliveryReport) {
        self.lock().unwrap().stored += report.tally.stored;
    }

    fn failed(&mut self, _error: &SourceError) {
        self.lock().unwrap().failed += 1;
    }

    fn due(&self) -> Option<Instant> {
        self.lock().unwrap().due
    }

    fn flush(&mut self) {
        let mut heard = self.lock().unwrap();
        heard.due = None;
        heard.flushed += 1;
    }
}

/// An intake at work, and the test's hands on it.
struct Bench {
    repo: Arc<FlakyRepo>,
    nodes: mpsc::UnboundedSender<Result<Delivery, SourceError>>,
    confirmed: Arc<Mutex<BTreeSet<u64>>>,
    heard: Arc<Mutex<Heard>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), IntakeError>>,
}

fn bench(window: usize, patience: Patience, failures: u32) -> Bench {
    let repo = FlakyRepo::failing(failures);
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix(BEGIN + 86_400)));
    let collector = Collector::new(Arc::clone(&repo) as _, Timestamp::from_unix(BEGIN));
    let (nodes, incoming) = mpsc::unbounded_channel();
    let confirmed = Arc::new(Mutex::new(BTreeSet::new()));
    let source =
        TestSource { id: SourceId::new("test"), incoming, confirmed: Arc::clone(&confirmed) };
    let heard = Arc::new(Mutex::new(Heard::default()));
    let stop = CancellationToken::new();
    let intake = Intake::new(
        source,
        SourceKind::Other,
        Arc::new(Writer::new(collector, clock)),
        Window::new(NonZeroUsize::new(window).unwrap(), WAIT),
        Box::new(Arc::clone(&heard)),
    )
    .with_patience(patience);
    let until = stop.clone();
    let task = tokio::spawn(async move { intake.run(until).await.1 });
    Bench { repo, nodes, confirmed, heard, stop, task }
}

impl Bench {
    fn send(&self, receipts: std::ops::Range<u64>) {
        for receipt in receipts {
            self.nodes.send(Ok(message(receipt))).unwrap();
        }
    }

    /// Until everything that can happen now has happened. The clock of the
    /// test stands still meanwhile.
    async fn settle(&self) {
        for _ in 0..200 {
            yield_now().await;
        }
    }

    fn confirmed(&self) -> usize {
        self.confirmed.lock().unwrap().len()
    }

    async fn end(self) -> Result<(), IntakeError> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn message(receipt: u64) -> Delivery {
    let time = BEGIN + 60 * i64::try_from(receipt).unwrap();
    let line = format!("Dach;1;{time};fw;60;0;21;17;12.5;80;100;20;11.9;14.2;7;20;52.5;13.4;800\n");
    Delivery { receipt: Receipt(receipt), ..delivery("test", line.as_bytes(), time + 5) }
}

fn away() -> SourceError {
    SourceError::Unavailable {
        from: SourceId::new("test"),
        what: "is away".to_owned(),
        cause: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_delivery_waits_at_most_the_commit_interval() {
    let bench = bench(100, Patience::Endless, 0);
    let sent = Instant::now();
    bench.send(0..1);
    bench.settle().await;
    assert_eq!(bench.confirmed(), 0, "nothing is confirmed before it is stored");

    while bench.confirmed() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(sent.elapsed() <= WAIT + Duration::from_millis(50));
    }
    assert_eq!(bench.repo.rows("Dach").await, 1);
    assert!(sent.elapsed() >= WAIT);
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_come_together_share_one_transaction() {
    let bench = bench(100, Patience::Endless, 0);
    bench.send(0..30);
    tokio::time::sleep(WAIT + Duration::from_millis(50)).await;
    assert_eq!(bench.repo.commits(), 1);
    assert_eq!(bench.confirmed(), 30);
    assert_eq!(bench.heard.lock().unwrap().stored, 30);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_is_stored_at_once() {
    let bench = bench(20, Patience::Endless, 0);
    let sent = Instant::now();
    bench.send(0..45);
    bench.settle().await;
    assert_eq!(sent.elapsed(), Duration::ZERO);
    assert_eq!(bench.repo.commits(), 2);
    assert_eq!(bench.confirmed(), 40);
}

#[tokio::test(start_paused = true)]
async fn large_deliveries_fill_the_window_by_their_bytes() {
    let bench = bench(100, Patience::Endless, 0);
    let mut large = message(0);
    large.payload.extend(vec![b'\n'; 5 * 1024 * 1024]);
    bench.nodes.send(Ok(large)).unwrap();
    bench.settle().await;
    assert_eq!(bench.confirmed(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_stored_alone() {
    let bench = bench(100, Patience::Endless, 0);
    bench.send(0..3);
    let mut large = message(3);
    large.payload.extend(vec![b'\n'; 1024 * 1024]);
    bench.nodes.send(Ok(large)).unwrap();
    bench.send(4..6);
    bench.settle().await;
    assert_eq!((bench.repo.commits(), bench.confirmed()), (2, 4), "the small ones, the large one");
    tokio::time::sleep(WAIT + Duration::from_millis(50)).await;
    assert_eq!((bench.repo.commits(), bench.confirmed()), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn long_logs_that_are_mostly_known_share_a_transaction() {
    let bench = bench(100, Patience::Endless, 0);
    let known = 400_000;
    for receipt in 0..8 {
        let mut log = message(receipt);
        log.payload.splice(0..0, vec![b'\n'; known]);
        log.known_prefix = known;
        bench.nodes.send(Ok(log)).unwrap();
    }
    tokio::time::sleep(WAIT + Duration::from_millis(50)).await;
    assert_eq!((bench.repo.commits(), bench.confirmed()), (1, 8));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_kept_and_confirmed_when_it_can() {
    let bench = bench(1, Patience::Endless, 5);
    bench.send(0..1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.confirmed(), 0);
    assert!(bench.repo.failures.load(Ordering::SeqCst) < 5, "it tries again");

    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.confirmed(), 1);
    assert_eq!(bench.repo.rows("Dach").await, 1);
}

#[tokio::test(start_paused = true)]
async fn when_asked_to_end_what_is_in_hand_is_stored_and_confirmed() {
    let bench = bench(100, Patience::Endless, 0);
    bench.send(0..3);
    bench.settle().await;
    let (repo, confirmed) = (Arc::clone(&bench.repo), Arc::clone(&bench.confirmed));
    bench.end().await.unwrap();
    assert_eq!(repo.rows("Dach").await, 3);
    assert_eq!(confirmed.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_few_more_tries_are_made_and_then_nothing_is_confirmed() {
    let bench = bench(1, Patience::Endless, u32::MAX);
    bench.send(0..1);
    bench.settle().await;
    let (asked, confirmed) = (Instant::now(), Arc::clone(&bench.confirmed));
    let error = bench.end().await.unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(4));
    assert!(error.to_string().contains("will come again"), "{error}");
    assert!(confirmed.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_try_that_hangs_is_given_up_as_soon_and_nothing_is_confirmed() {
    for failing in [false, true] {
        let bench = bench(1, Patience::Endless, 0);
        bench.repo.hangs.store(true, Ordering::SeqCst);
        if failing {
            // The note of a failure hangs as well.
            bench.nodes.send(Err(away())).unwrap();
        }
        bench.send(0..1);
        bench.settle().await;
        let (asked, confirmed) = (Instant::now(), Arc::clone(&bench.confirmed));
        let ended = tokio::time::timeout(Duration::from_mins(1), bench.end()).await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(4), "{failing}: {:?}", asked.elapsed());
        assert_eq!(ended.is_err(), !failing, "{ended:?}");
        assert!(confirmed.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_untold_is_told_when_it_is_due_and_at_the_end() {
    let bench = bench(1, Patience::Endless, 0);
    bench.heard.lock().unwrap().due = Some(Instant::now() + Duration::from_mins(1));
    bench.send(0..1);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(bench.heard.lock().unwrap().flushed, 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.heard.lock().unwrap().flushed, 1, "nothing else came meanwhile");

    let heard = Arc::clone(&bench.heard);
    bench.end().await.unwrap();
    assert_eq!(heard.lock().unwrap().flushed, 2);
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let bench = bench(1, Patience::AtMost(Duration::from_secs(30)), u32::MAX);
    bench.send(0..1);
    let error = bench.task.await.unwrap().unwrap_err();
    assert!(matches!(error, IntakeError::NotStored(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_source_is_noted_and_the_intake_goes_on() {
    let bench = bench(1, Patience::Endless, 0);
    bench.nodes.send(Err(away())).unwrap();
    bench.send(0..1);
    bench.settle().await;
    assert_eq!(bench.heard.lock().unwrap().failed, 1);
    assert_eq!(bench.confirmed(), 1);
    let sources = isems_core::MeasurementReader::sources(&*bench.repo).await.unwrap();
    let (_, error) = sources[0].last_error.as_ref().unwrap();
    assert_eq!(error, "is away");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_over_ends_the_intake_after_storing() {
    let bench = bench(100, Patience::Endless, 0);
    bench.send(0..2);
    let Bench { nodes, task, repo, .. } = bench;
    drop(nodes);
    task.await.unwrap().unwrap();
    assert_eq!(repo.rows("Dach").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_closed_ends_the_intake_with_its_reason_after_storing() {
    let bench = bench(100, Patience::Endless, 0);
    bench.send(0..2);
    let closed = SourceError::Closed {
        from: SourceId::new("test"),
        what: "is over".to_owned(),
        cause: None,
    };
    bench.nodes.send(Err(closed)).unwrap();
    let error = bench.task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "test: is over");
    assert_eq!(bench.repo.rows("Dach").await, 2);
}

/// Fails at once, whenever it is asked, and is over after many times.
struct FailingAtOnce(SourceId, u32);

#[async_trait]
impl NodeSource for FailingAtOnce {
    fn id(&self) -> &SourceId {
        &self.0
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        self.1 += 1;
        if self.1 < 10_000 { Err(away()) } else { Ok(None) }
    }

    async fn confirm(&mut self, _receipt: Receipt) -> Result<(), SourceError> {
        Ok(())
    }
}

#[tokio::test]
async fn others_run_while_a_source_fails_at_once_again_and_again() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix(BEGIN)));
    let collector = Collector::new(FlakyRepo::failing(0), Timestamp::from_unix(BEGIN));
    let stop = CancellationToken::new();
    let intake = Intake::new(
        FailingAtOnce(SourceId::new("test"), 0),
        SourceKind::Other,
        Arc::new(Writer::new(collector, clock)),
        Window::new(NonZeroUsize::MIN, WAIT),
        Box::new(Arc::new(Mutex::new(Heard::default()))),
    );
    let other = stop.clone();
    tokio::spawn(async move { other.cancel() });

    let (source, result) = intake.run(stop).await;

    assert!(result.is_ok());
    assert!(source.1 < 10, "asked {} times before another task had its turn", source.1);
}
