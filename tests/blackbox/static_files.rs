//! The files of a built isems-app by the real binary: what is served, what is
//! answered instead, and that there is no way out of the folder.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::support::{Answer, Isems, Running, SOON, get, request};

const INDEX: &str = "<!doctype html><title>isems-app</title>";
const SECRET: &str = "nobody must see this";
const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// A built app beside and among files that nobody must see.
fn built_app() -> TempDir {
    let outer = tempfile::Builder::new().prefix("isems-app-").tempdir().unwrap();
    let app = app_in(&outer);
    for folder in ["js", "api", "measurements", ".git"] {
        fs::create_dir_all(app.join(folder)).unwrap();
    }
    for (file, content) in [
        ("index.html", INDEX),
        ("js/main.0c1e5d7f.js", "run()"),
        ("js/main.0c1e5d7f.js.map", "{}"),
        ("main.css", "a{}"),
        ("manifest.json", "{}"),
        ("logo.svg", "<svg/>"),
        ("favicon.ico", "icon"),
        ("Straße 1.png", "picture"),
        ("api/index.html", SECRET),
        ("measurements/a.html", SECRET),
        (".env", SECRET),
        (".git/config", SECRET),
        ("../secret.txt", SECRET),
    ] {
        fs::write(app.join(file), content).unwrap();
    }
    symlink("../secret.txt", app.join("link.txt")).unwrap();
    symlink("..", app.join("up")).unwrap();
    symlink(outer.path(), app.join("absolute")).unwrap();
    outer
}

fn app_in(outer: &TempDir) -> PathBuf {
    outer.path().join("app")
}

fn with_app(folder: &Path) -> Isems {
    Isems::new().set("ISEMS_APP_DIR", folder.to_str().unwrap())
}

/// The app's files, and a process that serves them.
fn serve_app() -> (Running, TempDir) {
    let outer = built_app();
    let serving = with_app(&app_in(&outer)).serve();
    (serving, outer)
}

fn at(serving: &Running, path: &str) -> Answer {
    get(&format!("{}{path}", serving.api()))
}

fn as_browser(serving: &Running, path: &str) -> Answer {
    request("GET", &format!("{}{path}", serving.api()), &[BROWSER])
}

