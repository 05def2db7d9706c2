//! Nodes at their worst, and what must become of each.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use crate::support::{RoughNode, Then, fixture};

/// A node, and what must become of what it sends.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) node: RoughNode,
    /// How many measurements are stored of it.
    pub(super) stored: u64,
    /// What `/sources` counts as rejected, by reason.
    pub(super) rejected: &'static [(&'static str, u64)],
    /// What `/sources` says if it could not be read.
    pub(super) error: Option<&'static str>,
    /// What the log warns of, each once.
    pub(super) warned: &'static [&'static str],
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";

/// A head that promises more than will come.
const LONG_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";

/// A good line of a node, the `minute`th, with any text in place of its
/// coordinates.
pub(super) fn line_at(node: &str, minute: usize, coordinates: &str) -> String {
    let time = 1_760_000_000 + 61 * minute;
    format!(
        "{node};1;{time};ATmega8_A_1;9940;0;21.002;17.041;12.58;23;100;17;11.7;14.2;7;20;\
         {coordinates};880\n"
    )
}

/// Good lines.
pub(super) fn lines(node: &str, count: usize) -> String {
    (0..count).map(|minute| line_at(node, minute, "52.5;13.4")).collect()
}

/// Lines without end, in a compressed file of some kilobytes.
fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(lines("bomb", 1_000_000).as_bytes().get(..16 << 20).unwrap()).unwrap();
    // A file of several parts is as good as one: 2 GiB.
    packed.finish().unwrap().repeat(128)
}

fn serves(name: &'static str, log: impl AsRef<[u8]>, stored: u64) -> Case {
    let answer = [HEAD.as_bytes(), log.as_ref()].concat();
    answers(name, answer, Then::Close, stored)
}

fn answers(name: &'static str, answer: impl Into<Vec<u8>>, then: Then, stored: u64) -> Case {
    let node = RoughNode::with_log(answer, then);
    Case { name, node, stored, rejected: &[], error: None, warned: &[] }
}

impl Case {
    fn rejected(self, rejected: &'static [(&'static str, u64)]) -> Self {
        Self { rejected, ..self }
    }

    fn fails(self, error: &'static str) -> Self {
        Self { error: Some(error), ..self }
    }

    fn warned(self, warned: &'static [&'static str]) -> Self {
        Self { warned, ..self }
    }
}

/// Nodes that are as they should be, and those that are not, in turn.
pub(super) fn cases() -> Vec<Case> {
    let good = ["aa-ring", "ps-wort", "latin1", "wackelkontakt"];
    let good = good
        .into_iter()
        .zip([42, 28, 100, 1_200])
        .map(|(name, stored)| serves(name, fixture(&format!("logs/{name}.log")), stored));
    let mut all = torn();
    all.extend(odd_bytes());
    all.extend(odd_fields());
    all.extend(recorded());
    all.extend(too_much());
    all.extend(no_log());
    // So that each good one has bad ones before and after it.
    for (case, place) in good.zip([1, 8, 15, 22]) {
        all.insert(place, case);
    }
    all
}

fn torn() -> Vec<Case> {
    let torn = format!("{}torn;1;1760000500;ATm", lines("torn", 3));
    let whole = |name| lines(name, 3);
    vec![
        serves("torn in the last line", torn, 3),
        answers("reset", format!("{LONG_HEAD}{}reset;1;17", whole("reset")), Then::Reset, 3),
        answers("short", format!("{LONG_HEAD}{}short;1;17", whole("short")), Then::Close, 3),
        answers("reset at once", format!("{LONG_HEAD}res"), Then::Reset, 0)
            .fails("before a whole line")
            .warned(&["before a whole line"]),
        answers("without head", whole("headless"), Then::Close, 3),
        answers("HTTP/1.0", format!("HTTP/1.0 200 OK\r\n\r\n{}", whole("esp")), Then::Close, 3),
        serves("empty", "", 0),
        answers("silent", "", Then::Close, 0)
            .fails("no usable answer")
            .warned(&["no usable answer"]),
    ]
}

