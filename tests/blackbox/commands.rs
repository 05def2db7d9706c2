//! What the commands do with nodes and a database.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{Database, Isems, Node, Running, eventually, fixture, get, log};

/// Every recorded log, and how many of its lines are measurements.
const LOGS: [(&str, u64); 15] = [
    ("aa-ring", 42),
    ("avr-echt", 472),
    ("elektra-dach", 3_660),
    ("herbst-umstellung", 900),
    ("kaputte-geo", 60),
    ("keine-verbindung", 200),
    ("latin1", 100),
    ("leere-uci", 60),
    ("leerzeichen-geo", 30),
    ("ohne-ntp.boot2", 1_426),
    ("ps-wort", 28),
    ("semikolon", 0),
    ("uhrensprung", 708),
    ("wackelkontakt", 1_200),
    ("watchdog42000", 100),
];

fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A database that holds what `nodes` serve.
fn filled<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Isems {
    let isems = Isems::new().nodes(nodes);
    isems.run(&["update-data"]).expect(0);
    isems
}

fn node_ids(serving: &Running) -> Vec<String> {
    let answer = get(&format!("{}/measurements/latest?all=true", serving.api()));
    let answer = answer.json();
    let measurements = answer["measurements"].as_array().unwrap();
    measurements.iter().map(|m| m["nodeId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn update_data_takes_every_line_of_every_recorded_log_once() {
    let nodes = LOGS.map(|(name, _)| Node::with_log(log(name)));
    let isems = Isems::new().nodes(&nodes);

    let told = isems.run(&["update-data"]).expect(0);
    for (node, (name, rows)) in nodes.iter().zip(LOGS) {
        let begin = format!("{}: {rows} stored", node.source());
        let found = told.stdout.lines().any(|line| line.starts_with(&begin));
        assert!(found, "{name}: {begin} in\n{}", told.stdout);
    }
    let semikolon = nodes[11].source();
    let rejected = format!("{semikolon}: 0 stored, 20 rejected (field count)");
    assert!(told.stdout.contains(&rejected), "{}", told.stdout);
    assert_eq!(told.last_line(), "Inserted 8986");

    // The node without a clock boots again.
    nodes[9].set_log(log("ohne-ntp.boot3"));
    let told = isems.run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), "Inserted 200");

    let told = isems.run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), "Inserted 0");
}

#[test]
fn a_rejected_line_is_logged_once_with_its_reason() {
    let node = Node::with_log(log("semikolon"));
    let isems = Isems::new().nodes([&node]);
    let told = isems.run(&["update-data"]).expect(0);
    assert!(told.stderr.contains("line 1 rejected: has 20 fields"), "{}", told.stderr);
    let told = isems.run(&["update-data"]).expect(0);
    assert!(!told.stderr.contains("rejected"), "{}", told.stderr);
}

#[test]
fn update_data_says_what_went_wrong_with_a_node_and_goes_on() {
    let node = Node::with_log(log("aa-ring"));
    let empty = Node::empty();
    let away = closed_port();
    let list = format!("{},127.0.0.1:{away},{}", empty.address(), node.address());
    let told = Isems::new().set("ISEMS_ROUTER_IPS", &list).run(&["update-data"]).expect(0);
    for line in [
        format!("{}: 42 stored", node.source()),
        format!("{}: answered 404 Not Found", empty.source()),
        format!("http://127.0.0.1:{away}/ISEMS/ffopenmppt.log: "),
    ] {
        let found = told.stdout.lines().any(|l| l.starts_with(&line));
        assert!(found, "{line} in\n{}", told.stdout);
    }
    assert_eq!(told.last_line(), "Inserted 42");
}

#[test]
fn update_data_fails_if_no_node_could_be_read() {
    let web_page = Node::empty();
    web_page.set_raw("/ISEMS/ffopenmppt.log", fixture("http/router_html.raw"));
    let away = closed_port();
    let told = Isems::new()
        .set("ISEMS_ROUTER_IPS", &format!("127.0.0.1:{away},{}", web_page.address()))
        .run(&["update-data"])
        .expect(1);
    assert_eq!(told.last_line(), "Inserted 0");
    assert!(told.stderr.contains("none of 2 nodes"), "{}", told.stderr);
}

#[test]
fn update_data_fails_without_a_place_for_the_data() {
    let node = Node::with_log(log("aa-ring"));
    let database = Database::new();
    let file = database.folder().join("missing").join("isems.db");
    let told = Isems::new()
        .nodes([&node])
        .set("DATABASE_URL", &format!("sqlite:///{}", file.display()))
        .run(&["update-data"])
        .expect(1);
    assert!(told.stderr.contains("does not exist"), "{}", told.stderr);
    assert_eq!(node.requests().len(), 0, "nobody is asked in vain");
}

