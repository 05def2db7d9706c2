use proptest::prelude::*;

use super::*;
use crate::NodeIdError;

const GOOD: &str = "Elektra-Dach;1;1743163321;ATmega8_A_1;9940;0;21.002;17.041;12.58;23;100;17;11.7;14.2;7;20;52.507309;13.458635;880";

fn with_field(field: usize, text: &str) -> String {
    let mut fields: Vec<&str> = GOOD.split(';').collect();
    fields[field - 1] = text;
    fields.join(";")
}

fn reading(line: &str) -> Reading {
    match parse_line(line.as_bytes()) {
        Ok(Line::Reading(reading)) => reading,
        other => panic!("{line}: {other:?}"),
    }
}

fn reason(line: &str) -> RejectReason {
    parse_line(line.as_bytes()).expect_err(line)
}

#[test]
fn every_field_of_a_good_line_lands_in_its_place() {
    assert_eq!(
        reading(GOOD),
        Reading {
            node: NodeId::new("Elektra-Dach").unwrap(),
            reported: Timestamp::from_unix(1_743_163_321),
            sample: Sample {
                revision: "1".into(),
                firmware: "ATmega8_A_1".into(),
                time_to_shutdown: Some(9940.0),
                power_save: false,
                open_circuit_voltage: Some(21.002),
                mpp_voltage: Some(17.041),
                battery_voltage: Some(12.58),
                state_of_charge: Some(23.0),
                battery_health: Some(100.0),
                battery_temperature: Some(17.0),
                low_voltage_disconnect: Some(11.7),
                charge_end_voltage: Some(14.2),
                battery_capacity: Some(7.0),
                module_power: Some(20.0),
                latitude: Some(52.507_309),
                longitude: Some(13.458_635),
                status: Some(NodeStatus::from_bits(0x880)),
            },
        }
    );
}

#[test]
fn a_line_that_breaks_a_rule_is_rejected_and_the_reason_names_it() {
    let twenty = format!("semi;{GOOD}");
    let long = with_field(1, &"n".repeat(129));
    for (line, expected) in [
        (twenty.as_str(), RejectReason::FieldCount(20)),
        ("Elektra-Dach;1;1743163321", RejectReason::FieldCount(3)),
        (&with_field(1, ""), NodeIdError::Empty.into()),
        (&with_field(1, " x"), NodeIdError::Blank.into()),
        (&with_field(1, "50%"), NodeIdError::Percent.into()),
        (&with_field(1, "a\0b"), NodeIdError::Control.into()),
        (&long, NodeIdError::TooLong.into()),
        (&with_field(3, "-1"), RejectReason::Timestamp),
        (&with_field(3, "12.5"), RejectReason::Timestamp),
        (&with_field(3, "+5"), RejectReason::Timestamp),
        (&with_field(3, ""), RejectReason::Timestamp),
        (&with_field(3, "99999999999999999999"), RejectReason::Timestamp),
        (&with_field(9, "12,58"), RejectReason::Number("batteryVoltage")),
        (&with_field(9, ""), RejectReason::Number("batteryVoltage")),
        (&with_field(17, "north"), RejectReason::Number("latitude")),
        (&with_field(19, ""), RejectReason::Status),
        (&with_field(19, "12345"), RejectReason::Status),
    ] {
        assert_eq!(reason(line), expected, "{line}");
    }
}

#[test]
fn what_a_node_may_write_in_a_field_is_understood() {
    for (field, text, check) in [
        (6, "0", (|s| !s.power_save) as fn(&Sample) -> bool),
        (6, "1", |s| s.power_save),
        (6, "6", |s| s.power_save),
        (6, "on", |s| s.power_save),
        (4, "", |s| s.firmware.is_empty()),
        (4, " a\u{7}b\0 ", |s| s.firmware == "ab"),
        (10, "-0", |s| s.state_of_charge.is_some_and(f64::is_sign_positive)),
        (11, "-905", |s| s.battery_health == Some(-905.0)),
        (11, "-inf", |s| s.battery_health.is_none()),
        (12, "-149", |s| s.battery_temperature == Some(-149.0)),
        (12, "nan", |s| s.battery_temperature.is_none()),
        (13, "11700", |s| s.low_voltage_disconnect == Some(11.7)),
        (13, "11.9", |s| s.low_voltage_disconnect == Some(11.9)),
        (17, "52,516", |s| s.latitude == Some(52.516)),
        (17, " ", |s| s.latitude.is_none()),
        (18, "181", |s| s.longitude.is_none()),
        (19, "0x0b2", |s| s.status == Some(NodeStatus::from_bits(0x0B2))),
        (19, "F500", |s| s.status == Some(NodeStatus::from_bits(0x500))),
    ] {
        let line = with_field(field, text);
        assert!(check(&reading(&line).sample), "{line}");
    }
}

