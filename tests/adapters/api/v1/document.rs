//! The `OpenAPI` document is true: what it describes is served, exactly so, and
//! nothing else.

use std::sync::Arc;

use isems_core::{
    Basis, Field, NodeId, NodeStatus, RepoError, Reported, Sample, SourceId, SourceKind,
    SourceSummary, Tally,
};
use serde_json::{Map, Value};

use super::schema::Document;
use crate::api::support::{Answer, Api, NOW, Stub, row, start};

const NODE: &str = "Elektra-Dach";

/// Nodes of every kind, and sources with and without everything.
fn everything() -> Arc<Stub> {
    let mut rows = vec![row(1, NODE, 7_200), row(2, NODE, 60), row(3, "b", 40 * 86_400)];
    let mut unknown = row(4, "a", 0);
    unknown.measurement.sample = Sample::default();
    unknown.measurement.received = None;
    unknown.measurement.reported = Reported::Fingerprint(7);
    unknown.measurement.basis = Basis::Estimated;
    rows.push(unknown);
    let mut silent = row(5, "c", 0);
    silent.measurement.sample.status = Some(NodeStatus::from_bits(0xFFF));
    silent.measurement.basis = Basis::Corrected;
    rows.push(silent);
    let stub = Stub::of(rows);
    let source = |name, kind| SourceSummary::new(SourceId::new(name), kind);
    let tally = Tally { rejected: [("reason".to_owned(), 7)].into(), ..Tally::default() };
    *stub.sources.lock().unwrap() = vec![
        SourceSummary {
            last_success: Some(NOW),
            last_error: Some((NOW, "refused".to_owned())),
            clock_offset: Some(-3),
            nodes: [(NodeId::new("Dach").unwrap(), tally.clone())].into(),
            tally,
            ..source("http://10.0.0.1/", SourceKind::Http)
        },
        source("broker:1883", SourceKind::Mqtt),
    ];
    stub
}

async fn document(api: &Api) -> Document {
    Document(api.get("/api/v1/openapi.json").await.json())
}

/// The document as a server answers with it.
pub(super) async fn served() -> Document {
    document(&start(&Stub::of(Vec::new())).await).await
}

/// The targets of the document, with the node's name filled in, and what is
/// said of each.
fn operations(document: &Document) -> Vec<(String, Value)> {
    let paths = document.0["paths"].as_object().unwrap();
    let operation = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().collect();
        assert_eq!(methods, ["get"], "{path}");
        (path.replace("{id}", NODE), item["get"].clone())
    };
    paths.iter().map(operation).collect()
}

/// The parameters of an operation that are in `place`.
fn parameters(document: &Document, operation: &Value, place: &str) -> Vec<Value> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.map(|parameter| document.resolved(parameter).clone())
        .filter(|parameter| parameter["in"] == place)
        .collect()
}

/// Asserts that an answer is as the document says of its status.
fn assert_described(document: &Document, target: &str, operation: &Value, answer: &Answer) {
    let status = answer.status.to_string();
    let described = operation["responses"].get(&status);
    let described = described.unwrap_or_else(|| panic!("{target}: {status} is not described"));
    let described = document.resolved(described);
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        let schema = &document.resolved(header)["schema"];
        let text = answer.header(&name.to_ascii_lowercase());
        let value = match schema["type"].as_str() {
            Some("integer") => Value::from(text.parse::<i64>().unwrap()),
            _ => Value::from(text),
        };
        assert_eq!(document.faults(&value, schema), [""; 0], "{target}: {name}");
    }
    let Some(content) = described["content"].as_object() else {
        assert_eq!(answer.text(), "", "{target}: {status}");
        return;
    };
    let kind = answer.header("content-type").split(';').next().unwrap();
    let media = content.get(kind);
    let schema = &media.unwrap_or_else(|| panic!("{target}: {kind} is not described"))["schema"];
    let values = match kind {
        "application/json" | "application/problem+json" => vec![answer.json()],
        "text/event-stream" => events(answer.text()),
        "application/x-ndjson" | "text/csv" => {
            vec![Value::from(String::from_utf8(answer.unchunked()).unwrap())]
        }
        _ => vec![Value::from(answer.text())],
    };
    for value in values.iter().filter(|_| !target.ends_with("openapi.json")) {
        assert_eq!(document.faults(value, schema), [""; 0], "{target}: {status}");
    }
}

/// The fields of each event that has data.
fn events(stream: &str) -> Vec<Value> {
    let event = |block: &str| {
        let fields = block.lines().map(|line| line.split_once(": ").unwrap());
        Value::Object(fields.map(|(name, value)| (name.to_owned(), value.into())).collect())
    };
    stream.split("\n\n").filter(|block| block.contains("data: ")).map(event).collect()
}

