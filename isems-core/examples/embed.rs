//! The collector in a program of your own: a source that you write, a
//! repository in memory, and no runtime but the one you have.
//!
//! ```sh
//! cargo run -p isems-core --example embed
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use isems_core::{
    ActivityRule, Clock, Collector, Delivery, Format, Framing, MemoryRepo, NodeSource, Nodes,
    Query, Receipt, RepoError, SourceError, SourceId, SourceKind, Timestamp,
};

/// Nodes whose lines arrive by whatever you have: a serial line, a
/// radio gateway, a file. It hands over a handful of lines and is over; one
/// that goes on for ever must not lose what was not confirmed:
/// `tests/conformance/stranger_source.rs` is such a source, and passes the suite.
struct MySource {
    id: SourceId,
    lines: Vec<String>,
}

#[async_trait]
impl NodeSource for MySource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        Ok(self.lines.pop().map(|line| Delivery {
            source: self.id.clone(),
            kind: SourceKind::Other,
            format: Format::CsvLog,
            bytes: line.len() as u64,
            payload: line.into_bytes(),
            known_prefix: 0,
            framing: Framing::Whole,
            topic: None,
            node: None,
            arrival: MyClock.now(),
            sender_clock: None,
            redelivered: false,
            retained: false,
            position: None,
            receipt: Receipt(0),
        }))
    }

    async fn confirm(&mut self, _: Receipt) -> Result<(), SourceError> {
        Ok(()) // Here a gateway would be told that it may forget the line.
    }
}

/// The time of your system; in this example it stands still.
struct MyClock;

impl Clock for MyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_748_770_000)
    }
}

const LINES: [&str; 2] = [
    "Hilltop;1;1748769990;LoRa_1;600;0;19.2;16.1;12.9;80;100;21;11.7;14.2;7;20;52.5;13.4;900",
    "Barn;1;1748769985;LoRa_1;600;0;18.7;15.9;12.1;41;100;19;11.7;14.2;7;20;52.6;13.3;980",
];

fn main() -> Result<(), RepoError> {
    let mut source =
        MySource { id: SourceId::new("lora"), lines: LINES.map(str::to_owned).to_vec() };
    let repo = Arc::new(MemoryRepo::default());
    let mut collector = Collector::new(repo.clone(), Timestamp::from_unix(1_700_000_000));
    pollster::block_on(async {
        let failed = |failure| eprintln!("{failure}");
        let tally = collector.drain(&mut source, &MyClock, failed).await?;
        println!("{} measurements stored", tally.stored);
        let query = Query::new(repo, ActivityRule::default());
        for row in query.latest(Nodes::Active, MyClock.now()).await? {
            let volts = row.measurement.sample.battery_voltage;
            println!("{}: {volts:?} V", row.measurement.node);
        }
        Ok(())
    })
}