#[test]
fn a_very_old_node_sends_no_status() {
    let line = GOOD.rsplit_once(';').unwrap().0;
    assert_eq!(reading(line).sample.status, None);
}

#[test]
fn a_line_that_is_not_utf8_is_windows_1252() {
    let mut line = b"M\xFCnchner-Stra\xDFe".to_vec();
    line.extend_from_slice(&GOOD.as_bytes()["Elektra-Dach".len()..]);
    let Ok(Line::Reading(reading)) = parse_line(&line) else { panic!() };
    assert_eq!(reading.node.as_str(), "Münchner-Straße");
}

#[test]
fn byte_order_marks_before_a_line_are_no_part_of_the_name() {
    for marks in ["\u{feff}", "\u{feff}\u{feff}"] {
        assert_eq!(reading(&format!("{marks}{GOOD}")), reading(GOOD));
    }
}

#[test]
fn a_placeholder_from_before_the_first_measurement_is_no_reading() {
    let line = b"ESP32-Meshnode-1;1;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0";
    assert!(matches!(parse_line(line), Ok(Line::BootPlaceholder(_))));
    let log = parse(line, Framing::Log);
    assert_eq!((log.readings.len(), log.rejected.len()), (0, 1));
    assert_eq!(log.rejected[0].reason.key(), "boot placeholder");
}

#[test]
fn the_last_line_of_a_log_counts_if_it_is_terminated_or_visibly_complete() {
    let whole = format!("{GOOD}\n");
    let two = format!("{GOOD}\n{GOOD}");
    let torn = format!("{GOOD}\nElektra-Dach;1;17431");
    let cut_status = format!("{GOOD}\n{}", &GOOD[..GOOD.len() - 1]);
    let eighteen = format!("{GOOD}\n{}", GOOD.rsplit_once(';').unwrap().0);
    let crlf = format!("{GOOD}\r\n{GOOD}\r\n");
    for (payload, framing, lines) in [
        (&whole, Framing::Log, 1),
        (&two, Framing::Log, 2),
        (&two, Framing::Cut, 1),
        (&two, Framing::Whole, 2),
        (&torn, Framing::Log, 1),
        (&cut_status, Framing::Log, 1),
        (&eighteen, Framing::Log, 1),
        (&eighteen, Framing::Whole, 2),
        (&crlf, Framing::Log, 2),
    ] {
        let log = parse(payload.as_bytes(), framing);
        assert_eq!(log.readings.len(), lines, "{framing:?} {payload:?}");
        assert_eq!(log.rejected, [], "{framing:?} {payload:?}");
    }
}

#[test]
fn an_answer_that_is_no_log_is_one_rejected_answer() {
    let html = "<html><body>\n<p style='a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s'>x</p>\n</html>\n";
    for (payload, framing, rejected) in [
        (html, Framing::Log, 1),
        ("<h1>Not Found</h1>", Framing::Log, 1),
        ("Encryption not enabled.\n", Framing::Log, 1),
        ("rubbish", Framing::Whole, 1),
        ("", Framing::Log, 0),
        ("\r\n\n", Framing::Log, 0),
        ("Elektra-Dach;1;17431", Framing::Log, 0),
    ] {
        let log = parse(payload.as_bytes(), framing);
        assert_eq!(log.rejected.len(), rejected, "{payload:?}");
        assert!(log.rejected.iter().all(|r| r.reason == RejectReason::NotALog), "{payload:?}");
    }
}

#[test]
fn of_millions_of_bad_lines_a_few_are_kept_and_all_are_counted() {
    let mut payload = format!("{GOOD}\n").into_bytes();
    payload.extend(b";\n".repeat(100_000));
    let log = parse(&payload, Framing::Log);
    assert_eq!(
        (log.readings.len(), log.rejected.len(), log.rejected_in_all()),
        (1, Log::EXAMPLES, 100_000)
    );
}

#[test]
fn a_node_may_be_named_like_markup() {
    let line = with_field(1, "<script>alert(1)</script>");
    for payload in [line.clone(), format!("{line}\n"), format!("{line}\n<script>alert(1)</scr")] {
        let log = parse(payload.as_bytes(), Framing::Log);
        assert_eq!((log.readings.len(), log.rejected.len()), (1, 0), "{payload}");
    }
}