#[tokio::test]
async fn it_has_the_programs_version() {
    let api = start(&everything()).await;
    let document = document(&api).await;
    assert_eq!(document.0["openapi"], "3.1.0");
    assert_eq!(document.0["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn everything_in_it_is_served_as_it_says_with_any_example_of_its_parameters() {
    let api = start(&everything()).await;
    let document = document(&api).await;
    let operations = operations(&document);
    assert_eq!(operations.len(), 11);
    for (target, operation) in operations {
        let mut requests = vec![(target.clone(), String::new())];
        for parameter in parameters(&document, &operation, "query") {
            for example in examples(&parameter) {
                let name = parameter["name"].as_str().unwrap();
                requests.push((format!("{target}?{name}={example}"), String::new()));
            }
        }
        for parameter in parameters(&document, &operation, "header") {
            let name = parameter["name"].as_str().unwrap();
            requests.push((target.clone(), format!("{name}: 0")));
        }
        for (request, header) in requests {
            let header = if header.is_empty() { "X: y" } else { &header };
            let answer = api.request("GET", &request, &[header]).await;
            assert_eq!(answer.status, 200, "{request}: {}", answer.text());
            assert_described(&document, &request, &operation, &answer);
        }
    }
}

/// Values for a parameter: its examples, or some that its schema allows.
fn examples(parameter: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.replace('+', "%2B"),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    if let Some(examples) = parameter["examples"].as_object() {
        return examples.values().map(|example| text(&example["value"])).collect();
    }
    match parameter["schema"]["type"].as_str().unwrap() {
        "boolean" => vec!["true".to_owned(), "false".to_owned()],
        "integer" => ["minimum", "maximum"].map(|end| text(&parameter["schema"][end])).to_vec(),
        "string" => vec!["a".to_owned(), String::new()],
        other => panic!("no example for {other}"),
    }
}

#[tokio::test]
async fn every_parameter_that_is_understood_is_in_it() {
    let api = start(&everything()).await;
    let document = document(&api).await;
    for (target, operation) in operations(&document) {
        if !target.starts_with("/api/v1/") {
            continue;
        }
        let described: Vec<_> = parameters(&document, &operation, "query")
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        let refused = api.get(&format!("{target}?misspelt=1")).await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        let understood = match described.as_slice() {
            [] => "there are none here".to_owned(),
            names => format!("here is {}", names.join(", ")),
        };
        assert!(detail.ends_with(&understood), "{target}: {detail}");
    }
}

#[tokio::test]
async fn every_error_is_as_it_says() {
    let stub = everything();
    let api = start(&stub).await;
    let document = document(&api).await;
    let mut seen: Vec<(String, u16)> = Vec::new();
    for (target, operation) in operations(&document) {
        let mut answers = Vec::new();
        if target.starts_with("/api/v1/") {
            answers.push(api.get(&format!("{target}?misspelt=1")).await);
            answers.push(api.request("POST", &target, &[]).await);
        }
        if target.contains(NODE) {
            answers.push(api.get(&target.replace(NODE, "nobody")).await);
            answers.push(api.get(&target.replace(NODE, "%FF")).await);
        }
        let first = api.get(&target).await;
        if let [tag] = first.all("etag")[..] {
            let has = format!("If-None-Match: {tag}");
            answers.push(api.request("GET", &target, &[&has]).await);
        }
        for fault in [
            (|| RepoError::Unavailable { what: "secret".to_owned(), cause: None })
                as fn() -> RepoError,
            || RepoError::Corrupt { what: "secret".to_owned(), cause: None },
        ] {
            stub.fail_with(fault);
            let answer = api.get(&target).await;
            // Not everything reads.
            answers.extend((answer.status != 200).then_some(answer));
        }
        *stub.fault.lock().unwrap() = None;
        for answer in answers {
            assert!(!answer.text().contains("secret"), "{target}");
            // The body, if there is one, is the document of the problem.
            assert_described(&document, &target, &operation, &answer);
            seen.push((target.clone(), answer.status));
        }
    }
    let of = |status: u16| seen.iter().filter(|(_, seen)| *seen == status).count();
    assert_eq!([400, 404, 405, 500, 503].map(of), [9, 8, 9, 9, 9]);
}

#[tokio::test]
async fn every_column_of_an_export_is_in_it() {
    let api = start(&everything()).await;
    let document = document(&api).await;
    let schema = &document.0["components"]["schemas"]["ExportedMeasurement"];
    let ndjson = api.get(&format!("/api/v1/nodes/{NODE}/export.ndjson")).await.unchunked();
    let rows: Vec<Map<String, Value>> = serde_json::Deserializer::from_slice(&ndjson)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(document.faults(&Value::Object(row.clone()), schema), [""; 0]);
    }
    let csv = api.get(&format!("/api/v1/nodes/{NODE}/export.csv")).await.unchunked();
    let csv = String::from_utf8(csv).unwrap();
    let columns: Vec<_> = csv.lines().next().unwrap().split(',').collect();
    let described = schema["properties"].as_object().unwrap();
    assert_eq!(columns.len(), described.len());
    assert!(columns.iter().all(|column| described.contains_key(*column)), "{columns:?}");
    let path = &document.0["paths"]["/api/v1/nodes/{id}/export.csv"];
    let schema = &path["get"]["responses"]["200"]["content"]["text/csv"]["schema"];
    let order = format!("Columns: {} (see", columns.join(", "));
    assert!(schema["description"].as_str().unwrap().contains(&order));
}

#[tokio::test]
async fn every_field_is_in_it_with_its_unit() {
    let api = start(&everything()).await;
    let schemas = document(&api).await.0["components"]["schemas"].take();
    let names: Vec<_> = Field::ALL.map(Field::name).to_vec();
    assert_eq!(schemas["Field"]["enum"], Value::from(names));
    for field in Field::ALL {
        let described = &schemas["Measurement"]["properties"][field.name()]["description"];
        let described = described.as_str().unwrap();
        let unit = described.split("Unit: ").nth(1).unwrap();
        assert!(unit.starts_with(field.unit()), "{}: {unit}", field.name());
    }
}
