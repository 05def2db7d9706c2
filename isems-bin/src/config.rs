//! Environment → validated settings; every mistake reported at once.

pub(crate) mod duration;
mod mistake;
mod read;
mod reader;
mod secret;
mod show;
mod values;
pub(crate) mod variables;

use std::{ffi::OsString, fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use isems_adapters::{
    api::{CorsOrigin, MapTiles},
    http_polling::NodeAddress,
    mqtt::{BrokerAddress, Protocol, TopicFilter},
    sqlite::DatabaseUrl,
};
use isems_core::{ActivityRule, RetentionPolicy};
use jiff::tz::TimeZone;

use self::variables::{
    DEFAULT_NODE, ISEMS_KEEP_DAYS, ISEMS_KEEP_PER_NODE, ISEMS_ROUTER_IPS, MQTT_SERVER,
};
pub(crate) use self::{
    mistake::{Mistake, Mistakes},
    secret::Secret,
};

/// All that the program is told by its environment, validated.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the measurements are.
    pub(crate) database: DatabaseUrl,
    /// Who counts as active.
    pub(crate) activity: ActivityRule,
    /// Whom to poll and how.
    pub(crate) polling: PollingSettings,
    /// The broker, if there is one.
    pub(crate) broker: Option<BrokerSettings>,
    /// Where errors are reported, if anywhere.
    pub(crate) sentry: SentrySettings,
    /// The API.
    pub(crate) api: ApiOptions,
    /// How long a lone delivery waits for others to share its transaction.
    pub(crate) commit_interval: Duration,
    /// How many nodes that were never heard before may come up within an hour.
    pub(crate) new_nodes_per_hour: usize,
    /// The zone of the API's timestamps and of the old collector's times.
    pub(crate) zone: TimeZone,
    /// What is kept.
    pub(crate) retention: RetentionPolicy,
    /// What is logged and how.
    pub(crate) log: LogSettings,
    /// What must not be shown or sent anywhere.
    pub(crate) secrets: Vec<Secret>,
    /// What is odd but does no harm, for the log.
    pub(crate) warnings: Vec<String>,
    /// A line for each variable with what is in force, secrets hidden.
    pub(crate) in_force: String,
}

/// Whom to poll and how.
#[derive(Clone, Debug)]
pub(crate) struct PollingSettings {
    /// The nodes; empty: none are polled.
    pub(crate) nodes: Vec<NodeAddress>,
    /// From the beginning of one round to the next.
    pub(crate) interval: Duration,
    /// How many nodes are polled at once.
    pub(crate) concurrency: NonZeroUsize,
    /// How long a connection may be too slow.
    pub(crate) timeout: Duration,
}

/// The broker and how to talk to it.
#[derive(Clone, Debug)]
pub(crate) struct BrokerSettings {
    /// Where it is, with its user, and the password if the address holds it.
    pub(crate) address: BrokerAddress,
    /// The password from `MQTT_PASSWORD_FILE`.
    pub(crate) password: Option<Secret>,
    /// Topic filters.
    pub(crate) topics: Vec<TopicFilter>,
    /// The stable client id.
    pub(crate) client_id: String,
    /// The version of MQTT.
    pub(crate) protocol: Protocol,
    /// Authorities to trust in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Where errors are reported.
#[derive(Clone)]
pub(crate) struct SentrySettings {
    /// Nothing is reported without it.
    pub(crate) dsn: Option<sentry::types::Dsn>,
    /// The environment tag.
    pub(crate) environment: String,
}

impl fmt::Debug for SentrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentrySettings")
            .field("dsn", &self.dsn.as_ref().map(|_| secret::HIDDEN))
            .field("environment", &self.environment)
            .finish()
    }
}

/// The API.
#[derive(Clone, Debug)]
pub(crate) struct ApiOptions {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Whose pages may read it.
    pub(crate) cors_origin: CorsOrigin,
    /// A built isems-app.
    pub(crate) app_dir: Option<PathBuf>,
    /// What the page's map is drawn on.
    pub(crate) map_tiles: MapTiles,
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// A valid tracing filter.
    pub(crate) filter: String,
    /// How lines are written.
    pub(crate) format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

impl Settings {
    /// The settings that the environment of this process says.
    ///
    /// # Errors
    /// Every mistake in it.
    pub(crate) fn from_environment() -> Result<Self, Mistakes> {
        Self::read(std::env::vars_os())
    }

    /// The settings that `environment` says.
    ///
    /// # Errors
    /// Every mistake in it.
    pub(crate) fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Mistakes> {
        read::settings(environment)
    }

    /// The same settings with the node that `update-data` polls if none is
    /// named, as the old collector did.
    ///
    /// # Errors
    /// None in practice: the default is a valid address.
    pub(crate) fn with_default_node(mut self) -> Result<Self, Mistakes> {
        if self.polling.nodes.is_empty() {
            self.polling.nodes = values::addresses(DEFAULT_NODE)
                .map_err(|wrong| one_mistake(ISEMS_ROUTER_IPS, DEFAULT_NODE, &wrong))?;
        }
        Ok(self)
    }

    /// The broker, for a command that cannot do without.
    ///
    /// # Errors
    /// If `MQTT_SERVER` is not set.
    pub(crate) fn require_broker(&self) -> Result<&BrokerSettings, Mistakes> {
        self.broker
            .as_ref()
            .ok_or_else(|| missing(&[MQTT_SERVER], "`isems subscribe` needs a broker"))
    }

    /// The retention policy, for a command that cannot do without.
    ///
    /// # Errors
    /// If neither limit is set.
    pub(crate) fn require_retention(&self) -> Result<&RetentionPolicy, Mistakes> {
        if self.retention.is_unlimited() {
            return Err(missing(
                &[ISEMS_KEEP_PER_NODE, ISEMS_KEEP_DAYS],
                "`isems prune` needs at least one of the two limits",
            ));
        }
        Ok(&self.retention)
    }
}

fn missing(names: &[&str], needed: &str) -> Mistakes {
    names
        .iter()
        .filter_map(|name| variables::find(name))
        .map(|variable| Mistake::missing(variable, needed))
        .collect()
}

fn one_mistake(name: &str, value: &str, wrong: &str) -> Mistakes {
    variables::find(name).map(|variable| Mistake::new(variable, value, wrong)).into_iter().collect()
}

#[cfg(test)]
mod tests;
