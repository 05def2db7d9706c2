//! The settings in force, for `check-config`.

use std::fmt::Write as _;

use super::{
    reader::Reader,
    secret::{HIDDEN, hide_credentials},
    variables::{Shown, VARIABLES, Variable},
};

/// A line for each variable: what is in force and whether it is the default.
pub(super) fn in_force(from: &Reader) -> String {
    let width = VARIABLES.iter().map(|v| v.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for variable in VARIABLES {
        let value = match (from.given(variable.name), variable.default) {
            (Some(value), _) => showable(variable, &value),
            (None, Some(default)) => format!("{default}  (default)"),
            (None, None) => "(unset)".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:width$} = {value}", variable.name);
    }
    text
}

fn showable(variable: &Variable, value: &str) -> String {
    match variable.shown {
        Shown::All => value.to_owned(),
        Shown::WithoutCredentials => hide_credentials(value),
        Shown::Nothing => HIDDEN.to_owned(),
    }
}
