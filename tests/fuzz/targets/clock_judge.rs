//! Deliveries of nodes with any clocks, through the whole collector: nothing is
//! lost on the way, and nothing is stored twice.

#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use isems_core::{
    Basis, Collector, Delivery, DeliveryReport, Format, HistoryRange, MeasurementReader,
    MemoryRepo, Reported, Timestamp, time::DAY, wire::csv_log,
};
use isems_fuzz::{script, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::plant(stories), |bytes: &[u8]| pollster::block_on(tell(bytes)));

async fn tell(story: &[u8]) {
    let repo = Arc::new(MemoryRepo::default());
    let built = Timestamp::from_unix(1_700_000_000);
    let mut collector = Collector::new(repo.clone(), built);
    let mut stored = 0;
    for mut delivery in script::deliveries(story) {
        let report = ingest(&mut collector, &delivery).await;
        assert_eq!(accounted_for(&report), lines(&delivery), "{delivery:?} {report:?}");
        stored += report.tally.stored;

        delivery.redelivered = true;
        let again = ingest(&mut collector, &delivery).await;
        if report.tally.conflict == 0 && is_steady(&delivery) {
            assert_eq!(again.tally.stored, 0, "stored twice: {delivery:?} {again:?}");
        }
        stored += again.tally.stored;
        assert_eq!(accounted_for(&again), lines(&delivery), "{delivery:?} {again:?}");
    }
    assert_eq!(rows(&repo).await, stored);
}

async fn ingest(collector: &mut Collector, delivery: &Delivery) -> DeliveryReport {
    let deliveries = std::slice::from_ref(delivery);
    let mut reports = collector.ingest(deliveries, delivery.arrival).await.expect("memory holds");
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// The lines of a delivery that something was said of.
fn accounted_for(report: &DeliveryReport) -> u64 {
    let tally = &report.tally;
    tally.stored + tally.duplicate + tally.conflict + tally.expired + tally.rejected_in_all()
}

fn lines(delivery: &Delivery) -> u64 {
    if delivery.format != Format::CsvLog {
        return 1;
    }
    let log = csv_log::parse(&delivery.payload, delivery.framing);
    log.readings.len() as u64 + log.rejected_in_all()
}

/// Whether the clock of each node went on from line to line. (Two steps in one
/// log and a delivery in between can be told in a way that no rule unravels.)
fn is_steady(delivery: &Delivery) -> bool {
    if delivery.format != Format::CsvLog {
        return true;
    }
    let mut newest = BTreeMap::new();
    let log = csv_log::parse(&delivery.payload, delivery.framing);
    log.readings.into_iter().all(|reading| {
        let before = newest.insert(reading.node, reading.reported);
        before.is_none_or(|before| (1..=DAY).contains(&reading.reported.since(before)))
    })
}

/// Counts what is stored, and looks at each row.
async fn rows(repo: &MemoryRepo) -> u64 {
    let mut rows = 0;
    for newest in repo.latest(None).await.expect("memory holds") {
        let node = newest.measurement.node;
        let history = repo.history(&node, HistoryRange::default(), usize::MAX).await;
        let mut identities = BTreeSet::new();
        for row in history.expect("memory holds") {
            let row = row.measurement;
            assert!(identities.insert((row.observed, row.reported)), "{row:?}");
            if let (Basis::Node, Reported::Time(reported)) = (row.basis, row.reported) {
                assert_eq!(row.observed, reported, "{row:?}");
            }
            rows += 1;
        }
    }
    rows
}

fn stories() -> Vec<Vec<u8>> {
    let fixtures = seeds::fixtures("clock", ".json");
    fixtures.iter().filter_map(|fixture| script::of_fixture(fixture)).collect()
}
