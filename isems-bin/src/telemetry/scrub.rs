//! Takes out of a report what must not leave: secrets and coordinates.

use sentry::protocol::{Breadcrumb, Event, Value};
use serde::{Serialize, de::DeserializeOwned};

use crate::config::Secret;

/// What stands for what was taken out.
const TAKEN_OUT: &str = "[…]";

/// Fields that never leave, whatever they hold.
const FIELDS: [&str; 14] = [
    "latitude",
    "longitude",
    "lat",
    "lon",
    "position",
    "coordinates",
    "password",
    "secret",
    "token",
    "authorization",
    "dsn",
    "payload",
    "line",
    "user",
];

/// A line of a node's log holds its coordinates; this many separators make one.
const SEPARATORS_OF_A_LINE: usize = 5;

/// Digits after the point from which on a number may be a coordinate.
const DIGITS_OF_A_COORDINATE: usize = 3;

/// Takes out secrets and coordinates.
#[derive(Debug)]
pub(super) struct Scrubber {
    secrets: Vec<String>,
}

impl Scrubber {
    /// Knows these secrets by their value, and others by their looks.
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut secrets: Vec<String> = secrets
            .iter()
            .map(|secret| secret.reveal().to_owned())
            .filter(|secret| !secret.is_empty())
            .collect();
        // One may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// The event without what must not leave.
    pub(super) fn event(&self, event: &Event<'static>) -> Event<'static> {
        let level = event.level;
        self.rewritten(event).unwrap_or_else(|| Event {
            level,
            message: Some("an event that could not be cleaned of secrets".to_owned()),
            ..Event::default()
        })
    }

    /// The breadcrumb without what must not leave.
    pub(super) fn breadcrumb(&self, breadcrumb: &Breadcrumb) -> Option<Breadcrumb> {
        self.rewritten(breadcrumb)
    }

    /// Goes by way of JSON, so that no field is forgotten, also none that a
    /// later version of the library adds.
    fn rewritten<T: Serialize + DeserializeOwned>(&self, what: &T) -> Option<T> {
        let mut value = serde_json::to_value(what).ok()?;
        self.value(&mut value);
        serde_json::from_value(value).ok()
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|v| self.value(v)),
            Value::Object(fields) => {
                fields.retain(|name, content| !is_secret(name, content));
                fields.values_mut().for_each(|v| self.value(v));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, TAKEN_OUT);
        }
        text.split_inclusive('\n')
            .map(|line| {
                if line.matches(';').count() >= SEPARATORS_OF_A_LINE {
                    TAKEN_OUT.to_owned()
                } else {
                    without_coordinates(&without_credentials(line))
                }
            })
            .collect()
    }
}

fn is_secret(name: &str, content: &Value) -> bool {
    // A numeric `line` is the line of a source file in a stack trace.
    let is_line_number = name == "lineno" || (name == "line" && content.is_number());
    !is_line_number && FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
}

/// Hides `user:password` in `scheme://user:password@host`.
fn without_credentials(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find("://") {
        let (before, after) = rest.split_at(begin + "://".len());
        result.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<' | '>'))
            .unwrap_or(after.len());
        let (authority, following) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                result.push_str(TAKEN_OUT);
                result.push('@');
                result.push_str(host);
            }
            None => result.push_str(authority),
        }
        rest = following;
    }
    result.push_str(rest);
    result
}

/// Hides numbers as precise as a coordinate (`52.516`, `13,39051`), but not IP
/// addresses and versions.
fn without_coordinates(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from_number) = rest.split_at(begin);
        result.push_str(before);
        let dotted = span(from_number, |b| b.is_ascii_digit() || b == b'.');
        let dots = from_number[..dotted].trim_end_matches('.').matches('.').count();
        let end = if dots > 1 {
            dotted
        } else {
            let whole = digits(from_number);
            let fraction = from_number[whole..].strip_prefix(['.', ',']).map_or(0, digits);
            if fraction >= DIGITS_OF_A_COORDINATE && whole <= 3 {
                result.push_str(TAKEN_OUT);
                rest = &from_number[whole + 1 + fraction..];
                continue;
            }
            // With two digits after the point it is a voltage.
            whole + if fraction > 0 { 1 + fraction } else { 0 }
        };
        result.push_str(&from_number[..end]);
        rest = &from_number[end..];
    }
    result.push_str(rest);
    result
}

fn digits(text: &str) -> usize {
    span(text, |byte| byte.is_ascii_digit())
}

fn span(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_secrets_and_coordinates_and_nothing_else() {
        let scrubber = Scrubber::new(&[Secret::new("geheim"), Secret::new("")]);
        for (text, sent) in [
            ("the disk is full", "the disk is full"),
            ("password geheim refused", "password […] refused"),
            ("mqtts://user:p@ss@broker:8883/x failed", "mqtts://[…]@broker:8883/x failed"),
            (
                "http://a@h1/ and http://h2/ and \"x://u:p@h3\"",
                "http://[…]@h1/ and http://h2/ and \"x://[…]@h3\"",
            ),
            ("at 52.47388, 13.39051", "at […], […]"),
            ("at 52,516 and -0.123", "at […] and -[…]"),
            ("12.44 V after 61 s, 10.36.158.33", "12.44 V after 61 s, 10.36.158.33"),
            ("10.0.158.33:5000 and 10.1.234.", "10.0.158.33:5000 and 10.1.234."),
            ("12345.678", "12345.678"),
            ("before\nElektra-Dach;1;1530364575;fw;1;0;13\nafter", "before\n[…]after"),
        ] {
            assert_eq!(scrubber.text(text), sent, "{text}");
        }
    }

    #[test]
    fn fields_of_coordinates_and_secrets_are_removed_at_any_depth() {
        let mut value = serde_json::json!({
            "contexts": {"Rust Tracing Fields": {
                "node": "Elektra-Dach", "Latitude": 52.5, "longitude": "13.4",
                "password": "x", "line": "raw", "attempts": 3,
            }},
            "frames": [{"lineno": 12, "line": 12, "user": "someone"}],
        });
        Scrubber::new(&[]).value(&mut value);
        assert_eq!(
            value,
            serde_json::json!({
                "contexts": {"Rust Tracing Fields": {"node": "Elektra-Dach", "attempts": 3}},
                "frames": [{"lineno": 12, "line": 12}],
            })
        );
    }

    #[test]
    fn an_event_keeps_what_makes_it_useful() {
        let event = Event {
            message: Some("the disk is full".to_owned()),
            level: sentry::Level::Error,
            release: Some("isems@1.2.3".into()),
            ..Event::default()
        };
        let sent = Scrubber::new(&[]).event(&event);
        assert_eq!(sent.event_id, event.event_id);
        assert_eq!(sent.message, event.message);
        assert_eq!(sent.level, event.level);
        assert_eq!(sent.release, event.release);
    }
}
