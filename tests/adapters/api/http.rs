//! Methods, headers, errors.

use isems_core::RepoError;

use super::support::{Stub, row, settings, start, start_with};

const ORIGIN: &str = "access-control-allow-origin";

#[tokio::test]
async fn head_is_get_without_its_body() {
    let api = start(&Stub::of(vec![row(1, "a", 0)])).await;
    for target in
        ["/measurements/latest", "/api/measurements/a/latest", "/sources", "/", "/nothing"]
    {
        let get = api.get(target).await;
        let mut head = api.request("HEAD", target, &[]).await;
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{target}");
        assert_eq!(head.body, b"", "{target}");
        head.body.clone_from(&get.body);
        let without_date = |mut answer: super::support::Answer| {
            answer.headers.retain(|(name, _)| name != "date");
            answer.headers.sort();
            answer
        };
        assert_eq!(without_date(head), without_date(get), "{target}");
    }
}

#[tokio::test]
async fn an_answer_that_can_have_no_body_tells_no_length_of_one() {
    let api = start(&Stub::of(Vec::new())).await;
    for method in ["GET", "HEAD"] {
        let missing = api.request(method, "/tiles/0/0/0.png", &[]).await;
        assert_eq!(missing.status, 204, "{method}");
        assert_eq!(missing.all("content-length"), [""; 0], "{method}");
    }
}

#[tokio::test]
async fn other_methods_are_answered_with_those_that_are_allowed() {
    let api = start(&Stub::of(vec![row(1, "a", 0)])).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        for target in ["/measurements/latest", "/api/measurements/a/latest", "/sources", "/"] {
            let answer = api.request(method, target, &["Content-Length: 0"]).await;
            assert_eq!(answer.status, 405, "{method} {target}");
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found_whatever_the_method() {
    let api = start(&Stub::of(vec![row(1, "a", 0)])).await;
    for target in ["/api", "/api/v2/nodes", "/measurements", "/measurements/a", "/sources/a", "/x"]
    {
        for method in ["GET", "OPTIONS", "POST"] {
            let answer = api.request(method, target, &[]).await;
            assert_eq!(answer.status, 404, "{method} {target}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        }
    }
}

#[tokio::test]
async fn options_say_what_pages_of_other_origins_may_do() {
    let api = start(&Stub::of(Vec::new())).await;
    let asking = ["Origin: http://x.example", "Access-Control-Request-Method: GET"];
    for target in ["/measurements/latest", "/api/measurements/a/latest"] {
        let answer = api.request("OPTIONS", target, &asking).await;
        assert_eq!(answer.status, 204, "{target}");
        for (name, value) in [
            (ORIGIN, "*"),
            ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
            ("access-control-allow-headers", "*"),
            ("access-control-max-age", "86400"),
            ("allow", "GET, HEAD, OPTIONS"),
        ] {
            assert_eq!(answer.header(name), value, "{target}");
        }
    }
    let answer = api.request("OPTIONS", "*", &[]).await;
    assert_eq!((answer.status, answer.header("allow")), (204, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn measurements_name_the_allowed_origin_exactly_once_also_in_errors() {
    for (setting, vary) in [("*", None), ("https://map.example", Some("Origin"))] {
        let stub = Stub::of(vec![row(1, "a", 0)]);
        let mut settings = settings();
        settings.cors_origin = setting.parse().unwrap();
        let api = start_with(&stub, settings).await;
        let etag = api.get("/measurements/latest").await.header("etag").to_owned();
        let cached = format!("If-None-Match: {etag}");
        let mut answers = vec![
            (200, api.get("/measurements/latest").await),
            (304, api.request("GET", "/measurements/latest", &[&cached]).await),
            (204, api.request("OPTIONS", "/measurements/latest", &[]).await),
            (405, api.request("POST", "/measurements/latest", &[]).await),
            (404, api.get("/measurements/nothing").await),
        ];
        stub.fail_with(unavailable);
        answers.push((503, api.get("/measurements/a/latest").await));
        for (status, answer) in answers {
            assert_eq!(answer.status, status);
            assert_eq!(answer.header(ORIGIN), setting, "{status}");
            let varies = answer.all("vary").contains(&"Origin");
            assert_eq!(varies, vary.is_some(), "{status}");
        }
    }
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again_until_it_changes() {
    let stub = Stub::of(vec![row(1, "a", 10)]);
    let api = start(&stub).await;
    for target in ["/measurements/latest", "/measurements/a/latest"] {
        stub.rows.lock().unwrap().truncate(1);
        let first = api.get(target).await;
        assert_eq!(first.header("cache-control"), "no-cache");
        let has = format!("If-None-Match: \"other\", W/{}", first.header("etag"));
        let again = api.request("GET", target, &[&has]).await;
        assert_eq!((again.status, again.text()), (304, ""), "{target}");
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("cache-control"), "no-cache");
        assert_eq!(again.all("content-length"), [""; 0]);

        stub.rows.lock().unwrap().push(row(2, "a", 0));
        let changed = api.request("GET", target, &[&has]).await;
        assert_eq!(changed.status, 200, "{target}");
    }
}

fn unavailable() -> RepoError {
    RepoError::Unavailable { what: "/secret/path is locked".to_owned(), cause: None }
}

fn corrupt() -> RepoError {
    RepoError::Corrupt { what: "/secret/path page 7".to_owned(), cause: None }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_an_error_that_tells_no_secrets() {
    let stub = Stub::of(Vec::new());
    let api = start(&stub).await;
    for (fault, status, retry) in
        [(unavailable as fn() -> RepoError, 503, &["5"][..]), (corrupt, 500, &[])]
    {
        stub.fail_with(fault);
        for target in ["/measurements/latest", "/measurements/a/latest", "/sources"] {
            let answer = api.get(target).await;
            assert_eq!((answer.status, answer.all("retry-after").as_slice()), (status, retry));
            assert!(!answer.text().contains("secret"), "{target}: {}", answer.text());
        }
    }
    *stub.fault.lock().unwrap() = None;
    assert_eq!(api.get("/measurements/latest").await.status, 200);
}

#[tokio::test]
async fn errors_are_plain_text_unless_json_is_asked_for_by_name() {
    let stub = Stub::of(Vec::new());
    stub.fail_with(unavailable);
    let api = start(&stub).await;
    for (accept, kind) in [
        ("Accept: application/json", "application/json"),
        ("Accept: application/json, text/plain, */*", "text/plain; charset=utf-8"),
        ("Accept: */*", "text/plain; charset=utf-8"),
        ("X: y", "text/plain; charset=utf-8"),
    ] {
        let answer = api.request("GET", "/measurements/latest", &[accept]).await;
        assert_eq!((answer.status, answer.header("content-type")), (503, kind), "{accept}");
        if kind == "application/json" {
            assert_eq!(answer.json()["status"], 503);
        } else {
            assert!(answer.text().starts_with("The measurements cannot be read"));
        }
    }
}

#[tokio::test]
async fn requests_that_are_no_http_are_bad_requests() {
    let api = start(&Stub::of(vec![row(1, "ü", 0)])).await;
    for request in [
        &b"GET /measurements/a b/latest HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET /measurements/\xFC/latest HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        assert_eq!(api.send(request).await.status, 400);
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests_also_sent_at_once() {
    let api = start(&Stub::of(vec![row(1, "a", 0)])).await;
    let one = "GET /measurements/latest HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /measurements/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = api.send(format!("{one}{one}{last}").as_bytes()).await;
    let all = String::from_utf8(answers.body).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2, "beside the first");
}
