//! Which variable becomes which setting.
//!
//! All values of a group are taken before the first that is missing ends it, so
//! that every mistake is noted.

use std::ffi::OsString;

use isems_adapters::mqtt::BrokerAddress;
use isems_core::{ActivityRule, RetentionPolicy};

use super::{
    ApiOptions, BrokerSettings, LogSettings, Mistakes, PollingSettings, Secret, SentrySettings,
    Settings,
    reader::Reader,
    secret, show, values,
    variables::{
        DATABASE_URL, HIDE_INACTIVE_AFTER_DAYS, ISEMS_APP_DIR, ISEMS_COMMIT_INTERVAL,
        ISEMS_CORS_ORIGIN, ISEMS_KEEP_DAYS, ISEMS_KEEP_PER_NODE, ISEMS_LISTEN, ISEMS_LOG,
        ISEMS_LOG_FORMAT, ISEMS_MAP_TILES, ISEMS_NEW_NODES_PER_HOUR, ISEMS_POLL_CONCURRENCY,
        ISEMS_POLL_INTERVAL, ISEMS_POLL_TIMEOUT, ISEMS_ROUTER_IPS, ISEMS_TIMEZONE, MQTT_CA_FILE,
        MQTT_CLIENT_ID, MQTT_PASSWORD_FILE, MQTT_PROTOCOL, MQTT_SERVER, MQTT_TOPICS, SENTRY_DSN,
        SENTRY_ENVIRONMENT,
    },
};

/// The settings that `environment` says.
///
/// # Errors
/// Every mistake in it.
pub(super) fn settings(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, Mistakes> {
    let mut from = Reader::new(environment);
    let settings = all(&mut from);
    let warnings = from.finish()?;
    // Without a mistake there is none missing.
    settings.map(|settings| Settings { warnings, ..settings }).ok_or_else(Mistakes::default)
}

/// `None` only if a mistake was noted.
fn all(from: &mut Reader) -> Option<Settings> {
    let database = from.take(DATABASE_URL, values::parsed);
    let hidden_after = from.take(HIDE_INACTIVE_AFTER_DAYS, values::whole(0..=u32::MAX));
    let polling = polling(from);
    let broker = broker(from);
    let sentry = sentry(from);
    let api = api(from);
    let commit_interval = from.take(ISEMS_COMMIT_INTERVAL, values::duration("0s", "60s"));
    let new_nodes_per_hour = from.take(ISEMS_NEW_NODES_PER_HOUR, values::whole(1..=u32::MAX));
    let zone = from.take(ISEMS_TIMEZONE, values::time_zone);
    let retention = RetentionPolicy {
        keep_per_node: from.take(ISEMS_KEEP_PER_NODE, values::whole(1..=u32::MAX)),
        keep_days: from.take(ISEMS_KEEP_DAYS, values::whole(1..=u32::MAX)),
    };
    let log = log(from);
    let secrets = secrets(from, broker.as_ref());
    Some(Settings {
        database: database?,
        activity: ActivityRule::after_days(hidden_after?),
        polling: polling?,
        broker,
        sentry: sentry?,
        api: api?,
        commit_interval: commit_interval?,
        new_nodes_per_hour: new_nodes_per_hour? as usize,
        zone: zone?,
        retention,
        log: log?,
        secrets,
        warnings: Vec::new(),
        in_force: show::in_force(from),
    })
}

fn polling(from: &mut Reader) -> Option<PollingSettings> {
    let nodes = from.take(ISEMS_ROUTER_IPS, values::addresses);
    let interval = from.take(ISEMS_POLL_INTERVAL, values::duration("1s", "7d"));
    let concurrency = from.take(ISEMS_POLL_CONCURRENCY, values::concurrency);
    let timeout = from.take(ISEMS_POLL_TIMEOUT, values::duration("1s", "1h"));
    Some(PollingSettings {
        nodes: nodes.unwrap_or_default(),
        interval: interval?,
        concurrency: concurrency?,
        timeout: timeout?,
    })
}

/// `None` also if there is no broker.
fn broker(from: &mut Reader) -> Option<BrokerSettings> {
    let address = from.take(MQTT_SERVER, values::parsed::<BrokerAddress>);
    let topics = from.take(MQTT_TOPICS, values::topics);
    let client_id = from.take(MQTT_CLIENT_ID, values::client_id);
    let protocol = from.take(MQTT_PROTOCOL, values::parsed);
    let password = from.take(MQTT_PASSWORD_FILE, values::password_file);
    let ca_file = from.take(MQTT_CA_FILE, values::authorities);
    match &address {
        Some(address) => check_what_depends_on(address, from),
        None => warn_of_what_has_no_effect(from),
    }
    Some(BrokerSettings {
        address: address?,
        password,
        topics: topics?,
        client_id: client_id?,
        protocol: protocol?,
        ca_file,
    })
}

fn check_what_depends_on(address: &BrokerAddress, from: &mut Reader) {
    if from.given(MQTT_PASSWORD_FILE).is_some() && address.user().is_none() {
        from.mistake(
            MQTT_PASSWORD_FILE,
            "is a password without a user: name one in MQTT_SERVER (mqtt://user@host)",
        );
    }
    if from.given(MQTT_CA_FILE).is_some() && !address.is_tls() {
        from.warn("MQTT_CA_FILE has no effect: MQTT_SERVER is not mqtts://".to_owned());
    }
}

fn warn_of_what_has_no_effect(from: &mut Reader) {
    if from.given(MQTT_SERVER).is_some() {
        return;
    }
    for name in [MQTT_TOPICS, MQTT_CLIENT_ID, MQTT_PROTOCOL, MQTT_PASSWORD_FILE, MQTT_CA_FILE] {
        if from.given(name).is_some() {
            from.warn(format!("{name} has no effect: MQTT_SERVER is not set"));
        }
    }
}

fn sentry(from: &mut Reader) -> Option<SentrySettings> {
    let dsn = from.take(SENTRY_DSN, values::dsn);
    let environment = from.take(SENTRY_ENVIRONMENT, values::environment_name);
    Some(SentrySettings { dsn, environment: environment? })
}

fn api(from: &mut Reader) -> Option<ApiOptions> {
    let listen = from.take(ISEMS_LISTEN, values::parsed);
    let cors_origin = from.take(ISEMS_CORS_ORIGIN, values::parsed);
    let app_dir = from.take(ISEMS_APP_DIR, values::app_dir);
    let map_tiles = from.take(ISEMS_MAP_TILES, values::parsed).unwrap_or_default();
    Some(ApiOptions { listen: listen?, cors_origin: cors_origin?, app_dir, map_tiles })
}

fn log(from: &mut Reader) -> Option<LogSettings> {
    let filter = from.take(ISEMS_LOG, values::log_filter);
    let format = from.take(ISEMS_LOG_FORMAT, values::log_format);
    Some(LogSettings { filter: filter?, format: format? })
}

fn secrets(from: &Reader, broker: Option<&BrokerSettings>) -> Vec<Secret> {
    let mut secrets: Vec<Secret> =
        broker.and_then(|broker| broker.password.clone()).into_iter().collect();
    for name in [MQTT_SERVER, ISEMS_ROUTER_IPS] {
        secrets.extend(secret::passwords(&from.given(name).unwrap_or_default()));
    }
    secrets
}
