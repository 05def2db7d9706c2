//! The web server of the routers, as far as a collector meets it: strong tags,
//! `304`, the node's own clock in `Date`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use isems_core::Timestamp;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{File, Living, RouterLog};

/// Where routers keep their log.
pub(super) const LOG_PATH: &str = "/ISEMS/ffopenmppt.log";
const ARCHIVE_PATH: &str = "/ISEMS/ffopenmppt.log.gz";
/// uhttpd closes idle connections after so long.
const IDLE: Duration = Duration::from_secs(20);

/// Answers until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    files: Arc<Living<RouterLog>>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles: the next attempt may find one.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let files = Arc::clone(&files);
        let service = service_fn(move |request| {
            let answer = answer(&request, &files);
            async move { Ok::<_, Infallible>(answer) }
        });
        connections.spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service),
        );
    }
    connections.shutdown().await;
}

fn answer(request: &Request<Incoming>, files: &Living<RouterLog>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return page(StatusCode::METHOD_NOT_ALLOWED, "<h1>Method Not Allowed</h1>");
    }
    let path = request.uri().path();
    let (kind, (file, clock)) = match path {
        LOG_PATH => ("text/plain", files.log()),
        ARCHIVE_PATH => ("application/x-gzip", files.archive()),
        _ => return not_found(path),
    };
    file.map_or_else(|| not_found(path), |file| sent(file, kind, clock, request.headers()))
}

fn sent(
    file: File,
    kind: &'static str,
    clock: Timestamp,
    request: &HeaderMap,
) -> Response<Full<Bytes>> {
    let tag = file.etag();
    let known =
        request.get(header::IF_NONE_MATCH).is_some_and(|asked| asked.as_bytes() == tag.as_bytes());
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ETAG, tag),
        (header::LAST_MODIFIED, http_date(file.modified)),
        (header::DATE, http_date(clock)),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        *response.body_mut() = Full::new(file.body);
    }
    response
}

fn not_found(path: &str) -> Response<Full<Bytes>> {
    let text = format!("<h1>Not Found</h1>The requested URL {path} was not found on this server.");
    page(StatusCode::NOT_FOUND, text)
}

fn page(status: StatusCode, html: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(html.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// A time as HTTP writes it.
fn http_date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_unix())
        .unwrap_or_default()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}
