//! Variables: what is in force, and every mistake at once.

use std::fs;

use crate::support::{Database, Isems};

#[test]
fn check_config_prints_every_setting_in_force() {
    let told = Isems::new()
        .unset("ISEMS_LISTEN")
        .set("ISEMS_POLL_INTERVAL", "5m")
        .set("ISEMS_KEEP_DAYS", "")
        .run(&["check-config"])
        .expect(0);
    for line in [
        "HIDE_INACTIVE_AFTER_DAYS = 30  (default)",
        "ISEMS_LISTEN             = 127.0.0.1:5000  (default)",
        "ISEMS_POLL_INTERVAL      = 5m",
        "ISEMS_KEEP_DAYS          = (unset)",
        "ISEMS_ROUTER_IPS         = (unset)",
    ] {
        assert!(told.stdout.lines().any(|l| l == line), "{line} in {told:#?}");
    }
}

#[test]
fn check_config_touches_nothing() {
    let isems = Isems::new();
    isems.run(&["check-config"]).expect(0);
    assert_eq!(fs::read_dir(isems.database().folder()).unwrap().count(), 0);
}

#[test]
fn secrets_are_hidden_in_the_settings_in_force() {
    let told = Isems::new()
        .set("MQTT_SERVER", "mqtt://user:geheim@127.0.0.1:1")
        .set("SENTRY_DSN", "http://geheim@127.0.0.1:1/1")
        .set("ISEMS_ROUTER_IPS", "http://user:geheim@127.0.0.1:1/csv.log")
        .run(&["check-config"])
        .expect(0);
    assert!(told.stdout.contains("127.0.0.1:1/csv.log"), "{told:#?}");
    assert!(!format!("{told:?}").contains("geheim"), "{told:#?}");
}

#[test]
fn every_mistake_is_reported_at_once_with_variable_value_and_what_is_accepted() {
    let mistakes = [
        ("DATABASE_URL", "postgres://localhost/isems", "sqlite:////"),
        ("HIDE_INACTIVE_AFTER_DAYS", "many", "whole number"),
        ("ISEMS_ROUTER_IPS", "10.0.0.1/x y", "10.0.0.1:8080"),
        ("MQTT_SERVER", "http://broker", "mqtts://"),
        ("ISEMS_LISTEN", "nowhere", "ADDRESS:PORT"),
        ("ISEMS_POLL_INTERVAL", "often", "15m"),
        ("ISEMS_POLL_CONCURRENCY", "0", "1 to 1000"),
        ("ISEMS_POLL_TIMEOUT", "never", "60s"),
        ("ISEMS_TIMEZONE", "Mars/Olympus", "Europe/Berlin"),
        ("ISEMS_KEEP_PER_NODE", "-1", "whole number"),
        ("ISEMS_KEEP_DAYS", "0", "whole number"),
        ("ISEMS_APP_DIR", "/does/not/exist", "index.html"),
        ("ISEMS_MAP_TILES", "/does/not/exist", "ZOOM/X/Y.png"),
        ("ISEMS_CORS_ORIGIN", "everybody", "https://map.example"),
        ("MQTT_TOPICS", "/isems/#/x", "/isems/#"),
        ("MQTT_PROTOCOL", "4", "3.1.1"),
        ("MQTT_PASSWORD_FILE", "/does/not/exist", "file"),
        ("MQTT_CA_FILE", "/does/not/exist", "PEM"),
        ("ISEMS_COMMIT_INTERVAL", "1h", "60s"),
        ("ISEMS_LOG", "a=b=c", "filter"),
        ("ISEMS_LOG_FORMAT", "xml", "json"),
    ];
    let isems =
        mistakes.iter().fold(Isems::new(), |isems, (name, value, _)| isems.set(name, value));
    for command in [&["check-config"][..], &["serve"], &["prune"]] {
        let told = isems.run(command).expect(64);
        assert!(told.stderr.contains("21 mistakes"), "{}", told.stderr);
        for (name, value, accepted) in mistakes {
            let begin = format!("{name}={value:?}: ");
            let found = told.stderr.find(&begin);
            let found = found.unwrap_or_else(|| panic!("{begin} in {}", told.stderr));
            let entry = told.stderr[found..].split("\n\n").next().unwrap();
            assert!(entry.contains(accepted), "{accepted} in {entry}");
        }
        assert_eq!(told.stdout, "");
    }
}

#[test]
fn a_mistake_never_shows_a_secret() {
    let told = Isems::new()
        .set("MQTT_SERVER", "http://user:geheim@broker:99999")
        .set("SENTRY_DSN", "geheim")
        .set("ISEMS_ROUTER_IPS", "http://user:geheim@node:99999/")
        .run(&["check-config"])
        .expect(64);
    assert!(told.stderr.contains("3 mistakes"), "{}", told.stderr);
    assert!(!told.stderr.contains("geheim"), "{}", told.stderr);
}

#[test]
fn a_misspelt_variable_is_a_warning_with_a_suggestion() {
    let told = Isems::new().set("ISEMS_ROUTER_IP", "127.0.0.1").run(&["check-config"]).expect(0);
    assert!(told.stderr.contains("did you mean ISEMS_ROUTER_IPS?"), "{}", told.stderr);
}

#[test]
fn a_database_in_a_temporary_folder_is_warned_of() {
    let told = Isems::new()
        .set("DATABASE_URL", "sqlite:////tmp/isems-test-that-is-never-opened.db")
        .run(&["check-config"])
        .expect(0);
    assert!(told.stderr.contains("temporary folder"), "{}", told.stderr);
}

#[test]
fn a_command_that_cannot_do_without_a_variable_names_it() {
    for (command, variable) in [("subscribe", "MQTT_SERVER"), ("prune", "ISEMS_KEEP_DAYS")] {
        let told = Isems::new().run(&[command]).expect(64);
        let missing = format!("{variable} is not set");
        assert!(told.stderr.contains(&missing), "{}", told.stderr);
    }
}

#[test]
fn the_log_is_json_if_asked_for() {
    let told = Isems::new()
        .set("ISEMS_LOG_FORMAT", "json")
        .set("ISEMS_ROUTER_IP", "127.0.0.1")
        .run(&["check-config"])
        .expect(0);
    for line in told.stderr.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["message"].is_string(), "{line}");
    }
    assert_ne!(told.stderr, "");
}

#[test]
fn the_log_is_as_quiet_as_asked_for() {
    let told = Isems::new()
        .set("ISEMS_LOG", "off")
        .set("ISEMS_ROUTER_IP", "127.0.0.1")
        .run(&["check-config"])
        .expect(0);
    assert_eq!(told.stderr, "");
}

#[test]
fn an_app_folder_needs_an_index() {
    let database = Database::new();
    let folder = database.folder().to_str().unwrap();
    let isems = Isems::new().set("ISEMS_APP_DIR", folder);
    let told = isems.run(&["check-config"]).expect(64);
    assert!(told.stderr.contains("without index.html"), "{}", told.stderr);
    fs::write(database.folder().join("index.html"), "<!doctype html>").unwrap();
    isems.run(&["check-config"]).expect(0);
}
