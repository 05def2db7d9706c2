//! Every variable, in one table: the help text, the messages and
//! `check-config` are made from it.

use std::fmt::Write as _;

/// One variable of the environment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// What is taken if it is unset or empty; `None`: nothing.
    pub(crate) default: Option<&'static str>,
    /// What it means, for people.
    pub(crate) meaning: &'static str,
    /// What it may hold, for messages.
    pub(crate) accepted: &'static str,
    /// How much of its value may be shown.
    pub(crate) shown: Shown,
}

/// How much of a variable's value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All of it.
    All,
    /// All but what stands before an `@`.
    WithoutCredentials,
    /// Only that it is set.
    Nothing,
}

pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
pub(crate) const HIDE_INACTIVE_AFTER_DAYS: &str = "HIDE_INACTIVE_AFTER_DAYS";
pub(crate) const ISEMS_ROUTER_IPS: &str = "ISEMS_ROUTER_IPS";
pub(crate) const MQTT_SERVER: &str = "MQTT_SERVER";
pub(crate) const SENTRY_DSN: &str = "SENTRY_DSN";
pub(crate) const SENTRY_ENVIRONMENT: &str = "SENTRY_ENVIRONMENT";
pub(crate) const ISEMS_LISTEN: &str = "ISEMS_LISTEN";
pub(crate) const ISEMS_POLL_INTERVAL: &str = "ISEMS_POLL_INTERVAL";
pub(crate) const ISEMS_POLL_CONCURRENCY: &str = "ISEMS_POLL_CONCURRENCY";
pub(crate) const ISEMS_POLL_TIMEOUT: &str = "ISEMS_POLL_TIMEOUT";
pub(crate) const ISEMS_COMMIT_INTERVAL: &str = "ISEMS_COMMIT_INTERVAL";
pub(crate) const ISEMS_NEW_NODES_PER_HOUR: &str = "ISEMS_NEW_NODES_PER_HOUR";
pub(crate) const ISEMS_TIMEZONE: &str = "ISEMS_TIMEZONE";
pub(crate) const ISEMS_KEEP_PER_NODE: &str = "ISEMS_KEEP_PER_NODE";
pub(crate) const ISEMS_KEEP_DAYS: &str = "ISEMS_KEEP_DAYS";
pub(crate) const ISEMS_APP_DIR: &str = "ISEMS_APP_DIR";
pub(crate) const ISEMS_MAP_TILES: &str = "ISEMS_MAP_TILES";
pub(crate) const ISEMS_CORS_ORIGIN: &str = "ISEMS_CORS_ORIGIN";
pub(crate) const MQTT_TOPICS: &str = "MQTT_TOPICS";
pub(crate) const MQTT_CLIENT_ID: &str = "MQTT_CLIENT_ID";
pub(crate) const MQTT_PROTOCOL: &str = "MQTT_PROTOCOL";
pub(crate) const MQTT_PASSWORD_FILE: &str = "MQTT_PASSWORD_FILE";
pub(crate) const MQTT_CA_FILE: &str = "MQTT_CA_FILE";
pub(crate) const ISEMS_LOG: &str = "ISEMS_LOG";
pub(crate) const ISEMS_LOG_FORMAT: &str = "ISEMS_LOG_FORMAT";

/// The node that `update-data` polls if none is named, as the old collector
/// did.
pub(crate) const DEFAULT_NODE: &str = "10.36.158.33";

/// Variables that begin so are ours; an unknown one is probably misspelt.
pub(crate) const OUR_PREFIXES: [&str; 2] = ["ISEMS_", "MQTT_"];

const fn variable(
    name: &'static str,
    default: Option<&'static str>,
    accepted: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { name, default, meaning, accepted, shown: Shown::All }
}

const fn shown(shown: Shown, variable: Variable) -> Variable {
    Variable { shown, ..variable }
}

