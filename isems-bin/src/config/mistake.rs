//! What is wrong with the configuration, all of it at once.

use std::fmt;

use super::{
    secret::{HIDDEN, entries, hide_credentials},
    variables::{Shown, Variable},
};

/// One variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    name: &'static str,
    value: Option<String>,
    wrong: String,
    accepted: &'static str,
}

impl Mistake {
    /// `variable` holds `value`, which `wrong`. Whatever may not be shown is
    /// taken out of both.
    pub(crate) fn new(variable: &Variable, value: &str, wrong: &str) -> Self {
        let (value, wrong) = match variable.shown {
            Shown::All => (value.to_owned(), wrong.to_owned()),
            Shown::Nothing => (HIDDEN.to_owned(), wrong.replace(value, HIDDEN)),
            Shown::WithoutCredentials => {
                // A parser may quote the list or one entry of it.
                let mut wrong = wrong.replace(value, &hide_credentials(value));
                for (entry, shown) in entries(value).filter(|(entry, shown)| entry != shown) {
                    wrong = wrong.replace(entry.trim(), shown.trim());
                }
                (hide_credentials(value), wrong)
            }
        };
        Self { name: variable.name, value: Some(value), wrong, accepted: variable.accepted }
    }

    /// The command at hand cannot do without `variable`, which is unset.
    pub(crate) fn missing(variable: &Variable, needed: &str) -> Self {
        Self {
            name: variable.name,
            value: None,
            wrong: format!("is not set, but {needed}"),
            accepted: variable.accepted,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: {}", self.name, self.wrong)?,
            None => write!(f, "{} {}", self.name, self.wrong)?,
        }
        write!(f, "\n      accepted: {}", self.accepted)
    }
}

/// All that is wrong with the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    pub(super) all: Vec<Mistake>,
    /// What is odd besides, such as a misspelt variable: perhaps the cause.
    pub(super) oddities: Vec<String>,
}

impl FromIterator<Mistake> for Mistakes {
    fn from_iter<T: IntoIterator<Item = Mistake>>(all: T) -> Self {
        Self { all: all.into_iter().collect(), oddities: Vec::new() }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.all.len() {
            1 => write!(f, "The configuration has a mistake:")?,
            n => write!(f, "The configuration has {n} mistakes:")?,
        }
        for mistake in &self.all {
            write!(f, "\n\n  {mistake}")?;
        }
        for oddity in &self.oddities {
            write!(f, "\n\n  {oddity}")?;
        }
        write!(f, "\n\nSee `isems --help` for every variable.")
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::variables::{self, find};

    #[test]
    fn a_mistake_names_variable_value_and_what_is_accepted() {
        let variable = find(variables::ISEMS_LOG_FORMAT).unwrap();
        assert_eq!(
            Mistake::new(variable, "yaml", "is no format").to_string(),
            "ISEMS_LOG_FORMAT=\"yaml\": is no format\n      accepted: text or json"
        );
    }

    #[test]
    fn neither_value_nor_reason_shows_a_secret() {
        for (name, value, wrong) in [
            (
                variables::MQTT_SERVER,
                "mqtt://u:geheim@broker:port",
                "mqtt://u:geheim@broker:port: invalid port",
            ),
            (
                variables::ISEMS_ROUTER_IPS,
                "10.0.0.1, http://u:geheim@node:port/",
                "\"http://u:geheim@node:port/\" has an invalid port",
            ),
            (
                variables::ISEMS_ROUTER_IPS,
                "http://u:geheim,nis@node",
                "`http://u:geheim` is no URL: invalid port number",
            ),
            (variables::SENTRY_DSN, "https://geheim@", "\"https://geheim@\" is no DSN"),
        ] {
            let shown = Mistake::new(find(name).unwrap(), value, wrong).to_string();
            assert!(!shown.contains("geheim"), "{shown}");
        }
    }
}
