//! One node in one round: which files to ask for, and what they are worth.

use isems_core::{Framing, SourceError, SourceId, Timestamp, wire::csv_log::used_len};
use reqwest::StatusCode;
use tracing::debug;
use url::Url;

use super::{
    fetch::{Body, End, Fetcher, Head},
    lines::looks_like_log,
    oddity::Oddity,
    old_log::{self, OldLog},
    position::{Digest, Position, Prefix},
};

/// A visit of one node.
pub(super) struct Visit<'a> {
    pub(super) fetcher: Fetcher<'a>,
    pub(super) url: &'a Url,
    pub(super) from: &'a SourceId,
    pub(super) position: Position,
    /// What was strange without being a failure.
    pub(super) oddities: Vec<Oddity>,
    /// Bytes that came.
    pub(super) wire: u64,
}

/// What a visit brought.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) payload: Vec<u8>,
    pub(super) known_prefix: usize,
    pub(super) framing: Framing,
    pub(super) arrival: Timestamp,
    pub(super) sender_clock: Option<Timestamp>,
    pub(super) wire: u64,
    /// `None`: the old one stays.
    pub(super) position: Option<Position>,
}

impl Visit<'_> {
    pub(super) async fn run(&mut self) -> Result<Parcel, SourceError> {
        // What is still to come of the old log goes before the new one.
        let old = if self.position.old_wanted { Some(self.old_log().await) } else { None };
        let must_read = matches!(old, Some(OldLog::Text { .. }));
        let known = self.position.etag.clone().filter(|_| !must_read);
        let asked = self.fetcher.get(self.url, known.as_deref()).await;
        let (head, response) = asked.map_err(|error| error.of(self.from.clone()))?;
        self.wire += head.wire;
        match head.status {
            StatusCode::OK => {
                let body = self.fetcher.body(response).await;
                self.wire += body.bytes.len() as u64;
                self.with_log(head, body, old).await
            }
            StatusCode::NOT_MODIFIED if known.is_some() => {
                let position = match old {
                    None => self.log_is_there(),
                    Some(old) => {
                        let (_, state) = self.settled(old);
                        Some(Position {
                            old_etag: state.etag,
                            old_wanted: state.wanted,
                            log_missing_since: None,
                            ..self.position.clone()
                        })
                    }
                };
                Ok(Parcel { position, ..self.without_news(&head) })
            }
            StatusCode::NOT_FOUND => self.without_log(head, old).await,
            status if status.is_redirection() && head.location.is_some() => {
                let target = head.location.unwrap_or_default();
                Err(self.refused(format!(
                    "answered {status}, a redirect to {target}, which is not followed"
                )))
            }
            status => Err(self.refused(format!("answered {status}"))),
        }
    }

    /// The node sent a log, or something in its place.
    async fn with_log(
        &mut self,
        head: Head,
        body: Body,
        old: Option<OldLog>,
    ) -> Result<Parcel, SourceError> {
        let Body { bytes: log, end } = body;
        let framing = match end {
            End::Whole => Framing::Log,
            _ => Framing::Cut,
        };
        if log.is_empty() && framing == Framing::Log {
            return Ok(Parcel { position: self.log_is_there(), ..self.without_news(&head) });
        }
        let used = used_len(&log, framing);
        if used == 0 && framing == Framing::Cut {
            return Err(self.nothing_usable(log.len(), end));
        }
        self.note_end(&end);
        if !looks_like_log(&log[..used]) {
            return Ok(Parcel { payload: log, framing, ..self.without_news(&head) });
        }
        let known_prefix = self.position.known_prefix(&log, framing);
        let began_anew = known_prefix == 0 && self.position.began_anew(&log);
        let old = match old {
            // Without a log before, but with an old one: the log was missing
            // when it was asked for last, perhaps long ago.
            None if (began_anew || self.position.read_old_log_only())
                && self.may_have_old_log(&head) =>
            {
                debug!(node = %self.from, "the log began anew: asking for the compressed old log");
                Some(self.old_log().await)
            }
            old => old,
        };
        if let Some(old) = old {
            let (text, state) = self.settled(old);
            let position = position_after(&head, &log[..used], framing, state);
            let payload = if text.is_empty() { log } else { joined(text, log) };
            return Ok(Parcel {
                known_prefix: self.position.known_prefix(&payload, framing),
                payload,
                framing,
                position: Some(position),
                ..self.without_news(&head)
            });
        }
        let already_used = self.position.used.as_ref().map_or(0, |known| known.bytes);
        // A broken answer that ends within what is known teaches nothing.
        let position = if framing == Framing::Cut && !began_anew && used <= already_used {
            None
        } else {
            let state = OldState { etag: self.position.old_etag.clone(), wanted: false };
            Some(position_after(&head, &log[..used], framing, state))
        };
        Ok(Parcel { payload: log, known_prefix, framing, position, ..self.without_news(&head) })
    }

    /// The node says that there is no log: it is just being rotated, or there
    /// never was one.
    async fn without_log(
        &mut self,
        head: Head,
        old: Option<OldLog>,
    ) -> Result<Parcel, SourceError> {
        const NO_LOG: &str = "answered 404 Not Found: no log at this address";
        if self.keeps_last_lines_only() {
            return Err(self.refused(NO_LOG.into()));
        }
        let old = match old {
            Some(old) => old,
            None => self.old_log().await,
        };
        match old {
            OldLog::Text { text, etag, head } => Ok(Parcel {
                known_prefix: self.position.known_prefix(&text, Framing::Log),
                payload: text,
                position: Some(Position {
                    old_etag: etag,
                    // A new old log comes of a rotation that has just begun.
                    log_missing_since: Some(head.arrival.as_unix()),
                    ..Position::default()
                }),
                ..self.without_news(&head)
            }),
            OldLog::Known => match self.position.while_log_is_missing(head.arrival) {
                Some(position) => {
                    Ok(Parcel { position: Some(position), ..self.without_news(&head) })
                }
                None => Err(self.refused(NO_LOG.into())),
            },
            OldLog::Missing | OldLog::Unusable { .. } => Err(self.refused(NO_LOG.into())),
            OldLog::Failed { why } => Err(SourceError::Unavailable {
                from: self.from.clone(),
                what: format!(
                    "answered 404 Not Found, and the compressed old log could not be read: {why}"
                ),
                cause: None,
            }),
        }
    }

    async fn old_log(&mut self) -> OldLog {
        let known = self.position.old_etag.as_deref();
        let fetched = old_log::fetch(&self.fetcher, self.url, self.from, known).await;
        self.wire += fetched.wire;
        self.oddities.extend(fetched.oddity);
        if let OldLog::Unusable { .. } = fetched.old {
            debug!(node = %self.from, "what stands in the place of the old log is ignored");
        }
        fetched.old
    }

    /// The text of the old log, if any, and what to remember of it.
    fn settled(&self, old: OldLog) -> (Vec<u8>, OldState) {
        let known = self.position.old_etag.clone();
        let (text, etag, wanted) = match old {
            OldLog::Text { text, etag, .. } => (text, etag, false),
            OldLog::Known => (Vec::new(), known, false),
            OldLog::Missing => (Vec::new(), None, false),
            OldLog::Unusable { etag } => (Vec::new(), etag, false),
            OldLog::Failed { .. } => (Vec::new(), known, true),
        };
        (text, OldState { etag, wanted })
    }

    /// What to remember if the log was missing and is there again, without news.
    fn log_is_there(&self) -> Option<Position> {
        let was_missing = self.position.log_missing_since.is_some();
        was_missing.then(|| Position { log_missing_since: None, ..self.position.clone() })
    }

    /// Only routers compress old logs; an ESP32's few lines are others each
    /// time.
    fn may_have_old_log(&self, head: &Head) -> bool {
        !head.bare && !self.keeps_last_lines_only()
    }

    fn keeps_last_lines_only(&self) -> bool {
        self.url.path_segments().and_then(|mut segments| segments.next_back()) == Some("csv.log")
    }

    fn note_end(&mut self, end: &End) {
        match end {
            End::Whole => {}
            End::Broke(cause) => {
                debug!(node = %self.from, %cause, "the answer broke off; whole lines are used");
            }
            End::TooSlow => self.oddities.push(Oddity::LogTooSlow),
            End::OutOfTime => self.oddities.push(Oddity::LogOutOfTime),
            End::OverLimit => {
                self.oddities.push(Oddity::LogTooLarge { limit: self.fetcher.limits.body });
            }
        }
    }

    /// An answer that stopped before its first line was whole.
    fn nothing_usable(&self, came: usize, end: End) -> SourceError {
        let from = self.from.clone();
        let limits = self.fetcher.limits;
        match end {
            End::OverLimit => SourceError::TooLarge { from, limit: limits.body },
            End::TooSlow => SourceError::TimedOut {
                from,
                what: format!("sent less than 1 KB/s for {:.1?} and no whole line", limits.timeout),
            },
            End::OutOfTime => SourceError::TimedOut {
                from,
                what: format!("sent no whole line within {:.1?}", limits.per_node),
            },
            End::Broke(cause) => SourceError::Unavailable {
                from,
                what: format!("the answer broke off after {came} bytes, before a whole line"),
                cause: Some(cause),
            },
            End::Whole => SourceError::Refused { from, what: "sent no whole line".into() },
        }
    }

    /// An answer without news, so far.
    fn without_news(&self, head: &Head) -> Parcel {
        Parcel {
            payload: Vec::new(),
            known_prefix: 0,
            framing: Framing::Log,
            arrival: head.arrival,
            sender_clock: head.sender_clock,
            wire: self.wire,
            position: None,
        }
    }

    fn refused(&self, what: String) -> SourceError {
        SourceError::Refused { from: self.from.clone(), what }
    }
}

fn joined(mut old: Vec<u8>, mut log: Vec<u8>) -> Vec<u8> {
    old.append(&mut log);
    old
}

/// What to remember of the old log.
struct OldState {
    etag: Option<String>,
    wanted: bool,
}

/// What to remember of a log, of which `used` was used.
fn position_after(head: &Head, used: &[u8], framing: Framing, old: OldState) -> Position {
    Position {
        etag: head.etag.clone().filter(|_| framing == Framing::Log),
        used: Some(Prefix::of(used)),
        first_line: Some(Digest::of_first_line(used)),
        old_etag: old.etag,
        old_wanted: old.wanted,
        log_missing_since: None,
    }
}