/// All that comes back for a request line of these bytes.
fn raw(serving: &Running, target: &[u8], accept: &str) -> String {
    let api = serving.api();
    let mut stream = TcpStream::connect(api.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let rest = format!(" HTTP/1.1\r\nHost: isems\r\nConnection: close\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(&[b"GET ", target, rest.as_bytes()].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn each_file_comes_with_its_type() {
    let (serving, _app) = serve_app();
    for (path, kind, content) in [
        ("/", "text/html; charset=utf-8", INDEX),
        ("/index.html", "text/html; charset=utf-8", INDEX),
        ("/?utm=1", "text/html; charset=utf-8", INDEX),
        ("/js/main.0c1e5d7f.js", "text/javascript; charset=utf-8", "run()"),
        ("/js/main.0c1e5d7f.js.map", "application/json", "{}"),
        ("/main.css?v=2", "text/css; charset=utf-8", "a{}"),
        ("/manifest.json", "application/json", "{}"),
        ("/logo.svg", "image/svg+xml", "<svg/>"),
        ("/favicon.ico", "image/x-icon", "icon"),
        ("/Stra%C3%9Fe%201.png", "image/png", "picture"),
    ] {
        let answer = at(&serving, path);
        assert_eq!((answer.status, &*answer.text()), (200, content), "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn only_what_never_changes_may_be_kept_unasked() {
    let (serving, _app) = serve_app();
    for (path, cache) in [
        ("/", "no-cache"),
        ("/list", "no-cache"),
        ("/main.css", "no-cache"),
        ("/js/main.0c1e5d7f.js", "public, max-age=31536000, immutable"),
    ] {
        assert_eq!(at(&serving, path).header("cache-control"), Some(cache), "{path}");
    }
}

#[test]
fn a_place_within_the_app_is_answered_with_its_page() {
    let (serving, _app) = serve_app();
    for path in [
        "/list",
        "/map",
        "/details/Elektra-Dach",
        "/details/Elektra-Dach/charts",
        "/details/node%202.5",
        "/details/a%3Cb%3E",
        "/details/.roof",
        "/apiary",
        "/js",
    ] {
        let answer = as_browser(&serving, path);
        assert_eq!((answer.status, &*answer.text()), (200, INDEX), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    }
}

#[test]
fn a_missing_script_is_not_answered_with_the_page() {
    let (serving, _app) = serve_app();
    for path in ["/js/main.ffffffff.js", "/missing.css", "/details/missing.png"] {
        let answer = at(&serving, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
    }
}

#[test]
fn neither_the_page_nor_a_file_stands_where_the_api_is() {
    let (serving, _app) = serve_app();
    for path in [
        "/api",
        "/api/",
        "/api/index.html",
        "/api/x",
        "/api/list",
        "/api/main.css",
        "/api/measurements",
        "/api/measurements/",
        "/api/measurements/x",
        "/api/measurements/latest/",
        "/measurements",
        "/measurements/",
        "/measurements/a.html",
        "/measurements/x",
        "/%61pi/index.html",
        "/%6Deasurements/a.html",
        "//api/index.html",
        "//measurements/a.html",
    ] {
        let answer = as_browser(&serving, path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
        assert!(answer.text().contains("/measurements/latest"), "{path}: says where to look");
    }
    for path in ["/api/measurements/latest", "/measurements/latest", "/api/measurements/x/latest"] {
        let answer = as_browser(&serving, path);
        assert_eq!(answer.json(), serde_json::json!({ "measurements": [] }), "{path}");
    }
}

#[test]
fn no_spelling_leads_out_of_the_folder_or_to_what_is_hidden_in_it() {
    let (serving, outer) = serve_app();
    let absolute = outer.path().join("secret.txt");
    let absolute = absolute.to_str().unwrap();
    let encoded = absolute.replace('/', "%2f");
    let mut targets: Vec<Vec<u8>> = [
        "/../secret.txt",
        "/js/../../secret.txt",
        "/js/../../../../../../../../../../etc/passwd",
        "/./../secret.txt",
        "//../secret.txt",
        "/....//secret.txt",
        "/..;/secret.txt",
        "../secret.txt",
        "secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E./secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/js%2f..%2f..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/%25252e%25252e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%e0%80%ae%e0%80%ae/secret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "\\..\\secret.txt",
        "/..%00/secret.txt",
        "/link.txt",
        "/link.txt/",
        "/link%2etxt",
        "/up/secret.txt",
        "/up/app/.env",
        "/up/app/up/secret.txt",
        "/absolute/secret.txt",
        "/.env",
        "/%2eenv",
        "/.env/",
        "/js/../.env",
        "/js/..%2f.env",
        "/.git/config",
        "/.git%2fconfig",
        "/%2egit/config",
        "/./.env",
        "/.env?x=.js",
        "/.env;.js",
        "/.env%00.js",
        "/.env%20",
        "/api/../.env",
        "/api%2findex.html",
        "/measurements/../../secret.txt",
        "/index.html/../../secret.txt",
        "http://isems/../secret.txt",
        "http://isems/%2e%2e/secret.txt",
        "file:///etc/passwd",
        "/file:///etc/passwd",
        "/~root/.bashrc",
        "/proc/self/environ",
    ]
    .map(|target| target.as_bytes().to_vec())
    .into();
    targets.extend([
        absolute.as_bytes().to_vec(),
        format!("/{absolute}").into_bytes(),
        format!("/{encoded}").into_bytes(),
        format!("//localhost{absolute}").into_bytes(),
        b"/.env\0.js".to_vec(),
        b"/\xc0\xae\xc0\xae/secret.txt".to_vec(),
        b"/../secret.txt\x01".to_vec(),
    ]);
    for target in targets {
        for accept in ["*/*", "text/html"] {
            let answer = raw(&serving, &target, accept);
            let name = String::from_utf8_lossy(&target);
            let status = answer.split(' ').nth(1).unwrap_or("none");
            let is_page = status == "200" && answer.ends_with(INDEX);
            assert!(is_page || ["400", "404"].contains(&status), "{name}, {accept}: {answer}");
            for leaked in [SECRET, "root:", "ISEMS_APP_DIR"] {
                assert!(!answer.contains(leaked), "{name}, {accept}: {answer}");
            }
        }
    }
    assert_eq!(at(&serving, "/main.css").status, 200, "it goes on serving");
}

#[test]
fn head_tells_what_get_does_without_the_content() {
    let (serving, _app) = serve_app();
    for path in ["/", "/list", "/main.css", "/js/missing.js"] {
        let whole = at(&serving, path);
        let head = request("HEAD", &format!("{}{path}", serving.api()), &[]);
        assert_eq!((head.status, &*head.body), (whole.status, &b""[..]), "{path}");
        for name in ["content-type", "content-length", "etag", "last-modified", "cache-control"] {
            assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
        }
    }
}

#[test]
fn files_can_only_be_read() {
    let (serving, app) = serve_app();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = request(method, &format!("{}/main.css", serving.api()), &[]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"), "{method}");
    }
    assert_eq!(fs::read_to_string(app_in(&app).join("main.css")).unwrap(), "a{}");
}

#[test]
fn what_the_browser_has_is_not_sent_again_until_it_changes() {
    let (serving, app) = serve_app();
    for (path, file) in [("/main.css", "main.css"), ("/list", "index.html")] {
        let url = format!("{}{path}", serving.api());
        let first = get(&url);
        let etag = first.header("etag").unwrap();
        let modified = first.header("last-modified").unwrap();
        for known in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
            let again = request("GET", &url, &[known]);
            assert_eq!((again.status, &*again.body), (304, &b""[..]), "{path}: {known:?}");
            assert_eq!(again.header("etag"), Some(etag), "{path}");
        }
        fs::write(app_in(&app).join(file), "built anew").unwrap();
        let changed = request("GET", &url, &[("If-None-Match", etag)]);
        assert_eq!((changed.status, &*changed.text()), (200, "built anew"), "{path}");
    }
}

#[test]
fn a_folder_that_holds_no_app_is_a_mistake_in_the_settings() {
    let outer = tempfile::tempdir().unwrap();
    let app = outer.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(outer.path().join("file"), "").unwrap();
    fs::create_dir_all(outer.path().join("folder/index.html")).unwrap();
    for (place, reason) in [
        (outer.path().join("nowhere"), "is not a folder"),
        (outer.path().join("file"), "is not a folder"),
        (app, "is a folder without index.html"),
        (outer.path().join("folder"), "is a folder without index.html"),
    ] {
        for command in ["serve", "check-config"] {
            let told = with_app(&place).run(&[command]).expect(64);
            for part in ["ISEMS_APP_DIR", place.to_str().unwrap(), reason] {
                assert!(told.stderr.contains(part), "{command}: {part}: {}", told.stderr);
            }
        }
    }
}

#[test]
fn a_page_that_lies_elsewhere_ends_the_start_with_a_reason() {
    let outer = tempfile::tempdir().unwrap();
    let app = outer.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(outer.path().join("secret.html"), SECRET).unwrap();
    symlink("../secret.html", app.join("index.html")).unwrap();
    let told = with_app(&app).run(&["serve"]);
    assert_ne!(told.code, Some(0), "{told:?}");
    for part in [app.to_str().unwrap(), "a link leads out of the folder"] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
}