#[test]
fn real_logs_are_read_whole() {
    for (name, lines, rejected) in [
        ("aa-ring", 42, 0),
        ("avr-echt", 472, 0),
        ("elektra-dach", 3660, 0),
        ("herbst-umstellung", 900, 0),
        ("kaputte-geo", 60, 0),
        ("keine-verbindung", 200, 0),
        ("latin1", 100, 0),
        ("leere-uci", 60, 0),
        ("leerzeichen-geo", 30, 0),
        ("ohne-ntp.boot2", 1426, 0),
        ("ohne-ntp.boot3", 200, 0),
        ("ps-wort", 28, 0),
        ("semikolon", 0, 20),
        ("uhrensprung", 708, 0),
        ("wackelkontakt", 1200, 0),
        ("watchdog42000", 100, 0),
    ] {
        let path = format!("{}/../tests/fixtures/logs/{name}.log", env!("CARGO_MANIFEST_DIR"));
        let log = parse(&std::fs::read(&path).unwrap(), Framing::Log);
        assert_eq!((log.readings.len(), log.rejected_in_all()), (lines, rejected), "{name}");
    }
}

prop_compose! {
    fn any_value()(value in prop_oneof![
        3 => (-40_000i32..40_000).prop_map(|n| f64::from(n) / 1000.0),
        1 => Just(0.0),
    ], unknown in prop::bool::weighted(0.1)) -> Option<f64> {
        (!unknown).then_some(value)
    }
}

prop_compose! {
    fn any_reading()(
        node in "[^\\p{C}\\p{Z}%;]{1,20}",
        firmware in "[A-Za-z0-9_]{0,12}",
        seconds in 0i64..4_000_000_000,
        numbers in prop::collection::vec(any_value(), 10),
        latitude in prop::option::of(-90_000_000i32..90_000_000),
        longitude in prop::option::of(-180_000_000i32..180_000_000),
        power_save in any::<bool>(),
        status in prop::option::of(0u16..0x1000),
    ) -> Reading {
        Reading {
            node: NodeId::new(&node).unwrap(),
            reported: Timestamp::from_unix(seconds),
            sample: Sample {
                revision: "1".into(),
                firmware,
                time_to_shutdown: numbers[0],
                power_save,
                open_circuit_voltage: numbers[1],
                mpp_voltage: numbers[2],
                // Not zero, so that no line is a boot placeholder.
                battery_voltage: numbers[3].map(|v| (v.abs() * 1000.0 + 1000.0).round() / 1000.0),
                state_of_charge: numbers[4],
                battery_health: numbers[5],
                battery_temperature: numbers[6],
                low_voltage_disconnect: numbers[7],
                charge_end_voltage: numbers[8],
                battery_capacity: numbers[9],
                module_power: numbers[0],
                latitude: latitude.map(|d| f64::from(d) / 1e6),
                longitude: longitude.map(|d| f64::from(d) / 1e6),
                status: status.map(NodeStatus::from_bits),
            },
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(reading in any_reading()) {
        let line = format_line(&reading);
        prop_assert_eq!(parse_line(line.as_bytes()), Ok(Line::Reading(reading)), "{}", line);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for framing in [Framing::Whole, Framing::Log, Framing::Cut] {
            prop_assert!(used_len(&bytes, framing) <= bytes.len());
            let _ = parse(&bytes, framing);
        }
        let _ = parse_line(&bytes);
    }

    #[test]
    fn a_bad_line_takes_no_good_neighbour_with_it(
        readings in prop::collection::vec(any_reading(), 1..6),
        trash in prop::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(readings.len());
        let mut payload = Vec::new();
        for (index, reading) in readings.iter().enumerate() {
            if index == at {
                payload.extend_from_slice(&trash);
                payload.push(b'\n');
            }
            payload.extend_from_slice(format_line(reading).as_bytes());
            payload.push(b'\n');
        }
        prop_assert_eq!(parse(&payload, Framing::Log).readings, readings);
    }

    #[test]
    fn a_prefix_of_a_log_never_yields_a_line_that_the_log_does_not_hold(
        readings in prop::collection::vec(any_reading(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        // The beginning of such a name cannot be told from that of a page.
        prop_assume!(!readings[0].node.as_str().starts_with('<'));
        let mut payload = Vec::new();
        for reading in &readings {
            payload.extend_from_slice(format_line(reading).as_bytes());
            payload.push(b'\n');
        }
        payload.truncate(cut.index(payload.len() + 1));
        let log = parse(&payload, Framing::Log);
        prop_assert_eq!(&log.readings[..], &readings[..log.readings.len()]);
        prop_assert_eq!(log.rejected.len(), 0);
    }
}
