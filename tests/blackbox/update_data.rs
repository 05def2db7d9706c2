//! `isems update-data` over every recorded log, whole, as real web servers of
//! nodes serve them: each line becomes one row, once.

use isems_adapters::{SystemClock, sqlite::SqliteRepo};
use isems_core::{Clock as _, HistoryRange, MeasurementReader as _, Reported, SourceSummary};

use crate::support::{Database, Isems, Node, Outcome, log};

/// Log, node id, and how many of its lines are measurements.
const LOGS: [(&str, &str, usize); 15] = [
    ("aa-ring", "Ålesund-Nord", 42),
    ("avr-echt", "AVR-echt", 472),
    ("elektra-dach", "Elektra-Dach", 3_660),
    ("herbst-umstellung", "Solar Knoten 2", 900),
    ("kaputte-geo", "kaputte-geo", 60),
    ("keine-verbindung", "keine-verbindung", 200),
    ("latin1", "Münchner-Straße", 100),
    ("leere-uci", "leere-uci", 60),
    ("leerzeichen-geo", "leerzeichen-geo", 30),
    (CLOCKLESS, "ohne-ntp", 1_426),
    ("ps-wort", "ps-wort", 28),
    ("semikolon", "semi", 0),
    ("uhrensprung", "uhrensprung", 708),
    ("wackelkontakt", "Wackelkontakt", 1_200),
    ("watchdog42000", "watchdog42000", 100),
];

/// The node without a clock, and its log after the next boot.
const CLOCKLESS: &str = "ohne-ntp.boot2";
const CLOCKLESS_NEXT_BOOT: (&str, usize) = ("ohne-ntp.boot3", 200);

/// How a node's web server answers.
#[derive(Clone, Copy, Debug)]
enum Server {
    /// With `ETag`; says 304 when nothing changed.
    Tags,
    /// With the node's clock as `Date`, and no `ETag`.
    Dates,
    /// HTTP/1.0 without length, tag or time, as an ESP32.
    Bare,
}

impl Server {
    fn serve(self, node: &Node, name: &str) {
        let log = log(name);
        let head = match self {
            Self::Tags => return node.set_log(log),
            Self::Dates => format!(
                "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Length: {}\r\n\r\n",
                clock_of(name, &log),
                log.len()
            ),
            Self::Bare => "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n".to_owned(),
        };
        node.set_raw("/ISEMS/ffopenmppt.log", [head.into_bytes(), log].concat());
    }
}

/// What the node's clock shows: the right time, or seconds since the boot.
fn clock_of(name: &str, log: &[u8]) -> String {
    let seconds = if name.starts_with("ohne-ntp") {
        let last = log.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
        let last = String::from_utf8(last.to_vec()).unwrap();
        last.split(';').nth(2).unwrap().parse::<i64>().unwrap() + 30
    } else {
        SystemClock.now().as_unix()
    };
    let moment = jiff::Timestamp::from_second(seconds).unwrap();
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Every log at a node of its own.
fn fleet(server: Server) -> Vec<Node> {
    let node = |(name, _, _)| {
        let node = Node::empty();
        server.serve(&node, name);
        node
    };
    LOGS.map(node).into()
}

/// The node with this log.
fn at<'a>(nodes: &'a [Node], name: &str) -> &'a Node {
    &nodes[LOGS.iter().position(|(log, _, _)| *log == name).unwrap()]
}

fn poll(isems: &Isems) -> Outcome {
    isems.run(&["update-data"]).expect(0)
}

/// The line that tells of a node.
fn line_of<'a>(told: &'a Outcome, node: &Node) -> &'a str {
    let begin = format!("{}: ", node.source());
    let mut lines = told.stdout.lines().filter_map(|line| line.strip_prefix(&begin));
    let line = lines.next().unwrap_or_else(|| panic!("nothing of {begin} in\n{}", told.stdout));
    assert_eq!(lines.next(), None, "a line per node");
    line
}

/// What the file holds, looked at from outside.
struct Content {
    /// Node id, and the reported times of its rows in the order of the observed.
    nodes: Vec<(String, Vec<i64>)>,
    sources: Vec<SourceSummary>,
}

impl Content {
    fn of(database: &Database) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let repo = SqliteRepo::open(&database.path()).await.unwrap();
            let mut nodes = Vec::new();
            for latest in repo.latest(None).await.unwrap() {
                let node = &latest.measurement.node;
                let rows = repo.history(node, HistoryRange::ALL, usize::MAX).await.unwrap();
                let reported = rows.iter().rev().map(|row| match row.measurement.reported {
                    Reported::Time(time) => time.as_unix(),
                    Reported::Fingerprint(_) => panic!("a line tells a time"),
                });
                nodes.push((node.to_string(), reported.collect()));
            }
            let sources = repo.sources().await.unwrap();
            repo.close().await;
            Self { nodes, sources }
        })
    }

    fn rows_of(&self, node: &str) -> usize {
        self.nodes.iter().find(|(id, _)| id == node).map_or(0, |(_, rows)| rows.len())
    }

    fn rows(&self) -> usize {
        self.nodes.iter().map(|(_, rows)| rows.len()).sum()
    }
}

