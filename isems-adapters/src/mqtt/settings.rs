//! What the operator decides about the subscription.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use super::{BrokerAddress, TopicFilter};

/// MQTT 5: so many messages may be on their way unacknowledged.
pub(super) const RECEIVE_MAXIMUM: u16 = 512;
/// MQTT 3.1.1 has no such setting; brokers send about this many.
const USUAL_WINDOW: usize = 20;
/// The longest client id or password that fits an MQTT packet, in bytes.
const MAX_TEXT: usize = 65_535;

/// The version of MQTT to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 5 (`5`).
    #[default]
    V5,
    /// MQTT 3.1.1 (`3.1.1`).
    V311,
}

impl Protocol {
    /// How many messages can be unacknowledged before the broker waits.
    pub(super) fn window(self) -> usize {
        match self {
            Self::V5 => RECEIVE_MAXIMUM.into(),
            Self::V311 => USUAL_WINDOW,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5 => "5",
            Self::V311 => "3.1.1",
        })
    }
}

/// A text is no version of MQTT that can be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("accepted are 5 and 3.1.1")]
pub struct ProtocolError;

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "5" => Ok(Self::V5),
            "3.1.1" => Ok(Self::V311),
            _ => Err(ProtocolError),
        }
    }
}

/// Settings of a subscription; [`new`](Self::new) gives the defaults.
#[derive(Clone)]
pub struct MqttSettings {
    /// The broker (`MQTT_SERVER`).
    pub broker: BrokerAddress,
    /// The password (from `MQTT_PASSWORD_FILE`); goes before one in the
    /// address.
    pub password: Option<String>,
    /// The version of MQTT (`MQTT_PROTOCOL`).
    pub protocol: Protocol,
    /// The name under which the broker keeps our session (`MQTT_CLIENT_ID`).
    /// It must be the same at each start and no one else's.
    pub client_id: String,
    /// What to subscribe to (`MQTT_TOPICS`).
    pub topics: Vec<TopicFilter>,
    /// PEM file of the authorities to trust instead of the machine's own
    /// (`MQTT_CA_FILE`); only for `mqtts://`.
    pub ca_file: Option<PathBuf>,
    /// MQTT 5: for how long the broker keeps the session while we are away.
    pub session_expiry: Duration,
    /// Pause after which the link is tested; at least 5 s.
    pub keep_alive: Duration,
    /// Pause before the second attempt to connect; it doubles with each.
    pub retry_min: Duration,
    /// The longest pause between two attempts.
    pub retry_max: Duration,
}

impl MqttSettings {
    /// The defaults: MQTT 5 as `isems-collector`, session kept for 7 days, link
    /// tested every 30 s, attempts to reconnect 1 s to 60 s apart.
    #[must_use]
    pub fn new(broker: BrokerAddress, topics: Vec<TopicFilter>) -> Self {
        Self {
            broker,
            password: None,
            protocol: Protocol::V5,
            client_id: "isems-collector".into(),
            topics,
            ca_file: None,
            session_expiry: Duration::from_hours(7 * 24),
            keep_alive: Duration::from_secs(30),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(1),
        }
    }

    /// User and password to log in with.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        let password = self.password.as_deref().or(self.broker.password());
        Some((self.broker.user()?, password.unwrap_or_default()))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let text_fits = |text: &str| text.len() <= MAX_TEXT;
        if self.client_id.is_empty() || !text_fits(&self.client_id) {
            return Err("MQTT_CLIENT_ID must have 1 to 65535 bytes".into());
        }
        if self.topics.is_empty() {
            return Err("MQTT_TOPICS names no topic".into());
        }
        if self.keep_alive < Duration::from_secs(5) {
            return Err("the keep-alive must be at least 5 s".into());
        }
        match &self.password {
            Some(_) if self.broker.user().is_none() => {
                Err("there is a password (MQTT_PASSWORD_FILE) but no user; \
                 name one in MQTT_SERVER: mqtt://user@host:port"
                    .into())
            }
            Some(password) if !text_fits(password) => {
                Err("the password (MQTT_PASSWORD_FILE) is longer than 65535 bytes".into())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for MqttSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttSettings")
            .field("broker", &self.broker)
            .field("protocol", &self.protocol)
            .field("client_id", &self.client_id)
            .field("topics", &self.topics)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str) -> MqttSettings {
        let topics = super::super::parse_filters("/isems/#").expect("valid");
        MqttSettings::new(address.parse().expect("valid"), topics)
    }

    #[test]
    fn a_protocol_is_named_by_its_version() {
        for (text, protocol) in [
            ("5", Ok(Protocol::V5)),
            ("3.1.1", Ok(Protocol::V311)),
            ("4", Err(ProtocolError)),
            ("", Err(ProtocolError)),
        ] {
            assert_eq!(text.parse(), protocol, "{text}");
        }
    }

    #[test]
    fn the_password_file_goes_before_the_address() {
        let mut settings = settings("mqtt://anna:one@host");
        assert_eq!(settings.login(), Some(("anna", "one")));
        settings.password = Some("two".into());
        assert_eq!(settings.login(), Some(("anna", "two")));
    }

    #[test]
    fn a_password_without_a_user_is_refused() {
        let mut settings = settings("mqtt://host");
        settings.password = Some("two".into());
        let error = settings.check().expect_err("no user");
        assert!(error.contains("mqtt://user@host:port"), "{error}");
        assert!(!error.contains("two"), "{error}");
    }

    #[test]
    fn debug_output_hides_the_login() {
        let mut settings = settings("mqtt://anna:geheim@host");
        settings.password = Some("streng".into());
        let shown = format!("{settings:?}");
        for secret in ["anna", "geheim", "streng"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