fn odd_bytes() -> Vec<Case> {
    let three = |odd: &str| [line_at("odd", 0, "1;1"), odd.to_owned(), line_at("odd", 2, "1;1")];
    let around = |name: &str, odd: &str| three(odd).concat().replace("odd;", &format!("{name};"));
    let latin1 = [b"S\xfcd;".as_slice(), &lines("x", 1).as_bytes()[2..]].concat();
    let nul = line_at("n\0l", 1, "1;1");
    let nul_within = line_at("odd", 1, "1;1").replace("ATmega8_A_1", "AT\0mega");
    vec![
        serves("Latin-1", latin1, 1),
        serves("CRLF", lines("crlf", 3).replace('\n', "\r\n"), 3),
        serves("semicolon in a name", around("semicolon", &line_at("a;b", 1, "1;1")), 2)
            .rejected(&[("field count", 1)])
            .warned(&["line 2 rejected: has 20 fields"]),
        serves("NUL in a name", around("nul", &nul), 2)
            .rejected(&[("node id", 1)])
            .warned(&["line 2 rejected: the node id holds a control character"]),
        serves("NUL in a text", around("nul-text", &nul_within), 3),
        serves("no number", around("words", &line_at("odd", 1, "1;1").replace("12.58", "viel")), 2)
            .rejected(&[("batteryVoltage", 1)])
            .warned(&["line 2 rejected: batteryVoltage is not a number"]),
        serves("binary", [b"\x7fELF\0\xff\xfe\n".repeat(100), b"\n\r\0".to_vec()].concat(), 0)
            .rejected(&[("not a log", 1)])
            .fails("the answer is not a log")
            .warned(&["the answer is not a log"]),
    ]
}

fn odd_fields() -> Vec<Case> {
    let good = |name: &str| line_at(name, 9, "1;1");
    let names = ["100%", " blank", "blank ", &"n".repeat(129)];
    let names = names.map(|name| line_at(name, 0, "1;1")).concat() + &good("names");
    let times = ["-1", "1760000000.5", "", "heute"];
    let times = times.map(|time| line_at("times", 0, "1;1").replace("1760000000", time)).concat()
        + &good("times");
    let states = ["0x880", "f880", "88000", "8g0"];
    let states = states.iter().enumerate().map(|(minute, state)| {
        line_at("states", minute, "1;1").replace(";880\n", &format!(";{state}\n"))
    });
    let boot = format!("boot;1;0{}\n{}", ";0".repeat(16), lines("boot", 3));
    vec![
        serves("18 fields", lines("very-old", 3).replace(";880\n", "\n"), 3),
        serves("names that are none", names, 1).rejected(&[("node id", 4)]).warned(&[
            "line 1 rejected",
            "line 2 rejected",
            "line 3 rejected",
            "line 4 rejected",
        ]),
        serves("times that are none", times, 1).rejected(&[("timestamp", 4)]).warned(&[
            "line 1 rejected",
            "line 2 rejected",
            "line 3 rejected",
            "line 4 rejected",
        ]),
        serves("states", states.collect::<String>(), 2)
            .rejected(&[("status", 2)])
            .warned(&["line 3 rejected: the status", "line 4 rejected: the status"]),
        serves("boot placeholder", boot, 3).rejected(&[("boot placeholder", 1)]),
    ]
}

/// What was recorded of real nodes in moments that are hard to hit. Without
/// their clocks, which are another matter.
fn recorded() -> Vec<Case> {
    let raw = |file| String::from_utf8(fixture(&format!("http/{file}.raw"))).unwrap();
    let of = |name, raw: String, stored| {
        let lines = raw.split_inclusive('\n').filter(|line| !line.starts_with("Date: "));
        answers(name, lines.collect::<String>(), Then::Close, stored)
    };
    // It was recorded twice, and is to be two nodes.
    let cut = raw("router_race_content_length_cuts_last_line").replace("Race;", "Rase;");
    let placeholder = raw("external_csv_initial_no_http_headers");
    vec![
        of("recorded: read while it was written", raw("router_race_partial_last_line"), 42),
        of("recorded: cut by its length", cut, 42),
        of("recorded: longer than its length", raw("router_race_longer_than_content_length"), 0),
        of("recorded: empty", raw("router_race_empty_200"), 0),
        of("recorded: forbidden", raw("router_race_403"), 0)
            .fails("answered 403")
            .warned(&["answered 403"]),
        of("recorded: ESP32", raw("esp2021_csv"), 5),
        of("recorded: without head", raw("external_csv_no_http_headers"), 5),
        of("recorded: without head, at its start", placeholder, 0)
            .rejected(&[("boot placeholder", 1)]),
    ]
}

