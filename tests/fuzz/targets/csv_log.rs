//! The log of a node: any bytes, however they end.

#![no_main]

use isems_core::{
    Framing,
    wire::csv_log::{Line, format_line, parse, parse_line, used_len},
};
use isems_fuzz::{check, seeds};
use libfuzzer_sys::fuzz_target;

const GOOD_LINE: &str = "Gute Zeile;1;1743163321;ATmega8_A_1;9940;0;21.002;17.041;12.58;23;100;17;\
                         11.7;14.2;7;20;52.507309;13.458635;880";

fuzz_target!(init: seeds::plant(logs), |bytes: &[u8]| {
    let [cut, log, whole] = [Framing::Cut, Framing::Log, Framing::Whole].map(|framing| {
        let used = used_len(bytes, framing);
        assert!(used <= bytes.len());
        let parsed = parse(bytes, framing);
        check::report(&parsed);
        parsed.readings.iter().for_each(|reading| check::sample(&reading.sample));
        a_good_neighbour_is_kept(bytes, framing);
        parsed.readings
    });
    assert!(log.starts_with(&cut), "a cut log holds nothing that the log does not");
    assert!(whole.starts_with(&log), "what is left for later is at the end");

    for reading in &whole {
        assert!(reading.reported.as_unix() >= 0);
        // %.14g may round what was sent, but only once.
        let written = format_line(reading);
        let again = match parse_line(written.as_bytes()) {
            Ok(Line::Reading(again)) => again,
            Ok(Line::BootPlaceholder(node)) => {
                assert_eq!((node, reading.reported.as_unix()), (reading.node.clone(), 0));
                continue;
            }
            Err(reason) => panic!("{written:?} {reason}"),
        };
        assert_eq!(again.node, reading.node);
        assert_eq!(again.reported, reading.reported);
        assert_eq!(again.sample.status, reading.sample.status);
        // Above 100 V it would be read as millivolts once more.
        if reading.sample.low_voltage_disconnect.is_none_or(|volts| volts <= 100.0) {
            assert_eq!(format_line(&again), written);
        }
    }
});

/// A good line after these bytes is found, whatever they are.
fn a_good_neighbour_is_kept(bytes: &[u8], framing: Framing) {
    let payload = [bytes, b"\n", GOOD_LINE.as_bytes(), b"\n"].concat();
    let readings = parse(&payload, framing).readings;
    let last = readings.last().map(format_line);
    assert_eq!(last.as_deref(), Some(GOOD_LINE));
}

fn logs() -> Vec<Vec<u8>> {
    let logs = seeds::fixtures("logs", ".log");
    let answers = seeds::fixtures("http", ".raw");
    let bodies = answers.iter().map(|answer| seeds::body(answer));
    let odd = [
        &b"NODE;1;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0\r\n"[..],
        b"A;1;1;;-0;on;nan;-inf;1e3; 2 ;-905;-149;11700;0.1;0;0;52,516;;0x1900",
        b"\xef\xbb\xbf\xef\xbb\xbfB;1;99;x;1;6;1;1;1;1;1;1;1;1;1;1;90;-180\n",
    ];
    let logs = logs.iter().map(|log| seeds::excerpt(log));
    logs.chain(bodies.chain(odd).map(seeds::excerpt)).collect()
}
