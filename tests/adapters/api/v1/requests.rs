//! Parameters, methods, errors, compression, other origins.

use std::io::Read;

use serde_json::json;

use super::support::{World, measured};

const NODE_TARGETS: [&str; 4] = [
    "/api/v1/nodes/a",
    "/api/v1/nodes/a/history",
    "/api/v1/nodes/a/export.csv",
    "/api/v1/nodes/a/export.ndjson",
];
const TARGETS: [&str; 5] = [
    "/api/v1/nodes",
    "/api/v1/latest",
    "/api/v1/sources",
    "/api/v1/events",
    "/api/v1/openapi.json",
];

fn all() -> impl Iterator<Item = &'static str> {
    NODE_TARGETS.into_iter().chain(TARGETS)
}

#[tokio::test]
async fn parameters_are_as_they_should_be_or_the_request_is_refused() {
    let world = World::of(vec![measured("a", 0)]).await;
    for (target, status) in [
        ("nodes?limit=1", 200),
        ("nodes?limit=1000&after=&active=true", 200),
        ("nodes?&", 200),
        ("nodes?limit=0", 400),
        ("nodes?limit=1001", 400),
        ("nodes?limit=", 400),
        ("nodes?limit=1.0", 400),
        ("nodes?limit=1&limit=1", 400),
        ("nodes?active=yes", 400),
        ("nodes?active", 400),
        ("nodes?after=%FF", 400),
        ("nodes?Limit=1", 400),
        ("nodes?x", 400),
        ("latest?active=false", 200),
        ("latest?all=true", 400),
        ("latest?limit=1&after=a", 200),
        ("latest?limit=0", 400),
        ("sources?limit=1000&after=", 200),
        ("sources?limit=1001", 400),
        ("sources?x=1", 400),
        ("events?x=1", 400),
        ("nodes/a?active=true", 400),
        ("nodes/a/history?from=2025-05-31T00:00:00Z&to=2025-06-01T02:00:00+02:00", 200),
        ("nodes/a/history?from=2025-05-31T00:00:00%2B02:00&step=900", 200),
        ("nodes/a/history?from=1748700000&to=1748700000&step=1", 200),
        ("nodes/a/history?from=1748700001&to=1748700000", 200),
        ("nodes/a/history?fields=batteryVoltage,latitude,batteryVoltage", 200),
        ("nodes/a/history?fields=batteryVoltage%2ClongItude", 400),
        ("nodes/a/history?fields=", 400),
        ("nodes/a/history?from=yesterday", 400),
        ("nodes/a/history?to=2025-02-30T00:00:00Z", 400),
        ("nodes/a/history?step=0", 400),
        ("nodes/a/history?step=-60", 400),
        ("nodes/a/history?step=60s", 400),
        ("nodes/a/history?from=0&step=3600", 400),
        ("nodes/a/export.csv?from=1748700000&to=2025-06-01T00:00:00Z", 200),
        ("nodes/a/export.csv?step=60", 400),
        ("nodes/a/export.ndjson?from=", 400),
    ] {
        let answer = world.api.get(&format!("/api/v1/{target}")).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_refusal_names_the_parameter_and_what_it_may_be() {
    let world = World::of(Vec::new()).await;
    let answer = world.api.get("/api/v1/nodes?limit=many").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let expected = json!({
        "type": "about:blank", "title": "Bad Request", "status": 400,
        "detail": "The query parameter `limit` must be a whole number from 1 to 1000",
        "instance": "/api/v1/nodes",
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_also_in_what_it_names() {
    let world = World::of(Vec::new()).await;
    for target in [
        "/api/v1",
        "/api/v1/",
        "/api/v1/x",
        "/api/v1/nodes/",
        "/api/v1/nodes/a/b/history",
        "/api/v1/nodes/a{b}\"ü",
        "/api/v1/nodes/nobody",
        "/api/v1/nodes/%FF",
        "/api/v1/nodes/%00/history",
        "/api/v1/nodes/nobody/export.csv?from=0",
    ] {
        let answer = world.api.get(target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{target}");
        let instance = answer.json()["instance"].as_str().unwrap().to_owned();
        assert!(instance.starts_with("/api/v1"), "{instance}");
        assert!(instance.bytes().all(|b| b.is_ascii() && !b"{}\" ".contains(&b)), "{instance}");
    }
}

#[tokio::test]
async fn everything_can_only_be_read() {
    let world = World::of(vec![measured("a", 0)]).await;
    for target in all() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let answer = world.api.request(method, target, &["Content-Length: 0"]).await;
            assert_eq!(answer.status, 405, "{method} {target}");
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
            assert_eq!(answer.json()["status"], 405);
        }
        let answer = world.api.request("HEAD", target, &[]).await;
        assert_eq!((answer.status, answer.text()), (200, ""), "{target}");
        let answer = world.api.request("OPTIONS", target, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (204, "GET, HEAD, OPTIONS"));
    }
    assert_eq!(world.api.request("POST", "/api/v1/x", &[]).await.status, 404);
    assert_eq!(world.api.request("OPTIONS", "/api/v1/x", &[]).await.status, 404);
}

#[tokio::test]
async fn pages_of_other_origins_may_read_all_but_the_sources() {
    let world = World::of(vec![measured("a", 0)]).await;
    for target in all() {
        for method in ["GET", "HEAD", "OPTIONS", "POST"] {
            let answer = world.api.request(method, target, &["Origin: http://x.example"]).await;
            let shared = answer.all("access-control-allow-origin");
            let expected: &[&str] = if target.ends_with("sources") { &[] } else { &["*"] };
            assert_eq!(shared, expected, "{method} {target}");
        }
    }
    let refused = world.api.get("/api/v1/nodes?x").await;
    assert_eq!(refused.header("access-control-allow-origin"), "*", "its page shows the problem");
}

#[tokio::test]
async fn what_is_large_is_compressed_for_those_who_take_it() {
    let rows = (0..100).map(|i| measured(&format!("node {i:03}"), i)).collect();
    let world = World::of(rows).await;
    let plain = world.api.get("/api/v1/nodes").await;
    let small = world.api.request("GET", "/api/v1/nodes", &["Accept-Encoding: br, gzip"]).await;
    assert_eq!(small.header("content-encoding"), "gzip");
    assert_eq!(plain.all("content-encoding"), [""; 0]);
    for answer in [&plain, &small] {
        assert_eq!(answer.header("vary"), "Accept-Encoding");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    }
    assert!(small.body.len() * 5 < plain.body.len());
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&*small.body).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    assert_ne!(small.header("etag"), plain.header("etag"), "other bytes have another tag");
    let tiny = ["Accept-Encoding: gzip"];
    let tiny = world.api.request("GET", "/api/v1/sources", &tiny).await;
    assert_eq!(tiny.all("content-encoding"), [""; 0]);
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again_in_either_form() {
    let world = World::of(vec![measured("a", 0)]).await;
    for target in ["/api/v1/nodes", "/api/v1/nodes/a", "/api/v1/latest", "/api/v1/openapi.json"] {
        for accepting in ["Accept-Encoding: gzip", "Accept-Encoding: identity"] {
            let first = world.api.request("GET", target, &[accepting]).await;
            let has = format!("If-None-Match: {}", first.header("etag"));
            let again = world.api.request("GET", target, &[accepting, &has]).await;
            assert_eq!((again.status, again.text()), (304, ""), "{target}");
            assert_eq!(again.header("etag"), first.header("etag"));
            assert_eq!(again.all("content-encoding"), [""; 0]);
        }
    }
}

#[tokio::test]
async fn the_old_api_is_never_compressed() {
    let rows = (0..100).map(|i| measured(&format!("node {i:03}"), i)).collect();
    let world = World::of(rows).await;
    let asking = ["Accept-Encoding: gzip"];
    let answer = world.api.request("GET", "/measurements/latest", &asking).await;
    assert_eq!(answer.measurements().len(), 100);
    assert_eq!(answer.all("vary"), [""; 0]);
}
