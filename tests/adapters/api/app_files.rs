//! The files of a built isems-app, and the way out of their folder that there
//! is not.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Api, Stub, read_all, row, settings, start_with};

const INDEX: &str = "<!doctype html><title>isems-app</title>";

/// `app` in a folder beside a file that nobody must see.
async fn start_app() -> (Api, TempDir) {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("secret.txt"), "secret").unwrap();
    let app = outer.path().join("app");
    fs::create_dir_all(app.join("js")).unwrap();
    for (name, content) in [
        ("index.html", INDEX),
        ("js/app.3f2a1b7c.js", "run()"),
        ("js/worker.js", "work()"),
        ("a b.svg", "<svg/>"),
        (".env", "secret"),
    ] {
        fs::write(app.join(name), content).unwrap();
    }
    symlink("../secret.txt", app.join("out.txt")).unwrap();
    symlink("..", app.join("outer")).unwrap();
    symlink("js/worker.js", app.join("inside.js")).unwrap();
    let mut settings = settings();
    settings.app_dir = Some(app);
    let api = start_with(&Stub::of(vec![row(1, "a", 0)]), settings).await;
    (api, outer)
}

#[tokio::test]
async fn files_are_served_with_their_type_and_kept_only_if_their_name_names_their_content() {
    const FOR_EVER: &str = "public, max-age=31536000, immutable";
    let (api, _folder) = start_app().await;
    for (target, kind, cache, content) in [
        ("/", "text/html; charset=utf-8", "no-cache", INDEX),
        ("/index.html", "text/html; charset=utf-8", "no-cache", INDEX),
        ("/js/app.3f2a1b7c.js", "text/javascript; charset=utf-8", FOR_EVER, "run()"),
        ("/js/worker.js?v=1", "text/javascript; charset=utf-8", "no-cache", "work()"),
        ("/inside.js", "text/javascript; charset=utf-8", "no-cache", "work()"),
        ("/a%20b.svg", "image/svg+xml", "no-cache", "<svg/>"),
    ] {
        let answer = api.get(target).await;
        assert_eq!((answer.status, answer.text()), (200, content), "{target}");
        assert_eq!(answer.header("content-type"), kind, "{target}");
        assert_eq!(answer.header("cache-control"), cache, "{target}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn places_within_the_app_get_its_page_but_missing_files_do_not() {
    let (api, _folder) = start_app().await;
    let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    for (target, accept, page) in [
        ("/nodes/a", "Accept: */*", true),
        ("/nodes/a.b", browser, true),
        ("/nodes/.roof", browser, true),
        ("/nodes/.roof", "Accept: */*", false),
        ("/js", "Accept: */*", true),
        ("/js/missing.js", "Accept: */*", false),
    ] {
        let answer = api.request("GET", target, &[accept]).await;
        let is_page = (answer.status, answer.text()) == (200, INDEX);
        assert_eq!(is_page, page, "{target}");
        assert_eq!(answer.status, if page { 200 } else { 404 }, "{target}");
    }
}

#[tokio::test]
async fn the_page_never_stands_for_something_of_the_api() {
    let (api, _folder) = start_app().await;
    let browser = "Accept: text/html";
    for target in [
        "/api",
        "/api/",
        "/api/x",
        "/api/index.html",
        "/measurements",
        "/measurements/x",
        "/%61pi/x",
        "//api/x",
        "/sources/x",
        "/api/v1",
        "/api/v1/index.html",
        "/api/v2/nodes",
    ] {
        let answer = api.request("GET", target, &[browser]).await;
        assert_eq!(answer.status, 404, "{target}");
    }
    assert_eq!(api.get("/api/measurements/latest").await.measurements().len(), 1);
}

#[tokio::test]
async fn nothing_outside_the_folder_and_nothing_hidden_is_served() {
    let (api, _folder) = start_app().await;
    for target in [
        "/../secret.txt",
        "/js/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "//../secret.txt",
        "/out.txt",
        "/outer/secret.txt",
        "/.env",
        "/js/../.env",
        "/%2eenv",
        "/index.html%00.txt",
        "/%2fetc%2fpasswd.txt",
    ] {
        let answer = api.get(target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(!answer.text().contains("secret"), "{target}");
    }
}

#[tokio::test]
async fn only_regular_files_are_served() {
    let (api, folder) = start_app().await;
    let pipe = folder.path().join("app/pipe.txt");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert_eq!(api.get("/pipe.txt").await.status, 404);
}

#[tokio::test]
async fn what_a_browser_has_of_the_files_is_not_sent_again() {
    let (api, folder) = start_app().await;
    let first = api.get("/js/worker.js").await;
    let has = format!("If-None-Match: {}", first.header("etag"));
    let since = format!("If-Modified-Since: {}", first.header("last-modified"));
    for known in
        [&[&*has][..], &[&*since], &[&*has, "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"]]
    {
        let again = api.request("GET", "/js/worker.js", known).await;
        assert_eq!((again.status, again.text()), (304, ""), "{known:?}");
        assert_eq!(again.header("etag"), first.header("etag"));
    }
    let other = ["If-None-Match: \"other\"", &*since];
    assert_eq!(api.request("GET", "/js/worker.js", &other).await.status, 200);
    fs::write(folder.path().join("app/js/worker.js"), "work harder()").unwrap();
    let changed = api.request("GET", "/js/worker.js", &[&has]).await;
    assert_eq!((changed.status, changed.text()), (200, "work harder()"));
}

#[tokio::test]
async fn large_files_arrive_whole() {
    let (api, folder) = start_app().await;
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.path().join("app/large.png"), &content).unwrap();
    let answer = api.get("/large.png").await;
    assert_eq!(answer.header("content-length"), "4000000");
    assert!(answer.body == content);
}

#[tokio::test]
async fn head_tells_of_a_file_what_get_does() {
    let (api, _folder) = start_app().await;
    let answer = api.request("HEAD", "/js/worker.js", &[]).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(answer.header("content-length"), "6");
    assert_eq!(api.request("POST", "/js/worker.js", &[]).await.status, 405);
}

#[tokio::test]
async fn a_newly_built_app_behind_the_same_link_is_served_without_a_restart() {
    let outer = tempfile::tempdir().unwrap();
    let build = |name: &str| {
        fs::create_dir(outer.path().join(name)).unwrap();
        fs::write(outer.path().join(name).join("index.html"), name).unwrap();
    };
    let link = outer.path().join("current");
    let point_to = |name: &str| {
        let _ = fs::remove_file(&link);
        symlink(Path::new(name), &link).unwrap();
    };
    build("one");
    point_to("one");
    let mut settings = settings();
    settings.app_dir = Some(link.clone());
    let api = start_with(&Stub::of(Vec::new()), settings).await;
    assert_eq!(api.get("/").await.text(), "one");
    build("two");
    point_to("two");
    assert_eq!(api.get("/").await.text(), "two");
}

#[tokio::test]
async fn small_and_large_files_come_whole_with_their_length() {
    const SMALL: usize = 256 * 1024;
    let (api, folder) = start_app().await;
    for size in [0, 1, SMALL - 1, SMALL, SMALL + 1, 1_000_000] {
        let content: Vec<u8> = (0_u8..251).cycle().take(size).collect();
        fs::write(folder.path().join("app/sized.bin"), &content).unwrap();
        let answer = api.get("/sized.bin").await;
        assert_eq!(answer.header("content-length"), size.to_string());
        assert!(answer.body == content, "{size}: {} bytes", answer.body.len());
        let head = api.request("HEAD", "/sized.bin", &[]).await;
        assert_eq!((head.header("content-length"), head.body.len()), (&*size.to_string(), 0));
    }
}

#[tokio::test]
async fn who_reads_nothing_of_a_large_file_goes_for_one_that_waits_for_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), INDEX).unwrap();
    fs::write(folder.path().join("main.js"), "x".repeat(20_000_000)).unwrap();
    let mut settings = settings();
    settings.app_dir = Some(folder.path().to_owned());
    settings.limits.files = 1;
    let api = start_with(&Stub::of(Vec::new()), settings).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(api.address).await.unwrap();
    slow.write_all(b"GET /main.js HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    slow.read_exact(&mut [0; 16]).await.unwrap();

    // Small files need no place
    assert_eq!(api.get("/").await.text(), INDEX);
    assert_eq!(api.get("/main.js").await.body.len(), 20_000_000);

    assert!(read_all(&mut slow).await.len() < 20_000_000, "it was cut off");
}
