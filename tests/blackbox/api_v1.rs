//! API v1 of the real binary: a node's log in, every kind of answer out. What
//! the answers are in detail is told by `tests/adapters/api/v1`.

use serde_json::Value;

use crate::support::{Answer, Isems, Node, Running, get, log, request};

/// `aa-ring.log` holds 42 measurements of one node, of less than an hour.
const ROWS: usize = 42;

fn serving_a_node() -> (Running, Node, String) {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    let serving = isems.serve();
    isems.database().wait_for_rows(ROWS);
    let nodes = at(&serving, "/api/v1/nodes").json();
    let id = nodes["nodes"][0]["id"].as_str().unwrap();
    let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
    (serving, node, id.to_string())
}

fn at(serving: &Running, path: &str) -> Answer {
    get(&format!("{}{path}", serving.api()))
}

#[test]
fn every_path_of_the_document_is_answered_with_what_a_node_told() {
    let (serving, node, id) = serving_a_node();
    let document = at(&serving, "/api/v1/openapi.json").json();
    for path in document["paths"].as_object().unwrap().keys() {
        let path = path.replace("{id}", &id);
        let query = if path.ends_with("/history") { "?from=2016-01-01T00:00:00Z" } else { "" };
        let answer = at(&serving, &format!("{path}{query}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let told = match path.rsplit('/').next().unwrap() {
            "healthz" => answer.text() == "ok",
            "readyz" => answer.text() == "ready",
            "openapi.json" => answer.json()["openapi"] == "3.1.0",
            "nodes" => answer.json()["nodes"].as_array().unwrap().len() == 1,
            "latest" => answer.json()["measurements"].as_array().unwrap().len() == 1,
            "sources" => {
                let source = &answer.json()["sources"][0];
                source["id"] == node.source() && source["stored"] == ROWS
            }
            "events" => answer.text().lines().any(|line| line == format!("id: {ROWS}")),
            "history" => count(&answer.json()["buckets"]) == ROWS,
            "export.csv" => answer.text().lines().count() == 1 + ROWS,
            "export.ndjson" => answer.text().lines().count() == ROWS,
            _ => answer.json()["lastHeard"].is_string() || answer.json()["id"].is_string(),
        };
        assert!(told, "{path}: {}", answer.text());
    }
}

/// How many measurements are in all buckets.
fn count(buckets: &Value) -> usize {
    let buckets = buckets.as_array().unwrap();
    let counts = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap());
    usize::try_from(counts.sum::<u64>()).unwrap()
}

#[test]
fn an_error_is_a_problem_document() {
    let (serving, _node, id) = serving_a_node();
    for (method, path, status) in [
        ("GET", "/api/v1/nothing".to_owned(), 404),
        ("GET", "/api/v1/nodes/nobody".to_owned(), 404),
        ("GET", "/api/v1/nodes/nobody/export.csv".to_owned(), 404),
        ("GET", format!("/api/v1/nodes/{id}/history?step=x"), 400),
        ("GET", "/api/v1/nodes?misspelt=1".to_owned(), 400),
        ("POST", "/api/v1/nodes".to_owned(), 405),
    ] {
        let answer = request(method, &format!("{}{path}", serving.api()), &[]);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].is_string() && problem["title"].is_string(), "{problem}");
    }
}
