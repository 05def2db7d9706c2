//! What both JSON formats share: objects that are nearly JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{RejectReason, number, text};

/// Reads an object. Firmware prints `-inf` and `nan` bare where a number is
/// due, which is not JSON: those tokens are read as unknown, the rest is kept.
pub(super) fn object(payload: &[u8]) -> Result<Map<String, Value>, RejectReason> {
    let text = text::decode(payload);
    let parsed =
        serde_json::from_str(&text).or_else(|error| match without_bare_infinities(&text) {
            Cow::Owned(repaired) => serde_json::from_str(&repaired),
            Cow::Borrowed(_) => Err(error),
        });
    match parsed {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(RejectReason::Json("not an object".into())),
        Err(error) => Err(RejectReason::Json(error.to_string())),
    }
}

/// A number, or text that holds one; missing, `null`, `nan` and `inf` are
/// unknown.
pub(super) fn number(
    object: &Map<String, Value>,
    key: &str,
    name: &'static str,
) -> Result<Option<f64>, RejectReason> {
    let bad = RejectReason::Number(name);
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(value)) => value.as_f64().map(number::tidy).ok_or(bad),
        Some(Value::String(text)) => number::parse(text).map_err(|_| bad),
        Some(_) => Err(bad),
    }
}

/// A coordinate, with a decimal comma if it is text.
pub(super) fn coordinate(
    object: &Map<String, Value>,
    key: &str,
    name: &'static str,
    limit: f64,
) -> Result<Option<f64>, RejectReason> {
    match object.get(key) {
        Some(Value::String(text)) => {
            number::parse_coordinate(text, limit).map_err(|_| RejectReason::Number(name))
        }
        _ => Ok(number::within(number(object, key, name)?, limit)),
    }
}

/// Off for `0`, `"0"`, `false` and if it was not sent; on for anything else.
pub(super) fn switch(object: &Map<String, Value>, key: &str) -> bool {
    match object.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Number(value)) => value.as_f64() != Some(0.0),
        Some(Value::String(text)) => text.trim() != "0",
        Some(_) => true,
    }
}

/// A text; empty if it was not sent.
pub(super) fn string(
    object: &Map<String, Value>,
    key: &str,
    name: &'static str,
) -> Result<String, RejectReason> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text::tidy(text)),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(RejectReason::Text(name)),
    }
}

fn without_bare_infinities(text: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let (mut copied, mut at) = (0, 0);
    let bytes = text.as_bytes();
    let mut in_string = false;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if !in_string => {
                if let Some(length) = bare_infinity(&bytes[at..]) {
                    repaired.push_str(&text[copied..at]);
                    repaired.push_str("null");
                    at += length;
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[copied..]);
    Cow::Owned(repaired)
}

/// The length of a token such as `-inf` or `nan` at the beginning of `bytes`.
fn bare_infinity(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let word = &bytes[sign..];
    let length = word.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    ["inf", "infinity", "nan"]
        .iter()
        .any(|token| word[..length].eq_ignore_ascii_case(token.as_bytes()))
        .then_some(sign + length)
}