/// Every variable, in the order in which people are told of them.
#[rustfmt::skip]
pub(crate) const VARIABLES: &[Variable] = &[
    variable(DATABASE_URL, Some("sqlite:////tmp/test.db"),
        "sqlite:////absolute/path, sqlite:///relative/path, sqlite:PATH or sqlite://PATH",
        "the database file; created if missing. The default is for trying out only: temporary folders are emptied"),
    variable(HIDE_INACTIVE_AFTER_DAYS, Some("30"),
        "a whole number of days",
        "nodes without a measurement for so long are hidden by the API"),
    shown(Shown::WithoutCredentials, variable(ISEMS_ROUTER_IPS, None,
        "a comma-separated list of addresses such as 10.0.0.1, 10.0.0.1:8080, a host name, fd00::1, [fd00::1]:8080 or http://10.0.0.9/csv.log",
        "the nodes to poll; a bare address means http://ADDRESS/ISEMS/ffopenmppt.log. Unset: `serve` polls nobody, `update-data` polls 10.36.158.33")),
    shown(Shown::WithoutCredentials, variable(MQTT_SERVER, None,
        "host, host:port, mqtt://user:password@host:port or mqtts://…",
        "the broker to subscribe to; unset: none")),
    shown(Shown::Nothing, variable(SENTRY_DSN, None,
        "a Sentry DSN, https://KEY@HOST/PROJECT",
        "errors and panics are sent there, without secrets and coordinates")),
    variable(SENTRY_ENVIRONMENT, Some("production"),
        "a short name without spaces, such as production",
        "the environment tag of what is sent to Sentry"),
    variable(ISEMS_LISTEN, Some("127.0.0.1:5000"),
        "ADDRESS:PORT, such as 127.0.0.1:5000, 0.0.0.0:80 or [::]:5000; port 0 takes a free one",
        "where the API listens"),
    variable(ISEMS_POLL_INTERVAL, Some("15m"),
        "a duration such as 15m, from 1s to 7d",
        "from the beginning of one polling round to the next"),
    variable(ISEMS_POLL_CONCURRENCY, Some("8"),
        "a whole number from 1 to 1000",
        "so many nodes are polled at once"),
    variable(ISEMS_POLL_TIMEOUT, Some("60s"),
        "a duration such as 60s, from 1s to 1h",
        "a connection that brings less than 1 KB/s for so long is given up; a quarter of it is allowed to connect and to the first byte"),
    variable(ISEMS_COMMIT_INTERVAL, Some("2s"),
        "a duration such as 2s, from 0s to 60s",
        "a lone measurement waits so long for others to share its transaction"),
    variable(ISEMS_NEW_NODES_PER_HOUR, Some("1000"),
        "a whole number from 1",
        "so many nodes that were never heard before are accepted within an hour; what further ones send is rejected, so that invented names fill neither memory nor disk"),
    variable(ISEMS_TIMEZONE, Some("Europe/Berlin"),
        "the name of a time zone, such as Europe/Berlin or UTC",
        "the offset shown in the API's timestamps; also how the old collector's times are read"),
    variable(ISEMS_KEEP_PER_NODE, None,
        "a whole number from 1",
        "the newest measurements kept per node (the old collector's script kept 20000); unset: all"),
    variable(ISEMS_KEEP_DAYS, None,
        "a whole number from 1",
        "the age limit in days; a measurement goes if either limit says so, a node's newest always stays; unset: none"),
    variable(ISEMS_APP_DIR, None,
        "a folder that holds index.html",
        "a built isems-app to serve at /"),
    variable(ISEMS_MAP_TILES, None,
        "a PMTiles archive of pictures (FILE.pmtiles), a folder of tiles named ZOOM/X/Y.png, or osm",
        "what the page's map is drawn on: the tiles of an archive or of a folder, or with osm those of OpenStreetMap, which browsers then fetch from its servers. Unset: a plain grid, and no other host is asked for anything"),
    variable(ISEMS_CORS_ORIGIN, Some("*"),
        "* or an origin such as https://map.example",
        "the origin whose pages may read the API"),
    variable(MQTT_TOPICS, Some("/isems/#"),
        "a comma-separated list of topic filters such as /isems/#",
        "what to subscribe to; the last level of a topic tells the format"),
    variable(MQTT_CLIENT_ID, Some("isems-collector"),
        "1 to 256 bytes without control characters",
        "the name under which the broker keeps what came while we were away"),
    variable(MQTT_PROTOCOL, Some("5"),
        "5 or 3.1.1",
        "the version of MQTT"),
    variable(MQTT_PASSWORD_FILE, None,
        "a file that holds the password; MQTT_SERVER must name the user",
        "the password for MQTT_SERVER, in place of one in its address"),
    variable(MQTT_CA_FILE, None,
        "a file of PEM certificates",
        "the authorities to trust for mqtts://; unset: the system's"),
    variable(ISEMS_LOG, Some("info"),
        "a filter such as info, debug or info,isems_adapters=debug",
        "which log lines are written to standard error"),
    variable(ISEMS_LOG_FORMAT, Some("text"),
        "text or json",
        "how log lines are written"),
];

/// The variable of this name.
pub(crate) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// The part of the help that explains the variables.
pub(crate) fn help() -> String {
    let mut text = "Variables of the environment (an empty one counts as unset):\n".to_owned();
    for variable in VARIABLES {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n  {}{}\n      {}.\n      Accepts {}.\n",
            variable.name,
            variable.default.map_or_else(String::new, |value| format!(" [default: {value}]")),
            variable.meaning,
            variable.accepted,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_is_listed_twice() {
        for (index, variable) in VARIABLES.iter().enumerate() {
            assert!(
                VARIABLES[..index].iter().all(|v| v.name != variable.name),
                "{}",
                variable.name
            );
        }
    }

    #[test]
    fn the_table_in_the_readme_has_every_variable_with_its_default() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let (_, table) =
            readme.split_once("| variable | default | meaning |\n|---|---|---|\n").unwrap();
        let rows: Vec<String> = table
            .lines()
            .take_while(|line| line.starts_with('|'))
            .map(|row| row.split('|').skip(1).take(2).map(str::trim).collect::<Vec<_>>().join(" "))
            .collect();
        let cells = |variable: &Variable| {
            let default = variable.default.map_or("none".to_owned(), |value| format!("`{value}`"));
            format!("`{}` {default}", variable.name)
        };
        assert_eq!(rows, VARIABLES.iter().map(cells).collect::<Vec<_>>());
    }

    #[test]
    fn the_help_names_every_variable_with_its_default() {
        let help = help();
        for variable in VARIABLES {
            assert!(help.contains(variable.name), "{}", variable.name);
            if let Some(default) = variable.default {
                assert!(help.contains(&format!("{} [default: {default}]", variable.name)));
            }
        }
    }
}
