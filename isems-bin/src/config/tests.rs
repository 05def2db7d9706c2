//! What the environment means.

use super::{
    variables::{
        DATABASE_URL, HIDE_INACTIVE_AFTER_DAYS, ISEMS_APP_DIR, ISEMS_COMMIT_INTERVAL,
        ISEMS_CORS_ORIGIN, ISEMS_LISTEN, ISEMS_LOG, ISEMS_LOG_FORMAT, ISEMS_MAP_TILES,
        ISEMS_POLL_CONCURRENCY, ISEMS_POLL_INTERVAL, ISEMS_POLL_TIMEOUT, ISEMS_TIMEZONE,
        MQTT_CA_FILE, MQTT_CLIENT_ID, MQTT_PASSWORD_FILE, MQTT_PROTOCOL, MQTT_TOPICS, SENTRY_DSN,
        SENTRY_ENVIRONMENT,
    },
    *,
};

fn read<const N: usize>(variables: [(&str, &str); N]) -> Result<Settings, Mistakes> {
    Settings::read(variables.map(|(name, value)| (name.into(), value.into())))
}

#[test]
fn an_empty_environment_gives_the_documented_defaults() {
    let settings = read([]).unwrap();
    assert_eq!(settings.database.path(), std::path::Path::new("/tmp/test.db"));
    assert_eq!(settings.activity, ActivityRule::after_days(30));
    assert!(settings.polling.nodes.is_empty());
    assert_eq!(settings.polling.interval, Duration::from_mins(15));
    assert_eq!(settings.polling.concurrency.get(), 8);
    assert_eq!(settings.polling.timeout, Duration::from_mins(1));
    assert!(settings.broker.is_none());
    assert!(settings.sentry.dsn.is_none());
    assert_eq!(settings.api.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(settings.api.cors_origin, CorsOrigin::Any);
    assert!(settings.api.app_dir.is_none());
    assert_eq!(settings.commit_interval, Duration::from_secs(2));
    assert_eq!(settings.zone.iana_name(), Some("Europe/Berlin"));
    assert!(settings.retention.is_unlimited());
    assert_eq!(settings.log.filter, "info");
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn a_broker_comes_with_its_documented_defaults() {
    let broker = read([("MQTT_SERVER", "broker.example")]).unwrap().broker.unwrap();
    assert_eq!(broker.topics.len(), 1);
    assert_eq!(broker.topics[0].to_string(), "/isems/#");
    assert_eq!(broker.client_id, "isems-collector");
    assert_eq!(broker.password, None);
    assert_eq!(broker.ca_file, None);
}

#[test]
fn every_variable_refuses_what_it_cannot_use() {
    for (name, value) in [
        (DATABASE_URL, "postgres://localhost/isems"),
        (DATABASE_URL, "sqlite::memory:"),
        (HIDE_INACTIVE_AFTER_DAYS, "-1"),
        (ISEMS_ROUTER_IPS, "10.0.0.1, 10.0.0.2/log"),
        (MQTT_SERVER, "http://broker"),
        (MQTT_TOPICS, "/isems/#/more"),
        (MQTT_CLIENT_ID, "bell\u{7}"),
        (MQTT_PROTOCOL, "4"),
        (MQTT_PASSWORD_FILE, "/does/not/exist"),
        (MQTT_CA_FILE, "/does/not/exist"),
        (MQTT_CA_FILE, concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
        (SENTRY_DSN, "https://sentry.example"),
        (SENTRY_ENVIRONMENT, "two words"),
        (ISEMS_LISTEN, "5000"),
        (ISEMS_POLL_INTERVAL, "0"),
        (ISEMS_POLL_INTERVAL, "8d"),
        (ISEMS_POLL_CONCURRENCY, "0"),
        (ISEMS_POLL_TIMEOUT, "soon"),
        (ISEMS_COMMIT_INTERVAL, "5m"),
        (ISEMS_TIMEZONE, "Europe/Bielefeld"),
        (ISEMS_KEEP_PER_NODE, "0"),
        (ISEMS_KEEP_DAYS, "many"),
        (ISEMS_APP_DIR, "/does/not/exist"),
        (ISEMS_MAP_TILES, "/does/not/exist"),
        (ISEMS_CORS_ORIGIN, "map.example/path"),
        (ISEMS_LOG, "info,=,"),
        (ISEMS_LOG_FORMAT, "yaml"),
    ] {
        let mistakes = read([(name, value)]).expect_err(&format!("{name}={value}")).to_string();
        let accepted = variables::find(name).unwrap().accepted;
        assert!(mistakes.contains(name), "{mistakes}");
        assert!(mistakes.contains(accepted), "{mistakes}");
        if name != SENTRY_DSN {
            assert!(mistakes.contains(&format!("{name}={value:?}: ")), "{mistakes}");
        }
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let mistakes =
        read([(ISEMS_LISTEN, "5000"), (ISEMS_TIMEZONE, "Mars"), (ISEMS_KEEP_DAYS, "many")])
            .unwrap_err()
            .to_string();
    assert!(mistakes.starts_with("The configuration has 3 mistakes:"), "{mistakes}");
    for name in [ISEMS_LISTEN, ISEMS_TIMEZONE, ISEMS_KEEP_DAYS] {
        assert!(mistakes.contains(name), "{mistakes}");
    }
}

#[test]
fn the_password_comes_from_the_first_line_of_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "geheim\r\n").unwrap();
    let path = file.path().to_str().unwrap();

    let settings = read([(MQTT_SERVER, "mqtt://user@broker"), (MQTT_PASSWORD_FILE, path)]).unwrap();
    let password = settings.broker.as_ref().unwrap().password.as_ref().unwrap();
    assert_eq!(password.reveal(), "geheim");
    assert!(!format!("{settings:?}").contains("geheim"));

    let mistakes = read([(MQTT_SERVER, "broker"), (MQTT_PASSWORD_FILE, path)]).unwrap_err();
    assert!(mistakes.to_string().contains("without a user"), "{mistakes}");
}

#[test]
fn settings_without_effect_are_warned_of() {
    let settings = read([(MQTT_TOPICS, "/isems/#")]).unwrap();
    assert_eq!(settings.warnings, ["MQTT_TOPICS has no effect: MQTT_SERVER is not set"]);
}

#[test]
fn settings_in_force_name_every_variable_and_hide_secrets() {
    let settings = read([
        (MQTT_SERVER, "mqtt://user:geheim@broker:1884"),
        (SENTRY_DSN, "https://geheim@sentry.example/1"),
        (ISEMS_ROUTER_IPS, "http://user:geheim@10.0.0.9/csv.log"),
        (ISEMS_KEEP_DAYS, "365"),
    ])
    .unwrap();
    let shown = &settings.in_force;
    for variable in variables::VARIABLES {
        assert!(shown.contains(variable.name), "{shown}");
    }
    assert!(!shown.contains("geheim"), "{shown}");
    assert!(!format!("{settings:?}").contains("geheim"));
    for part in ["broker:1884", "10.0.0.9", "= 365\n", "= 15m  (default)\n"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn update_data_polls_the_old_default_node_if_none_is_named() {
    let settings = read([]).unwrap().with_default_node().unwrap();
    let nodes: Vec<String> = settings.polling.nodes.iter().map(ToString::to_string).collect();
    assert_eq!(nodes, ["http://10.36.158.33/ISEMS/ffopenmppt.log"]);

    let settings = read([(ISEMS_ROUTER_IPS, "127.0.0.1:1")]).unwrap();
    assert_eq!(settings.with_default_node().unwrap().polling.nodes.len(), 1);
}

#[test]
fn commands_say_which_variable_they_need() {
    let settings = read([]).unwrap();
    let broker = settings.require_broker().unwrap_err().to_string();
    assert!(broker.contains("MQTT_SERVER is not set"), "{broker}");
    let retention = settings.require_retention().unwrap_err().to_string();
    assert!(retention.contains("ISEMS_KEEP_PER_NODE is not set"), "{retention}");
    assert!(retention.contains("ISEMS_KEEP_DAYS is not set"), "{retention}");
}
