//! One answer, fetched within limits.

use isems_core::{BoxError, Clock, SourceError, SourceId, Timestamp};
use reqwest::{
    Client, Response, StatusCode, Version,
    header::{DATE, ETAG, HeaderMap, IF_NONE_MATCH, LOCATION},
};
use tokio::time::{Instant, sleep_until, timeout_at};
use url::Url;

use super::{client::Limits, pace::Pace};

/// Asks for one node's files, all before one moment.
pub(super) struct Fetcher<'a> {
    pub(super) client: &'a Client,
    pub(super) limits: &'a Limits,
    pub(super) clock: &'a dyn Clock,
    pub(super) deadline: Instant,
}

/// What an answer says before its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) sender_clock: Option<Timestamp>,
    pub(super) arrival: Timestamp,
    /// HTTP/1.0 or no header at all, and no `ETag`: an ESP32, which keeps only
    /// its last lines and no old log.
    pub(super) bare: bool,
    /// Where a redirect leads, without credentials.
    pub(super) location: Option<String>,
    /// Bytes of the head, about.
    pub(super) wire: u64,
}

/// What came of a body, and how it ended.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
}

/// How a body ended.
#[derive(Debug)]
pub(super) enum End {
    /// As announced, or by the connection's orderly end.
    Whole,
    /// The connection broke, or ended before the announced length.
    Broke(BoxError),
    /// Too few bytes a second.
    TooSlow,
    /// The node's time for this round was over.
    OutOfTime,
    /// More than the limit came.
    OverLimit,
}

/// Why there was no answer at all.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Unreachable { what: &'static str, cause: BoxError },
    TimedOut { what: String },
}

impl NoAnswer {
    pub(super) fn of(self, from: SourceId) -> SourceError {
        match self {
            Self::Unreachable { what, cause } => {
                SourceError::Unavailable { from, what: what.into(), cause: Some(cause) }
            }
            Self::TimedOut { what } => SourceError::TimedOut { from, what },
        }
    }
}

impl Fetcher<'_> {
    /// Asks for `url`; `known`: unless it is still this one.
    pub(super) async fn get(
        &self,
        url: &Url,
        known: Option<&str>,
    ) -> Result<(Head, Response), NoAnswer> {
        let mut request = self.client.get(url.clone());
        if let Some(etag) = known {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let begun = Instant::now();
        let until = (begun + self.limits.head()).min(self.deadline);
        let response = match timeout_at(until, request.send()).await {
            Err(_) => {
                return Err(NoAnswer::TimedOut {
                    what: format!("no answer within {:.1?}", until - begun),
                });
            }
            Ok(Err(error)) => return Err(self.no_answer(error)),
            Ok(Ok(response)) => response,
        };
        let head = Head::of(&response, self.clock.now());
        Ok((head, response))
    }

    /// Reads the body, as far as it comes within the limits.
    pub(super) async fn body(&self, mut response: Response) -> Body {
        let limit = usize::try_from(self.limits.body).unwrap_or(usize::MAX);
        let mut pace = Pace::new(self.limits.timeout, Instant::now());
        let mut bytes = Vec::new();
        let end = loop {
            tokio::select! {
                biased;
                chunk = response.chunk() => match chunk {
                    Ok(None) => break End::Whole,
                    Err(error) => break End::Broke(error.without_url().into()),
                    Ok(Some(chunk)) => {
                        pace.note(chunk.len());
                        let room = limit - bytes.len();
                        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                        if chunk.len() > room {
                            break End::OverLimit;
                        }
                    }
                },
                () = sleep_until(self.deadline) => break End::OutOfTime,
                () = sleep_until(pace.step_ends()) => if pace.end_step() {
                    break End::TooSlow;
                },
            }
        };
        Body { bytes, end }
    }

    fn no_answer(&self, error: reqwest::Error) -> NoAnswer {
        let error = error.without_url();
        if error.is_timeout() {
            NoAnswer::TimedOut {
                what: format!("no connection within {:.1?}", self.limits.connect()),
            }
        } else {
            NoAnswer::Unreachable {
                what: if error.is_connect() { "cannot connect" } else { "no usable answer" },
                cause: error.into(),
            }
        }
    }
}

impl Head {
    fn of(response: &Response, arrival: Timestamp) -> Self {
        let headers = response.headers();
        let etag = text(headers, ETAG.as_str()).filter(|tag| is_one_tag(tag)).map(str::to_owned);
        Self {
            status: response.status(),
            bare: response.version() < Version::HTTP_11 && etag.is_none(),
            etag,
            sender_clock: text(headers, DATE.as_str()).and_then(parse_date),
            arrival,
            location: text(headers, LOCATION.as_str()).map(without_credentials),
            wire: wire_size(headers, response.version()),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether this is one `ETag` that can be sent back: short, and free of the
/// words that old ESP32 modules look for anywhere in a request.
pub(super) fn is_one_tag(tag: &str) -> bool {
    let opaque = tag
        .strip_prefix("W/")
        .unwrap_or(tag)
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    opaque.is_some_and(|opaque| {
        opaque.len() <= 128 && opaque.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
    }) && !["csv", "log", "random", "help"].iter().any(|word| tag.contains(word))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text).ok()?;
    let seconds = time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok().map(Timestamp::from_unix)
}

/// A redirect's target, fit to be shown.
fn without_credentials(location: &str) -> String {
    let shown: String = location.chars().take(200).collect();
    match (shown.split_once("://"), shown.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://…{}", &shown[at..]),
        _ => shown,
    }
}

/// How many bytes the head had on the wire: exact for servers that write
/// `Name: value` lines, which all do.
fn wire_size(headers: &HeaderMap, version: Version) -> u64 {
    if version == Version::HTTP_09 {
        return 0;
    }
    let status_line = "HTTP/1.1 200 OK\r\n".len();
    let lines =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    (status_line + lines.sum::<usize>() + "\r\n".len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_harmless_tag_is_remembered() {
        for (tag, good) in [
            (r#""9cc0e7-26b31-6b04baeb""#, true),
            (r#"W/"9cc0e7""#, true),
            ("9cc0e7", false),
            (r#""a", "b""#, false),
            (r#""csv-1""#, false),
            (r#"""#, false),
        ] {
            assert_eq!(is_one_tag(tag), good, "{tag}");
        }
    }

    #[test]
    fn a_redirect_is_shown_without_credentials() {
        for (location, shown) in
            [("http://u:p@h/x", "http://…@h/x"), ("/login", "/login"), ("https://h/", "https://h/")]
        {
            assert_eq!(without_credentials(location), shown);
        }
    }

    #[test]
    fn the_date_is_the_nodes_clock() {
        let date = parse_date("Mon, 23 Nov 2026 22:20:21 GMT");
        assert_eq!(date, Some(Timestamp::from_unix(1_795_472_421)));
        assert_eq!(parse_date("gestern"), None);
    }
}