#[test]
fn update_data_works_beside_a_running_serve() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new();
    let serving = isems.serve();
    assert_eq!(node_ids(&serving), Vec::<String>::new());
    let told = isems.nodes([&node]).run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), "Inserted 42");
    assert_eq!(node_ids(&serving), ["Ålesund-Nord"]);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_was() {
    let isems = Isems::new();
    let file = isems.database().path();
    fs::write(&file, "somebody's letters").unwrap();
    for (command, code) in
        [(&["serve"][..], 65), (&["forget", "x", "--yes"], 1), (&["backup", "x"], 1)]
    {
        let told = isems.run(command).expect(code);
        let name = file.display().to_string();
        assert!(told.stderr.contains(&name), "{}", told.stderr);
        assert_eq!(fs::read(&file).unwrap(), b"somebody's letters");
    }
    let left = fs::read_dir(isems.database().folder()).unwrap().count();
    assert_eq!(left, 1);
}

#[test]
fn serve_polls_its_nodes_and_ends_soon_after_sigterm() {
    let node = Node::with_log(log("aa-ring"));
    let serving = Isems::new().nodes([&node]).serve();
    eventually("the node in the API", || (node_ids(&serving) == ["Ålesund-Nord"]).then_some(()));
    serving.wait_for_log("polling round: 1 of 1 node read, 42 stored");

    let asked = Instant::now();
    let told = serving.stop().expect(0);
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(told.stderr.contains("SIGTERM"), "{}", told.stderr);
    assert_eq!(told.stdout, "");
}

#[test]
fn what_is_in_hand_at_sigterm_is_stored() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new()
        .nodes([&node])
        .set("ISEMS_COMMIT_INTERVAL", "60s")
        .set("ISEMS_LOG", "info,isems::intake=debug");
    let serving = isems.serve();
    serving.wait_for_log("in hand");
    assert_eq!(node_ids(&serving), Vec::<String>::new());

    serving.stop().expect(0);

    let serving = isems.unset("ISEMS_ROUTER_IPS").serve();
    assert_eq!(node_ids(&serving), ["Ålesund-Nord"]);
}

#[test]
fn a_node_that_hangs_does_not_delay_the_end() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging.local_addr().unwrap().to_string();
    let serving = Isems::new().set("ISEMS_ROUTER_IPS", &address).serve();
    let (_connection, _) = hanging.accept().unwrap();
    let asked = Instant::now();
    serving.stop().expect(0);
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_broker_that_is_away_does_not_delay_the_end() {
    let broker = format!("127.0.0.1:{}", closed_port());
    let subscribed = Isems::new().set("MQTT_SERVER", &broker).start(&["subscribe"]);
    subscribed.wait_for_log("subscribing to /isems/#");
    let asked = Instant::now();
    let told = subscribed.stop().expect(0);
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(!told.stderr.contains("serving the API"), "{}", told.stderr);
}

#[test]
fn a_second_signal_ends_at_once() {
    let node = Node::with_log(log("elektra-dach"));
    let isems = filled([&node]).unset("ISEMS_ROUTER_IPS");
    let mut serving = isems.serve();
    // Somebody who asks for much and reads nothing keeps the API draining.
    let host = serving.api().replace("http://", "");
    let mut slow = TcpStream::connect(&host).unwrap();
    let ask = format!("GET /measurements/Elektra-Dach/latest HTTP/1.1\r\nHost: {host}\r\n\r\n");
    slow.write_all(ask.repeat(16).as_bytes()).unwrap();
    slow.peek(&mut [0]).unwrap();

    serving.signal("TERM");
    serving.wait_for_log("SIGTERM: ending");
    serving.signal("TERM");
    let status = serving.wait(Duration::from_secs(2));
    assert_eq!(status.code(), Some(130), "{}", serving.log());
}

#[test]
fn serve_says_that_it_collects_nothing_if_nothing_is_set() {
    let serving = Isems::new().serve();
    serving.wait_for_log("nothing is collected");
    serving.stop().expect(0);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = Isems::new().set("ISEMS_LISTEN", &address).run(&["serve"]).expect(1);
    assert!(told.stderr.contains("ISEMS_LISTEN"), "{}", told.stderr);
    assert!(told.stderr.contains(&address), "{}", told.stderr);
}

