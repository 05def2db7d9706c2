//! Errors as problem details (RFC 9457).

use std::borrow::Cow;

use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use crate::api::{
    body::{self, Body},
    respond::{self, Problem},
};

/// What is said instead of an answer.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    detail: Cow<'static, str>,
    problem: Option<Problem>,
}

impl Fault {
    /// The request cannot be meant as it is; `detail` says what to change.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into(), problem: None }
    }

    /// Nothing was ever heard of the node.
    pub(super) fn unknown_node() -> Self {
        let detail = "No node of this name is known; /api/v1/nodes names all that are".into();
        Self { status: StatusCode::NOT_FOUND, detail, problem: None }
    }

    /// As many as possible are served already.
    pub(super) fn too_many(detail: &'static str) -> Self {
        Self { detail: detail.into(), ..Problem::Unavailable.into() }
    }

    /// The answer to a request for this path.
    pub(super) fn response(&self, path: &str) -> Response<Body> {
        let json = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": utf8_percent_encode(path, NOT_IN_PATHS).to_string(),
        });
        let body = body::full(json.to_string());
        let mut response = respond::with_type("application/problem+json", body);
        *response.status_mut() = self.status;
        if let Some(problem) = self.problem {
            problem.annotate(&mut response);
        }
        response
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Problem::unwritable(&error).into()
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let detail = match problem {
            Problem::NotFound => "There is nothing here; /api/v1/openapi.json says what there is",
            _ => problem.text(),
        };
        Self { status: problem.status(), detail: detail.into(), problem: Some(problem) }
    }
}

/// What clients send in paths though no URI may hold it.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
