//! Both changes of the clocks in Berlin: hours that the old collector lost or
//! doubled.

use isems_core::{Basis, testing::delivery};

use crate::{
    recorded_logs::{log, reported},
    station::Station,
};

/// In how many pieces the log is read while it grows.
const POLLS: usize = 12;

/// Polls a log that grows, and checks that the stored times do what the
/// reported ones do.
async fn keeps_every_line(name: &str, node: &str) {
    let log = log(name);
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let mut station = Station::new().await;
    for poll in 1..=POLLS {
        let read = &lines[..lines.len() * poll / POLLS];
        let arrival = reported(read.last().unwrap()) + 30;
        station.set_clock(arrival);
        let answer = delivery("http://127.0.0.1/", read.concat().as_bytes(), arrival);
        station.ingest(&[answer]).await;
    }

    let stored = station.history(node).await;
    assert_eq!(stored.len(), lines.len(), "as many rows as lines");
    for (line, row) in lines.iter().zip(&stored) {
        assert_eq!(row.reported.key(), reported(line), "in the order of the log");
    }
    for pair in stored.windows(2) {
        assert!(pair[0].observed < pair[1].observed, "time goes on: {pair:?}");
    }
    let believed = stored.iter().filter(|row| row.basis == Basis::Node);
    for row in believed.clone() {
        assert_eq!(row.observed.as_unix(), row.reported.key());
    }
    let unset = lines.iter().filter(|line| reported(line) < 1_000_000).count();
    assert_eq!(believed.count(), lines.len() - unset, "these clocks were right");
}

#[tokio::test]
async fn the_spring_change_loses_no_line() {
    keeps_every_line("elektra-dach", "Elektra-Dach").await;
}

#[tokio::test]
async fn the_autumn_change_loses_no_line() {
    keeps_every_line("herbst-umstellung", "Solar Knoten 2").await;
}