#[test]
fn prune_says_what_it_would_remove_and_then_removes_it() {
    let node = Node::with_log(log("aa-ring"));
    let isems = filled([&node]).set("ISEMS_KEEP_PER_NODE", "10");

    let told = isems.run(&["prune", "--dry-run"]).expect(0);
    assert_eq!(
        told.stdout,
        "Ålesund-Nord: would remove 32 measurements (32 beyond the newest 10)\n\
         Would remove 32 measurements of 1 node"
    );
    let told = isems.run(&["prune"]).expect(0);
    assert_eq!(told.last_line(), "Removed 32 measurements of 1 node");
    let told = isems.run(&["prune"]).expect(0);
    assert_eq!(told.stdout, "Removed 0 measurements of 0 nodes");
}

#[test]
fn what_was_pruned_does_not_come_back_with_the_next_round() {
    let node = Node::with_log(log("aa-ring"));
    let isems = filled([&node]).set("ISEMS_KEEP_DAYS", "1");
    let told = isems.run(&["prune"]).expect(0);
    assert_eq!(told.last_line(), "Removed 41 measurements of 1 node");
    // Another address: nothing is known of how far it was read.
    let again = Node::with_log(log("aa-ring"));
    let told = isems.nodes([&again]).run(&["update-data"]).expect(0);
    assert!(told.stdout.contains("older than what was pruned"), "{}", told.stdout);
    assert_eq!(told.last_line(), "Inserted 0");
}

#[test]
fn rebuild_rollups_says_what_it_did_and_may_be_repeated_beside_serve() {
    let isems = Isems::new();
    let told = isems.run(&["rebuild-rollups"]).expect(0);
    assert_eq!(told.stdout, "Rebuilt the rollups of 0 nodes");

    let nodes = ["aa-ring", "ps-wort"].map(|name| Node::with_log(log(name)));
    let isems = filled(&nodes).unset("ISEMS_ROUTER_IPS");
    let _serving = isems.serve();
    for _ in 0..2 {
        let told = isems.run(&["rebuild-rollups"]).expect(0);
        assert_eq!(
            told.stdout,
            "ps-wort: 1 hour\nÅlesund-Nord: 1 hour\nRebuilt the rollups of 2 nodes"
        );
    }
}

#[test]
fn forget_removes_a_node_and_nothing_else() {
    let nodes = ["aa-ring", "ps-wort"].map(|name| Node::with_log(log(name)));
    let isems = filled(&nodes).unset("ISEMS_ROUTER_IPS");
    let told = isems.run(&["forget", "Ålesund-Nord", "--yes"]).expect(0);
    assert_eq!(told.stdout, "Removed Ålesund-Nord and its 42 measurements");
    let left = node_ids(&isems.serve());
    assert_eq!(left.len(), 1);
    assert!(!left.contains(&"Ålesund-Nord".to_owned()));
}

#[test]
fn forget_without_yes_removes_nothing_where_nobody_can_be_asked() {
    let node = Node::with_log(log("aa-ring"));
    let isems = filled([&node]).unset("ISEMS_ROUTER_IPS");
    let told = isems.run(&["forget", "Ålesund-Nord"]).expect(1);
    assert!(told.stderr.contains("--yes"), "{}", told.stderr);
    assert_eq!(node_ids(&isems.serve()), ["Ålesund-Nord"]);
}

#[test]
fn forget_of_an_unknown_node_names_those_that_are_near() {
    let node = Node::with_log(log("aa-ring"));
    let isems = filled([&node]);
    let told = isems.run(&["forget", "Alesund-Nord", "--yes"]).expect(1);
    assert!(told.stderr.contains("did you mean Ålesund-Nord?"), "{}", told.stderr);
}

#[test]
fn a_backup_while_serve_runs_holds_everything() {
    let node = Node::with_log(log("aa-ring"));
    let isems = filled([&node]).unset("ISEMS_ROUTER_IPS");
    let serving = isems.serve();
    let copy = Arc::new(Database::new());
    let file = copy.path();
    let file = file.to_str().unwrap();

    let told = isems.run(&["backup", file]).expect(0);
    assert!(told.stdout.contains(file), "{}", told.stdout);
    let restored = Isems::with_database(&copy).serve();
    assert_eq!(node_ids(&restored), node_ids(&serving));

    let told = isems.run(&["backup", file]).expect(1);
    assert!(told.stderr.contains("exists already"), "{}", told.stderr);
}

#[test]
fn a_backup_of_nothing_is_an_error() {
    let isems = Isems::new();
    let copy = isems.database().folder().join("copy.db");
    isems.run(&["backup", copy.to_str().unwrap()]).expect(1);
    assert!(!copy.exists());
}
