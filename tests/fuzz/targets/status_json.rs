//! The status file of a router: JSON, often cut short.

#![no_main]

use isems_core::wire::status_json::parse;
use isems_fuzz::{check, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::plant(files), |bytes: &[u8]| {
    let Ok(reading) = parse(bytes) else { return };
    check::sample(&reading.sample);
    assert!(reading.reported.as_unix() >= 0);
    assert_eq!(parse(&[bytes, b"\r\n"].concat()), Ok(reading));
});

fn files() -> Vec<Vec<u8>> {
    let answers = seeds::fixtures("http", ".raw");
    let bodies = answers.iter().map(|answer| seeds::body(answer));
    bodies.filter(|body| body.starts_with(b"{")).map(<[u8]>::to_vec).collect()
}
