//! `docs/API.md` tells people what the `OpenAPI` document tells programs: all of
//! it, and nothing else.
//!
//! Read are its tables: that of the paths, that of the parameters, and one for
//! each object and each list of values, below a heading with the schema's name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::{document::served, schema::Document};

/// Schemas of the old API, which have their tables before those of API v1.
const OLD: [(&str, &str); 2] = [("Measurement", "Measurements"), ("Source", "Sources")];

/// Lists of one thing each, which the paths' table tells.
const LISTS: [&str; 2] = ["Measurements", "Sources"];

/// The rows of the tables below each heading, as cells.
type Tables = BTreeMap<String, Vec<Vec<String>>>;

fn tables(text: &str) -> Tables {
    let mut tables = Tables::new();
    let mut heading = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells = format!("`{row}");
            let cells =
                cells.trim_end_matches(" |").split(" | ").map(|cell| cell.trim().to_owned());
            tables.entry(heading.clone()).or_default().push(cells.collect());
        }
    }
    tables
}

/// What people read: the tables of API v1, and those before it.
fn documentation() -> (Tables, Tables) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md");
    let text = fs::read_to_string(file).unwrap();
    let (old, rest) = text.split_once("\n## API v1\n").unwrap();
    let (new, _) = rest.split_once("\n## ").unwrap();
    (tables(&format!("# Paths\n{new}")), tables(old))
}

/// The names in code style in a cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The type of a schema in words: its name, or what it is in JSON.
fn kind(schema: &Value) -> String {
    let alternatives = |all: &Vec<Value>, of: fn(&Value) -> String| {
        all.iter().map(of).collect::<Vec<_>>().join(" or ")
    };
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap().to_owned();
    }
    match (&schema["anyOf"], &schema["type"]) {
        (Value::Array(any), _) => alternatives(any, kind),
        (_, Value::Array(types)) => alternatives(types, |name| name.as_str().unwrap().to_owned()),
        (_, Value::String(name)) if name == "array" => {
            format!("array of {}", kind(&schema["items"]))
        }
        (_, name) => name.as_str().unwrap().to_owned(),
    }
}

/// The fields of an object with their types; those of an object in it follow as
/// `outer.inner`, unless they are fields of measurements, which have their table.
fn fields(document: &Document, schema: &Value) -> BTreeMap<String, String> {
    let measured: BTreeSet<_> = values(&document.0["components"]["schemas"]["Field"]);
    let mut fields = BTreeMap::new();
    for (name, field) in schema["properties"].as_object().unwrap() {
        fields.insert(name.clone(), kind(field));
        let inner = field["properties"].as_object().into_iter().flatten();
        for (inner, field) in inner.filter(|(name, _)| !measured.contains(*name)) {
            fields.insert(format!("{name}.{inner}"), kind(field));
        }
    }
    fields
}

fn values(schema: &Value) -> BTreeSet<String> {
    let all = schema["enum"].as_array().into_iter().flatten();
    all.map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_paths_people_read_of_have_the_parameters_and_statuses_of_the_document() {
    let document = served().await;
    let (tables, _) = documentation();
    let mut described = BTreeMap::new();
    for (path, item) in document.0["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters: BTreeSet<_> = parameters
                .map(|one| document.resolved(one)["name"].as_str().unwrap().to_owned())
                .collect();
            let statuses: Vec<_> =
                operation["responses"].as_object().unwrap().keys().cloned().collect();
            let place = format!("{} {path}", method.to_uppercase());
            described.insert(place, (parameters, statuses.join(", ")));
        }
    }
    let told: BTreeMap<_, _> = tables["Paths"]
        .iter()
        .map(|row| (row[0].replace('`', ""), (names(&row[2]), row[3].clone())))
        .collect();
    assert_eq!(told, described);
    let all: BTreeSet<_> = described.into_values().flat_map(|(names, _)| names).collect();
    let told: BTreeSet<_> = tables["Parameters"].iter().flat_map(|row| names(&row[0])).collect();
    assert_eq!(told, all, "parameters");
}

#[tokio::test]
async fn the_objects_people_read_of_have_the_fields_and_types_of_the_document() {
    let document = served().await;
    let (new, _) = documentation();
    let schemas = document.0["components"]["schemas"].as_object().unwrap();
    let mut described = BTreeMap::new();
    for (name, schema) in schemas {
        let old = OLD.iter().any(|(old, _)| old == name);
        if schema["properties"].is_object() && !old && !LISTS.contains(&name.as_str()) {
            described.insert(name.clone(), fields(&document, schema));
        }
    }
    assert!(described.len() > 8, "{described:#?}");
    let is_object = |name: &str| {
        !["Paths", "Parameters"].contains(&name)
            && schemas.get(name).is_none_or(|s| s["enum"].is_null())
    };
    let told: BTreeMap<_, _> = new
        .iter()
        .filter(|(name, _)| is_object(name))
        .map(|(name, rows)| {
            let field = |row: &Vec<String>| (row[0].replace('`', ""), row[1].clone());
            (name.clone(), rows.iter().map(field).collect::<BTreeMap<_, _>>())
        })
        .collect();
    assert_eq!(told, described);
}

#[tokio::test]
async fn the_values_people_read_of_are_those_of_the_document() {
    let document = served().await;
    let (new, _) = documentation();
    let schemas = document.0["components"]["schemas"].as_object().unwrap();
    let lists = schemas.iter().filter(|(_, schema)| schema["enum"].is_array());
    let lists: Vec<_> = lists.collect();
    assert_eq!(lists.len(), 4);
    for (name, schema) in lists {
        let told: BTreeSet<_> = new[name].iter().flat_map(|row| names(&row[0])).collect();
        assert_eq!(told, values(schema), "{name}");
    }
}

#[tokio::test]
async fn the_tables_of_the_old_api_have_the_fields_of_the_document() {
    let document = served().await;
    let (_, old) = documentation();
    for (schema, heading) in OLD {
        let described = fields(&document, &document.0["components"]["schemas"][schema]);
        let told: BTreeSet<_> = old[heading].iter().flat_map(|row| names(&row[0])).collect();
        assert_eq!(told, described.into_keys().collect(), "{heading}");
    }
}
