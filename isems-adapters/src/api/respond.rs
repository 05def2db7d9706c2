//! Answers and their headers.

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::{Body as _, Bytes},
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE,
        ETAG, HeaderName, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::{
    accept,
    body::{self, Body},
    etag,
    settings::CorsOrigin,
};

/// The methods of everything that is here.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// What is said instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nothing is there.
    NotFound,
    /// Something is there, but it can only be read.
    Method,
    /// The measurements cannot be read now; later perhaps.
    Unavailable,
    /// The measurements cannot be read, and waiting will not help.
    Broken,
}

impl Problem {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing here. Try /measurements/latest",
            Self::Method => "This can only be read: use GET, HEAD or OPTIONS",
            Self::Unavailable => {
                "The measurements cannot be read just now. Try again in some seconds"
            }
            Self::Broken => "The measurements cannot be read. The collector's log says why",
        }
    }

    /// For what was read but cannot be written as JSON.
    pub(super) fn unwritable(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "measurements could not be written as JSON");
        Self::Broken
    }

    /// The header that goes with it.
    pub(super) fn annotate(self, response: &mut Response<Body>) {
        match self {
            Self::Method => set(response, ALLOW, METHODS),
            Self::Unavailable => set(response, RETRY_AFTER, "5"),
            Self::NotFound | Self::Broken => {}
        }
    }

    /// As plain text, unless the client asks for JSON by name.
    pub(super) fn response(self, headers: &HeaderMap) -> Response<Body> {
        let (kind, text) = if accept::wants_json_errors(headers) {
            let (status, text) = (self.status().as_u16(), self.text());
            let json = serde_json::json!({ "status": status, "error": text });
            ("application/json", json.to_string())
        } else {
            ("text/plain; charset=utf-8", format!("{}\n", self.text()))
        };
        let mut response = with_type(kind, body::full(text));
        *response.status_mut() = self.status();
        set(&mut response, VARY, "Accept");
        self.annotate(&mut response);
        response
    }
}

/// `200` with a body of this media type, to be asked for again each time.
pub(super) fn with_type(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    set(&mut response, CONTENT_TYPE, kind);
    set(&mut response, CACHE_CONTROL, "no-cache");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// JSON with its entity tag, or `304` if the client has it.
pub(super) fn json(bytes: Bytes, headers: &HeaderMap) -> Response<Body> {
    let tag = etag::of_body(&bytes);
    let has = etag::client_has(headers, &tag);
    let mut response = with_type("application/json", body::full(bytes));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    if has { not_modified(response) } else { response }
}

/// The same answer without what the client has already.
pub(super) fn not_modified(mut response: Response<Body>) -> Response<Body> {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().remove(CONTENT_LENGTH);
    response.map(|_| body::empty())
}

/// What may be done here; for browsers that ask before they do it.
pub(super) fn options() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, ALLOW, METHODS);
    response
}

/// Lets pages of other origins read the answer, and if it answers `OPTIONS`,
/// lets them ask with any headers.
pub(super) fn share(response: &mut Response<Body>, method: &Method, origin: &CorsOrigin) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.header());
    if let CorsOrigin::Only(_) = origin {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if method == Method::OPTIONS {
        set(response, ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        set(response, ACCESS_CONTROL_ALLOW_HEADERS, "*");
        set(response, ACCESS_CONTROL_MAX_AGE, "86400");
    }
}

/// The whole answer, as it is sent, to a connection whose request nobody can
/// read. That may be one for measurements: pages of other origins may read it.
pub(super) fn refusal(origin: &CorsOrigin) -> Vec<u8> {
    let text = "As many clients as possible are being answered. Try again in some seconds\n";
    let mut response = with_type("text/plain; charset=utf-8", body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    share(&mut response, &Method::GET, origin);
    Problem::Unavailable.annotate(&mut response);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    set(&mut response, CONNECTION, "close");
    let mut bytes = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The answer to `HEAD` is that to `GET` without its body, length included.
pub(super) fn head(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact()
        && !matches!(response.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
    {
        let length = HeaderValue::from(length);
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response.map(|_| body::empty())
}

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

/// `200` with a word for machines.
pub(super) fn plain(word: &'static str) -> Response<Body> {
    with_type("text/plain; charset=utf-8", body::full(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_to_do_in_the_form_that_the_client_reads() {
        let mut headers = HeaderMap::new();
        let plain = Problem::Unavailable.response(&headers);
        assert_eq!(plain.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(plain.headers()[RETRY_AFTER], "5");
        headers.insert("accept", HeaderValue::from_static("application/json"));
        let json = Problem::Method.response(&headers);
        assert_eq!(json.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(json.headers()[ALLOW], METHODS);
        assert_eq!(json.status(), 405);
    }
}