fn too_much() -> Vec<Case> {
    let whole = |name| format!("{LONG_HEAD}{}", lines(name, 3));
    let megabytes = format!("{}\n", "x".repeat(2_000_000));
    let long = [lines("long", 1), megabytes, line_at("long", 2, "1;1")].concat();
    let again = line_at("endlos", 2, "52.5;13.4").repeat(1_000);
    let endless_head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let garbage =
        (0..50_000).map(|i| format!("{i};{}", ";".repeat(20))).collect::<Vec<_>>().join("\n")
            + "\n";
    let many = (0..3_000).map(|i| line_at(&format!("Erfunden-{i}"), 0, "1;1")).collect::<String>();
    vec![
        serves("a line of megabytes", long, 2)
            .rejected(&[("field count", 1)])
            .warned(&["line 2 rejected: has 1 fields"]),
        answers("endless", whole("endless"), Then::Repeat(vec![b'x'; 65_536]), 3)
            .warned(&["the log is longer than 2097152 bytes"]),
        answers("endless good lines", whole("endlos"), Then::Repeat(again.into_bytes()), 3)
            .warned(&["the log is longer than 2097152 bytes"]),
        answers("endless line", LONG_HEAD, Then::Repeat(vec![b'x'; 65_536]), 0)
            .fails("more than 2097152 bytes")
            .warned(&["more than 2097152 bytes"]),
        answers("endless head", endless_head, Then::Repeat(b"X-Y: z\r\n".repeat(1_000)), 0)
            .fails("no usable answer")
            .warned(&["no usable answer"]),
        answers("drip", whole("drip"), Then::Drip, 3).warned(&["the log came too slowly"]),
        answers("hang", "", Then::Hang, 0).fails("no answer within").warned(&["no answer within"]),
        answers("hang in the head", "HTTP/1.1 2", Then::Hang, 0)
            .fails("no answer within")
            .warned(&["no answer within"]),
        serves("thousands of bad lines", garbage, 0)
            .rejected(&[("field count", 50_000)])
            .warned(&["line 1 rejected", "line 20 rejected"]),
        serves("thousands of nodes", many, 1_000)
            .rejected(&[("too many nodes", 2_000)])
            .warned(&["the log names too many nodes: Erfunden-1000"]),
    ]
}

fn no_log() -> Vec<Case> {
    let page = "<html>\n<body>\n<h1>Willkommen;;;;;;;;;;;;;;;;;;;;</h1>\n</body>\n</html>\n";
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/log\r\n\r\n";
    let bombed = RoughNode::new([(
        "/ISEMS/ffopenmppt.log.gz",
        [HEAD.as_bytes(), &bomb()].concat(),
        Then::Close,
    )]);
    vec![
        serves("a page", page, 0)
            .rejected(&[("not a log", 1)])
            .fails("the answer is not a log")
            .warned(&["the answer is not a log"]),
        answers("a redirect", redirect, Then::Close, 0)
            .fails("a redirect to http://127.0.0.1:1/log, which is not followed")
            .warned(&["a redirect to http://127.0.0.1:1/log, which is not followed"]),
        answers("an error", "HTTP/1.1 500 Oh\r\n\r\nx", Then::Close, 0)
            .fails("answered 500")
            .warned(&["answered 500"]),
        Case { node: bombed, ..serves("a compressed bomb", "", 0) }
            .fails("answered 404")
            .warned(&["the compressed old log holds more than 2097152 bytes", "answered 404"]),
    ]
}
