//! The calls of isems-app in a real browser, and what it does to each node:
//! whatever nodes are stored, it must never throw, for that blanks the page for
//! everybody. The page is ours (`client_page/client.js`), served by `serve`.

mod browser;
mod hostile;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use isems_adapters::SystemClock;
use isems_core::Clock as _;
use serde_json::Value;

use crate::{
    serve::{collector, subscribed},
    support::{Broker, Isems, Message, Node, Running, get, recorded, told_by},
};

/// The names in the recorded logs; those in `semikolon` are no names.
const NAMES_IN_LOGS: [&str; 14] = [
    "AVR-echt",
    "Elektra-Dach",
    "Münchner-Straße",
    "Solar Knoten 2",
    "Wackelkontakt",
    "kaputte-geo",
    "keine-verbindung",
    "leere-uci",
    "leerzeichen-geo",
    "ohne-ntp",
    "ps-wort",
    "uhrensprung",
    "watchdog42000",
    "Ålesund-Nord",
];

/// The most that is told of one node.
const MOST_ROWS: usize = 1_440;

fn app_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/blackbox/client_page")
}

fn with_page(isems: Isems) -> Isems {
    isems.set("ISEMS_APP_DIR", app_dir().to_str().unwrap())
}

/// The files of a folder of fixtures, in the order of their names.
fn paths_in(folder: &str) -> BTreeSet<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(folder);
    let paths: BTreeSet<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty());
    paths
}

fn files_in(folder: &str) -> impl Iterator<Item = Vec<u8>> {
    paths_in(folder).into_iter().map(|path| fs::read(path).unwrap())
}

/// All that was ever published; what was posted has no way in.
fn messages() -> Vec<Message> {
    let paths = paths_in("mqtt");
    let names = paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap());
    names.filter(|name| !name.ends_with(".httppost")).flat_map(recorded).collect()
}

/// A node that serves the hostile ones.
fn hostile_node() -> Node {
    Node::with_log(hostile::log(SystemClock.now().as_unix()))
}

/// A node that answers with recorded bytes, headers and all.
fn raw_node(answer: Vec<u8>) -> Node {
    let node = Node::empty();
    node.set_raw("/ISEMS/ffopenmppt.log", answer);
    node
}

/// Stores what these nodes serve.
fn poll(isems: &Isems, nodes: &[Node]) {
    let polling = Isems::with_database(isems.database()).nodes(nodes);
    polling.run(&["update-data"]).expect(0);
}

/// The node that publishes to a topic.
fn published_by(topic: &str) -> &str {
    let (node, _format) = topic.rsplit_once('/').unwrap();
    let begins = ["/isems/", "isems/testdrive/foobar/"];
    begins.into_iter().find_map(|begin| node.strip_prefix(begin)).unwrap()
}

/// What the page says of itself.
#[derive(Debug)]
struct Seen {
    title: String,
    /// By API that it used.
    apis: Vec<Nodes>,
}

#[derive(Debug)]
struct Nodes {
    active: BTreeSet<String>,
    /// What the details of each node turned out to show, and how many rows.
    details: BTreeMap<String, (String, usize)>,
}

impl Seen {
    /// Opens the page.
    fn at(url: &str) -> Self {
        let page = browser::page_at(url);
        let between = |begin: &str, end: &str| {
            let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("{url}: {page}"));
            rest.split_once(end).unwrap().0.to_owned()
        };
        let title = between("<title>", "</title>");
        assert_ne!(title, "running", "{url}: the script did not come to its end");
        let report: Value =
            serde_json::from_str(&between("<pre id=\"report\">", "</pre>")).unwrap();
        assert!(title.starts_with("PASS "), "{url}: {}", report["error"].as_str().unwrap());
        let apis = report["apis"].as_array().unwrap().iter().map(Nodes::of).collect();
        Self { title, apis }
    }
}

impl Nodes {
    fn of(report: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let details = report["nodes"].as_array().unwrap().iter().map(|node| {
            let rows = usize::try_from(node["rows"].as_u64().unwrap()).unwrap();
            (text(&node["id"]), (text(&node["shows"]), rows))
        });
        let active = report["active"].as_array().unwrap().iter().map(text).collect();
        Self { active, details: details.collect() }
    }

