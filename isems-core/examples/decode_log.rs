//! Decodes a node's log from standard input:
//!
//! ```sh
//! cargo run -p isems-core --example decode_log < tests/fixtures/logs/latin1.log
//! ```

use std::io::{self, Read, Write};

use isems_core::{Framing, wire::csv_log};

fn main() -> io::Result<()> {
    let mut payload = Vec::new();
    io::stdin().read_to_end(&mut payload)?;
    let log = csv_log::parse(&payload, Framing::Log);

    let mut out = io::stdout().lock();
    for reading in &log.readings {
        let volts =
            |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |v| format!("{v:.3} V"));
        writeln!(
            out,
            "{:>12}  {}  battery {}  panel {}  status {}",
            reading.reported,
            reading.node,
            volts(reading.sample.battery_voltage),
            volts(reading.sample.open_circuit_voltage),
            reading.sample.status.map_or_else(|| "?".to_owned(), |status| status.to_string()),
        )?;
    }
    for rejected in &log.rejected {
        writeln!(out, "rejected: {rejected}")?;
    }
    let (read, rejected) = (log.readings.len(), log.rejected_in_all());
    writeln!(out, "{read} lines read, {rejected} rejected")
}
