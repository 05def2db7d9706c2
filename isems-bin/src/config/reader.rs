//! Takes values out of the environment and notes what is wrong with them.

use std::collections::BTreeMap;

use super::{
    mistake::{Mistake, Mistakes},
    variables::{OUR_PREFIXES, VARIABLES, find},
};
use crate::suggest;

/// The variables of the environment that are ours.
#[derive(Debug)]
pub(super) struct Reader {
    values: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Reader {
    /// Looks through `environment`; names and values need not be valid UTF-8.
    pub(super) fn new(
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Self {
        let mut mistakes = Vec::new();
        let mut warnings = Vec::new();
        let mut ours = config::Map::new();
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            if let Some(variable) = find(name) {
                match value.into_string() {
                    Ok(value) => {
                        ours.insert(name.to_owned(), value.trim().to_owned());
                    }
                    Err(value) => mistakes.push(Mistake::new(
                        variable,
                        &value.to_string_lossy(),
                        "is not valid UTF-8",
                    )),
                }
            } else if OUR_PREFIXES.iter().any(|p| name.starts_with(p)) && !value.is_empty() {
                warnings.push(unknown(name));
            }
        }
        let source = config::Environment::default().ignore_empty(true).source(Some(ours));
        let values = config::Config::builder()
            .add_source(source)
            .build()
            .and_then(config::Config::try_deserialize)
            .unwrap_or_else(|error| {
                warnings.push(format!(
                    "the environment could not be read, so all settings have their defaults: {error}"
                ));
                BTreeMap::new()
            });
        Self { values, mistakes, warnings }
    }

    /// The value of the variable, or its default; `None` if it has neither.
    /// Also `None`, and a mistake noted, if `parse` says what is wrong with it.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let variable = find(name)?;
        let text = match self.given(name) {
            Some(text) => text,
            None => variable.default?.to_owned(),
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.mistakes.push(Mistake::new(variable, &text, &wrong));
                None
            }
        }
    }

    /// The value that the environment gives the variable.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        self.values.get(&name.to_lowercase()).cloned()
    }

    /// Notes something that is odd but does no harm.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Notes a mistake that no single value shows.
    pub(super) fn mistake(&mut self, name: &str, wrong: &str) {
        if let Some(variable) = find(name) {
            let value = self.given(name).unwrap_or_default();
            self.mistakes.push(Mistake::new(variable, &value, wrong));
        }
    }

    /// What was odd, if nothing was wrong.
    pub(super) fn finish(self) -> Result<Vec<String>, Mistakes> {
        if self.mistakes.is_empty() {
            Ok(self.warnings)
        } else {
            Err(Mistakes { all: self.mistakes, oddities: self.warnings })
        }
    }
}

fn unknown(name: &str) -> String {
    match suggest::near(name, VARIABLES.iter().map(|v| v.name), 1).first() {
        Some(meant) => format!("{name} is not a variable of isems: did you mean {meant}?"),
        None => format!("{name} is not a variable of isems and has no effect"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::config::{values, variables};

    fn reader<const N: usize>(variables: [(&str, &str); N]) -> Reader {
        Reader::new(variables.map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        for value in ["", "  "] {
            let mut reader = reader([("ISEMS_LISTEN", value), ("ISEMS_ROUTER_IPS", value)]);
            assert_eq!(
                reader.take(variables::ISEMS_LISTEN, values::parsed::<String>),
                Some("127.0.0.1:5000".to_owned())
            );
            assert_eq!(reader.take(variables::ISEMS_ROUTER_IPS, values::parsed::<String>), None);
        }
    }

    #[test]
    fn a_misspelt_variable_is_warned_of_with_a_suggestion() {
        for (name, warning) in [
            (
                "ISEMS_ROUTER_IP",
                "ISEMS_ROUTER_IP is not a variable of isems: did you mean ISEMS_ROUTER_IPS?",
            ),
            ("MQTT_SERVR", "MQTT_SERVR is not a variable of isems: did you mean MQTT_SERVER?"),
            (
                "ISEMS_COLOUR_OF_THE_SKY",
                "ISEMS_COLOUR_OF_THE_SKY is not a variable of isems and has no effect",
            ),
        ] {
            assert_eq!(reader([(name, "x")]).finish().unwrap(), [warning]);
            // It may be the cause of a mistake.
            let mut reader = reader([(name, "x"), (variables::ISEMS_LISTEN, "5000")]);
            assert_eq!(reader.take(variables::ISEMS_LISTEN, values::parsed::<SocketAddr>), None);
            let told = reader.finish().unwrap_err().to_string();
            assert!(told.contains("a mistake:") && told.contains(warning), "{told}");
        }
    }

    #[test]
    fn other_programs_variables_are_none_of_our_business() {
        assert_eq!(reader([("PATH", "/bin"), ("LANG", "C")]).finish().unwrap(), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_a_mistake() {
        use std::os::unix::ffi::OsStringExt as _;
        let value = std::ffi::OsString::from_vec(b"x\xff".to_vec());
        let mistakes = Reader::new([("ISEMS_APP_DIR".into(), value)]).finish().unwrap_err();
        assert!(mistakes.to_string().contains("is not valid UTF-8"));
    }
}