    /// Takes the hostile nodes out; asserts that all were there and showed
    /// what they should.
    #[track_caller]
    fn take_hostile(&mut self) {
        for (name, expected) in hostile::outcomes() {
            let (shows, rows) = self.details.remove(&name).unwrap_or_else(|| panic!("no {name:?}"));
            assert_eq!(shows, expected, "{name:?}");
            if shows == "itself" {
                assert_eq!(i64::try_from(rows), Ok(hostile::ROWS), "{name:?}");
            }
            assert!(self.active.contains(&name), "{name:?} was heard a minute ago");
        }
        assert!(!self.details.contains_key(hostile::FORBIDDEN));
    }
}

/// How many nodes the API tells of.
fn nodes_told_by(serving: &Running) -> usize {
    let answer = get(&format!("{}/measurements/latest?all=true", serving.api())).json();
    answer["measurements"].as_array().unwrap().len()
}

#[test]
fn the_client_shows_all_that_nodes_were_ever_recorded_to_send_and_worse() {
    // Given every recorded log, answer and message, and hostile nodes
    let broker = Broker::start();
    let topics = "/isems/#,isems/testdrive/foobar/#";
    let isems = with_page(collector(&broker, "5")).set("MQTT_TOPICS", topics);
    let logs = files_in("logs").map(Node::with_log);
    let raw = files_in("http").map(raw_node);
    poll(&isems, &logs.chain(raw).chain([hostile_node()]).collect::<Vec<_>>());
    let polled = isems.database().count();
    let serving = subscribed(&isems, &broker);
    let messages = messages();
    broker.publish(&messages);
    isems.database().wait_for_rows(polled + told_by(&messages).len());

    // When the client looks at each node
    let mut seen = Seen::at(&format!("{}/", serving.api()));

    // Then it never throws, and shows them
    let [nodes] = &mut seen.apis[..] else { panic!("{}", seen.title) };
    assert_eq!(nodes.details.len(), nodes_told_by(&serving));
    nodes.take_hostile();
    for (name, (shows, rows)) in &nodes.details {
        assert_eq!(shows, "itself", "{name:?}");
        assert!((1..=MOST_ROWS).contains(rows), "{name:?}: {rows}");
    }
    let published = messages.iter().map(|(topic, _)| published_by(topic));
    for name in NAMES_IN_LOGS.into_iter().chain(published) {
        assert!(nodes.details.contains_key(name), "{name:?}");
    }
    assert_eq!(nodes.details["Elektra-Dach"].1, MOST_ROWS);
}

#[test]
fn a_page_of_another_origin_may_ask_and_one_without_nodes_shows_nothing() {
    // Given an API without nodes, one with, and a page from elsewhere
    let bare = Isems::new().serve();
    let isems = Isems::new();
    poll(&isems, &[hostile_node()]);
    let filled = isems.serve();
    let place = format!("/?api={}&api={}/api", bare.api(), filled.api());
    let origin = Node::empty();
    for (path, file, kind) in [
        (&*place, "index.html", "text/html; charset=utf-8"),
        ("/client.js", "client.js", "text/javascript; charset=utf-8"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\n\r\n");
        let content = fs::read(app_dir().join(file)).unwrap();
        origin.set_raw(path, [head.into_bytes(), content].concat());
    }

    // When the client asks both
    let mut seen = Seen::at(&format!("http://{}{place}", origin.address()));

    // Then it shows the nodes of the one
    assert_eq!(seen.title, format!("PASS {} nodes", nodes_told_by(&filled)));
    let [nothing, nodes] = &mut seen.apis[..] else { panic!("{}", seen.title) };
    assert!(nothing.details.is_empty() && nothing.active.is_empty(), "{nothing:?}");
    nodes.take_hostile();
    assert!(nodes.details.is_empty(), "{nodes:?}");
    // It really came from elsewhere.
    assert!(origin.requests().iter().any(|head| head.starts_with("GET /client.js ")));
}
