//! The command line.

use crate::support::Isems;

/// Every command of the help, in its order.
const COMMANDS: [&str; 10] = [
    "serve",
    "update-data",
    "subscribe",
    "prune",
    "import-legacy",
    "rebuild-rollups",
    "demo",
    "backup",
    "forget",
    "check-config",
];

#[test]
fn the_version_is_on_standard_output() {
    let told = Isems::new().run(&["--version"]).expect(0);
    assert_eq!(told.stdout, concat!("isems ", env!("CARGO_PKG_VERSION"), "\n").trim_end());
    assert_eq!(told.stderr, "");
}

#[test]
fn the_short_help_lists_every_command_and_the_exit_codes() {
    let told = Isems::new().run(&["-h"]).expect(0);
    for command in COMMANDS {
        assert!(told.stdout.contains(&format!("  {command} ")), "{told:?}");
    }
    assert!(told.stdout.contains("Exit codes"), "{told:?}");
}

#[test]
fn the_long_help_explains_every_variable() {
    let told = Isems::new().run(&["--help"]).expect(0);
    for (variable, default) in [
        ("DATABASE_URL", "sqlite:////tmp/test.db"),
        ("HIDE_INACTIVE_AFTER_DAYS", "30"),
        ("ISEMS_LISTEN", "127.0.0.1:5000"),
        ("ISEMS_POLL_INTERVAL", "15m"),
        ("ISEMS_POLL_CONCURRENCY", "8"),
        ("ISEMS_POLL_TIMEOUT", "60s"),
        ("ISEMS_TIMEZONE", "Europe/Berlin"),
        ("ISEMS_CORS_ORIGIN", "*"),
        ("MQTT_TOPICS", "/isems/#"),
        ("MQTT_CLIENT_ID", "isems-collector"),
        ("ISEMS_LOG", "info"),
        ("ISEMS_LOG_FORMAT", "text"),
        ("ISEMS_COMMIT_INTERVAL", "2s"),
        ("MQTT_PROTOCOL", "5"),
    ] {
        let line = format!("{variable} [default: {default}]");
        assert!(told.stdout.contains(&line), "{line} in {}", told.stdout);
    }
    for variable in [
        "ISEMS_ROUTER_IPS",
        "MQTT_SERVER",
        "SENTRY_DSN",
        "ISEMS_KEEP_PER_NODE",
        "ISEMS_KEEP_DAYS",
        "ISEMS_APP_DIR",
        "MQTT_PASSWORD_FILE",
        "MQTT_CA_FILE",
    ] {
        assert!(told.stdout.contains(variable), "{variable}");
    }
}

#[test]
fn a_mistake_in_the_command_line_is_exit_code_64() {
    for arguments in
        [&[][..], &["polll"], &["serve", "--fast"], &["backup"], &["import-legacy"], &["forget"]]
    {
        let told = Isems::new().run(arguments).expect(64);
        assert_eq!(told.stdout, "", "{arguments:?}");
        assert_ne!(told.stderr, "", "{arguments:?}");
    }
}

#[test]
fn a_misspelt_command_is_answered_with_the_right_one() {
    let told = Isems::new().run(&["updatedata"]).expect(64);
    assert!(told.stderr.contains("update-data"), "{}", told.stderr);
}
