//! The compressed old log, which after a rotation holds what was not yet read.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use isems_core::SourceId;
use reqwest::StatusCode;
use url::Url;

use super::{
    fetch::{Body, End, Fetcher, Head},
    lines::{looks_like_log, terminated_len},
    oddity::Oddity,
};

/// What became of the question for the old log.
#[derive(Debug)]
pub(super) enum OldLog {
    /// Its whole lines.
    Text { text: Vec<u8>, etag: Option<String>, head: Head },
    /// It is the one that was read last.
    Known,
    /// There is none.
    Missing,
    /// It is not what it should be, and will not be better next time.
    Unusable { etag: Option<String> },
    /// It may be read next time.
    Failed { why: String },
}

/// The answer, with the bytes that crossed the network.
pub(super) struct Fetched {
    pub(super) old: OldLog,
    pub(super) wire: u64,
    pub(super) oddity: Option<Oddity>,
}

/// Where the old log of the log at `log` is.
fn url_of(log: &Url) -> Url {
    let mut url = log.clone();
    url.set_path(&format!("{}.gz", log.path()));
    url
}

/// Asks for the old log once.
pub(super) async fn fetch(
    fetcher: &Fetcher<'_>,
    log: &Url,
    from: &SourceId,
    known: Option<&str>,
) -> Fetched {
    let (head, response) = match fetcher.get(&url_of(log), known).await {
        Ok(answer) => answer,
        Err(error) => return Fetched::failed(error.of(from.clone()).describe(), 0),
    };
    match head.status {
        StatusCode::OK => {
            let body = fetcher.body(response).await;
            of_body(head, body, fetcher.limits.body).await
        }
        StatusCode::NOT_MODIFIED if known.is_some() => Fetched::plain(OldLog::Known, head.wire),
        StatusCode::NOT_FOUND => Fetched::plain(OldLog::Missing, head.wire),
        other => Fetched::failed(format!("answered {other}"), head.wire),
    }
}

async fn of_body(head: Head, body: Body, limit: u64) -> Fetched {
    let wire = head.wire + body.bytes.len() as u64;
    match body.end {
        End::Whole => {}
        End::Broke(cause) => return Fetched::failed(format!("broke off: {cause}"), wire),
        End::TooSlow => return Fetched::failed("came too slowly".into(), wire),
        End::OutOfTime => return Fetched::failed("took too long".into(), wire),
        End::OverLimit => return Fetched::too_large(head.etag, limit, wire),
    }
    // A bomb takes long enough to unpack to be noticed by other tasks.
    let unpacked = tokio::task::spawn_blocking(move || unpack(&body.bytes, limit)).await;
    let etag = head.etag.clone();
    match unpacked {
        Ok(Ok(Some(mut text))) => {
            text.truncate(terminated_len(&text));
            let old = if looks_like_log(&text) {
                OldLog::Text { text, etag, head }
            } else {
                OldLog::Unusable { etag }
            };
            Fetched::plain(old, wire)
        }
        Ok(Ok(None)) => Fetched::too_large(etag, limit, wire),
        // The node was still writing it.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fetched::failed("is not complete yet".into(), wire)
        }
        Ok(Err(_)) => Fetched::plain(OldLog::Unusable { etag }, wire),
        Err(error) => Fetched::failed(format!("could not be unpacked: {error}"), wire),
    }
}

/// Unpacks; `None` if more than `limit` bytes come out.
fn unpack(packed: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    MultiGzDecoder::new(packed).take(limit.saturating_add(1)).read_to_end(&mut text)?;
    Ok((text.len() as u64 <= limit).then_some(text))
}

impl Fetched {
    fn plain(old: OldLog, wire: u64) -> Self {
        Self { old, wire, oddity: None }
    }

    fn failed(why: String, wire: u64) -> Self {
        Self {
            oddity: Some(Oddity::OldLogFailed { why: why.clone() }),
            old: OldLog::Failed { why },
            wire,
        }
    }

    fn too_large(etag: Option<String>, limit: u64, wire: u64) -> Self {
        Self {
            old: OldLog::Unusable { etag },
            wire,
            oddity: Some(Oddity::OldLogTooLarge { limit }),
        }
    }
}
