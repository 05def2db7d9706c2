//! What really leaves for Sentry.

use std::{fs, sync::Arc};

use crate::support::{Database, Isems, Node, SentrySink, log};

#[test]
fn an_error_arrives_with_its_tags_and_without_secrets_and_coordinates() {
    let sink = SentrySink::new();
    // A name of a file that gets into the error's text.
    let database = Database::new();
    let file = database.folder().join("geheim at 52.47388, 13.39051.db");
    fs::write(&file, "this is no database, but long enough to look at").unwrap();

    let told = Isems::with_database(&Arc::new(database))
        .set("DATABASE_URL", &format!("sqlite:///{}", file.display()))
        .set("MQTT_SERVER", "mqtt://user:geheim@127.0.0.1:1")
        .set("SENTRY_DSN", &sink.dsn())
        .set("SENTRY_ENVIRONMENT", "balcony")
        .run(&["serve"])
        .expect(65);
    assert!(told.stderr.contains("52.47388"), "{}", told.stderr);

    let envelope = sink.wait_for("is not an SQLite database");
    assert!(envelope.head.starts_with("POST /api/42/envelope/ "), "{}", envelope.head);
    let event = envelope.event();
    // The level "error" is what Sentry assumes if none is named.
    assert_eq!(event["level"], serde_json::Value::Null);
    assert_eq!(event["environment"], "balcony");
    assert_eq!(event["release"], concat!("isems@", env!("CARGO_PKG_VERSION")));
    for hidden in ["geheim", "52.47388", "13.39051"] {
        assert!(!envelope.body.contains(hidden), "{hidden} in {}", envelope.body);
    }
}

#[test]
fn what_is_only_a_warning_stays_here() {
    let sink = SentrySink::new();
    let told = Isems::new()
        .set("SENTRY_DSN", &sink.dsn())
        .set("ISEMS_ROUTER_IP", "a misspelt variable")
        .run(&["check-config"])
        .expect(0);
    assert!(told.stderr.contains("did you mean"), "{}", told.stderr);
    assert_eq!(sink.envelopes().len(), 0, "{:?}", sink.envelopes());
}

#[test]
fn sentry_that_is_away_delays_nothing_for_long() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let isems = Isems::new().set("SENTRY_DSN", &format!("http://key@127.0.0.1:{port}/1"));
    fs::write(isems.database().path(), "no database").unwrap();
    let mut running = isems.start(&["serve"]);
    let status = running.wait(std::time::Duration::from_secs(10));
    assert_eq!(status.code(), Some(65));
}

#[test]
fn a_machine_without_root_certificates_can_report_over_http_only() {
    let sink = SentrySink::new();
    let isems =
        Isems::new().set("SSL_CERT_FILE", "/does/not/exist").set("SSL_CERT_DIR", "/does/not/exist");
    fs::write(isems.database().path(), "no database").unwrap();

    let isems = isems.set("SENTRY_DSN", "https://key@127.0.0.1:1/1");
    let told = isems.run(&["serve"]).expect(65);
    assert!(told.stderr.contains("nothing is reported to Sentry"), "{}", told.stderr);

    isems.set("SENTRY_DSN", &sink.dsn()).run(&["serve"]).expect(65);
    sink.wait_for("is not an SQLite database");
}

#[test]
fn trouble_with_storing_is_told_once_and_ends_by_itself() {
    let sink = SentrySink::new();
    let node = Node::empty();
    let isems = Isems::new()
        .nodes([&node])
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_COMMIT_INTERVAL", "0s")
        .set("SENTRY_DSN", &sink.dsn());
    let serving = isems.serve();
    serving.wait_for_log("polling round");

    // The database is moved away while nodes deliver, and something that is
    // none takes its place.
    let file = isems.database().path();
    let aside = isems.database().folder().join("aside.db");
    fs::rename(&file, &aside).unwrap();
    fs::write(&file, "no database").unwrap();
    node.set_log(log("aa-ring"));
    serving.wait_for_log("cannot store what nodes sent");
    fs::rename(&aside, &file).unwrap();
    serving.wait_for_log("storing works again");

    let told = serving.stop().expect(0);
    let errors = told.stderr.matches(" ERROR ").count();
    assert_eq!(errors, 1, "{}", told.stderr);
    assert_eq!(sink.envelopes().len(), 1);
    let told = isems.run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), "Inserted 0", "all is stored already");
}
