//! Where the collector's own page is, and what machines ask at the root.

use isems_core::RepoError;

use super::support::{Api, Stub, settings, start, start_with};

const APP: &str = "<!doctype html><title>isems-app</title>";

async fn start_beside_an_app() -> (Api, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), APP).unwrap();
    let mut settings = settings();
    settings.app_dir = Some(folder.path().to_owned());
    (start_with(&Stub::of(Vec::new()), settings).await, folder)
}

#[tokio::test]
async fn the_page_is_at_the_root_unless_an_app_is_there() {
    let alone = start(&Stub::of(Vec::new())).await;
    let (beside, _folder) = start_beside_an_app().await;
    let page = alone.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(beside.get("/").await.text(), APP);
    assert_eq!(beside.get("/dashboard/").await.body, page.body);
    for other_name in ["/dashboard", "/dashboard/index.html"] {
        let moved = beside.get(other_name).await;
        assert_eq!((moved.status, moved.header("location")), (308, "/dashboard/"), "{other_name}");
    }
    assert_eq!(alone.get("/nothing").await.status, 404);
    let missing = beside.get("/dashboard/nothing.js").await;
    assert_eq!(missing.status, 404, "the app's page does not stand for it");
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_is_not_sent_twice() {
    let api = start(&Stub::of(Vec::new())).await;
    let page = api.get("/").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    for accepting in ["Accept-Encoding: identity", "Accept-Encoding: gzip"] {
        let page = api.request("GET", "/", &[accepting]).await;
        let has = format!("If-None-Match: {}", page.header("etag"));
        let again = api.request("GET", "/", &[accepting, &has]).await;
        assert_eq!((again.status, again.text()), (304, ""), "{accepting}");
    }
}

#[tokio::test]
async fn machines_are_told_whether_it_runs_and_whether_it_can_read() {
    let stub = Stub::of(Vec::new());
    let api = start(&stub).await;
    let says = async |target: &str| {
        let answer = api.get(target).await;
        (answer.status, answer.text().to_owned())
    };
    assert_eq!(says("/healthz").await, (200, "ok".to_owned()));
    assert_eq!(says("/readyz").await, (200, "ready".to_owned()));
    stub.fail_with(|| RepoError::Unavailable { what: "busy".to_owned(), cause: None });
    assert_eq!(says("/healthz").await, (200, "ok".to_owned()));
    assert_eq!(says("/readyz").await.0, 503);
}