fn takes_every_line_once(server: Server) {
    let nodes = fleet(server);
    let isems = Isems::new().nodes(&nodes);

    let first = poll(&isems);
    for (name, _, rows) in LOGS {
        let line = line_of(&first, at(&nodes, name));
        assert!(line.starts_with(&format!("{rows} stored")), "{name}: {line}");
    }
    let rejected = line_of(&first, at(&nodes, "semikolon"));
    assert_eq!(rejected, "0 stored, 20 rejected (field count)");
    assert_eq!(first.last_line(), "Inserted 8986");
    let content = Content::of(isems.database());
    assert_eq!(content.rows(), 8_986);
    for (name, node, rows) in LOGS {
        assert_eq!(content.rows_of(node), rows, "{name}");
    }

    let (next_boot, rows) = CLOCKLESS_NEXT_BOOT;
    server.serve(at(&nodes, CLOCKLESS), next_boot);
    let second = poll(&isems);
    let line = line_of(&second, at(&nodes, CLOCKLESS));
    assert!(line.starts_with(&format!("{rows} stored")), "{line}");
    assert_eq!(second.last_line(), "Inserted 200");
    let content = Content::of(isems.database());
    assert_eq!(content.rows(), 9_186);
    assert_eq!(content.rows_of("ohne-ntp"), 1_426 + 200);

    let third = poll(&isems);
    assert_eq!(third.last_line(), "Inserted 0");
    assert_eq!(Content::of(isems.database()).rows(), 9_186);
}

#[test]
fn nodes_that_tag_their_logs() {
    takes_every_line_once(Server::Tags);
}

#[test]
fn nodes_that_tell_their_clock() {
    takes_every_line_once(Server::Dates);
}

#[test]
fn nodes_that_tell_nothing() {
    takes_every_line_once(Server::Bare);
}

#[test]
fn an_unchanged_log_is_not_sent_again() {
    let nodes = fleet(Server::Tags);
    let isems = Isems::new().nodes(&nodes);
    poll(&isems);
    for node in &nodes {
        assert!(!node.requests().concat().to_lowercase().contains("if-none-match"));
    }

    let again = poll(&isems);
    assert_eq!(again.last_line(), "Inserted 0");
    for ((name, _, _), node) in LOGS.iter().zip(&nodes) {
        let requests = node.requests();
        assert_eq!(requests.len(), 2, "{name}: one request a round");
        let asked = requests[1].to_lowercase();
        assert!(asked.contains("if-none-match"), "{name}: {asked}");
        assert!(!asked.contains("if-modified-since"), "{name}: {asked}");
    }
}

#[test]
fn a_log_polled_by_another_address_is_known() {
    let names = ["elektra-dach", "uhrensprung", "herbst-umstellung", CLOCKLESS];
    let isems = Isems::new();
    let mut nodes = Vec::new();
    for expected in ["Inserted 6694", "Inserted 0"] {
        let moved = names.map(|name| Node::with_log(log(name)));
        let told = poll(&Isems::with_database(isems.database()).nodes(&moved));
        assert_eq!(told.last_line(), expected);
        nodes.extend(moved);
    }
    assert_eq!(Content::of(isems.database()).sources.len(), nodes.len());
}

#[test]
fn the_rows_are_in_the_order_of_the_log_whatever_the_clock_did() {
    let names = ["elektra-dach", "herbst-umstellung", "uhrensprung", "ohne-ntp.boot2"];
    let nodes = names.map(|name| Node::with_log(log(name)));
    let isems = Isems::new().nodes(&nodes);
    poll(&isems);
    let content = Content::of(isems.database());
    for name in names {
        let text = String::from_utf8(log(name)).unwrap();
        let time = |line: &str| line.split(';').nth(2).unwrap().parse().unwrap();
        let reported: Vec<i64> = text.lines().map(time).collect();
        let node = text.split(';').next().unwrap();
        let (_, found) = content.nodes.iter().find(|(id, _)| id == node).unwrap();
        assert!(*found == reported, "{name}");
    }
}

#[test]
fn what_was_rejected_is_accounted_for_once() {
    let nodes = [Node::with_log(log("semikolon"))];
    let isems = Isems::new().nodes(&nodes);
    poll(&isems);
    poll(&isems);
    let content = Content::of(isems.database());
    assert_eq!(content.rows(), 0);
    let [source] = &content.sources[..] else { panic!("{:?}", content.sources) };
    assert_eq!(source.tally.rejected.get("field count"), Some(&20), "{source:?}");
}
