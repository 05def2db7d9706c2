//! Checks values by the schemas of the `OpenAPI` document: as much of JSON Schema
//! as it uses, and stricter: what an object's schema does not name must not be
//! there.

use serde_json::{Map, Value};

/// Keywords that only tell people something.
const SAID: [&str; 7] =
    ["description", "examples", "default", "maxItems", "maxLength", "minItems", "minLength"];

/// The document, to look up what is referred to.
pub(super) struct Document(pub(super) Value);

impl Document {
    /// What a `$ref` stands for; anything else stands for itself.
    pub(super) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let place = reference.strip_prefix('#').unwrap();
                self.0.pointer(place).unwrap_or_else(|| panic!("{reference} is not there"))
            }
            None => value,
        }
    }

    /// Where and why a value is not as a schema says; empty: it is.
    pub(super) fn faults(&self, value: &Value, schema: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(value, schema, "", &mut faults);
        faults
    }

    fn check(&self, value: &Value, schema: &Value, place: &str, faults: &mut Vec<String>) {
        let mut wrong = |what: &str| faults.push(format!("{place}: {value} {what}"));
        for (keyword, rule) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "type" if !is_of_type(value, rule) => wrong(&format!("is no {rule}")),
                "enum" if !rule.as_array().unwrap().contains(value) => wrong("is none of these"),
                "const" if rule != value => wrong(&format!("is not {rule}")),
                "minimum" if value.as_f64() < rule.as_f64() => wrong("is too small"),
                "maximum" if value.is_number() && value.as_f64() > rule.as_f64() => {
                    wrong("is too large");
                }
                "format" if !has_format(value, rule) => wrong(&format!("is no {rule}")),
                "pattern" if !fits_pattern(value, rule) => wrong(&format!("is not like {rule}")),
                "anyOf" => {
                    let any = rule.as_array().unwrap();
                    if !any.iter().any(|schema| self.faults(value, schema).is_empty()) {
                        wrong("is none of what it can be");
                    }
                }
                "type"
                | "enum"
                | "const"
                | "minimum"
                | "maximum"
                | "format"
                | "pattern"
                | "$ref"
                | "items"
                | "properties"
                | "required"
                | "additionalProperties"
                | "propertyNames"
                | "contentMediaType"
                | "contentSchema" => {}
                other => assert!(SAID.contains(&other), "{other} is not understood here"),
            }
        }
        if schema.get("$ref").is_some() {
            self.check(value, self.resolved(schema), place, faults);
        }
        if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
            for (index, item) in items.iter().enumerate() {
                self.check(item, schema, &format!("{place}/{index}"), faults);
            }
        }
        if let (Some(text), Some(schema)) = (value.as_str(), schema.get("contentSchema")) {
            let content = serde_json::from_str(text).unwrap();
            self.check(&content, schema, place, faults);
        }
        if let (Some(object), true) =
            (value.as_object(), schema["type"].to_string().contains("object"))
        {
            self.check_object(object, schema, place, faults);
        }
    }

    fn check_object(
        &self,
        object: &Map<String, Value>,
        schema: &Value,
        place: &str,
        faults: &mut Vec<String>,
    ) {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(required.as_str().unwrap()) {
                faults.push(format!("{place}: {required} is missing"));
            }
        }
        for (name, value) in object {
            let place = format!("{place}/{name}");
            if let Some(names) = schema.get("propertyNames") {
                self.check(&Value::from(name.as_str()), names, &place, faults);
            }
            let known =
                schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
            match known {
                Some(schema) => self.check(value, schema, &place, faults),
                None => faults.push(format!("{place} is not described")),
            }
        }
    }
}

fn is_of_type(value: &Value, rule: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not understood here"),
    };
    match rule {
        Value::String(name) => is(name),
        names => names.as_array().unwrap().iter().any(|name| is(name.as_str().unwrap())),
    }
}

fn has_format(value: &Value, rule: &Value) -> bool {
    let Some(text) = value.as_str() else { return true };
    match rule.as_str().unwrap() {
        "date-time" => text.len() == 25 && text.parse::<jiff::Timestamp>().is_ok(),
        "uri-reference" => text.bytes().all(|byte| byte.is_ascii_graphic()),
        other => panic!("the format {other} is not understood here"),
    }
}

fn fits_pattern(value: &Value, rule: &Value) -> bool {
    let Some(text) = value.as_str() else { return true };
    match rule.as_str().unwrap() {
        "^0x[0-9a-f]{3}$" => text.strip_prefix("0x").is_some_and(|digits| {
            digits.len() == 3 && digits.bytes().all(|b| b"0123456789abcdef".contains(&b))
        }),
        "^[0-9]+$" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        other => panic!("the pattern {other} is not understood here"),
    }
}
