//! What happens from now on, as Server-Sent Events.
//!
//! One task looks at the newest measurements while somebody listens and hands
//! what changed to all listeners at once: a client costs no reads of its own
//! but the first.

mod changes;
mod listener;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{HeaderMap, Response, body::Bytes, header::HeaderName};
use isems_core::{ActivityRule, Clock, MeasurementReader, RowId, StoredMeasurement};
use jiff::tz::TimeZone;
use tokio::{sync::broadcast, task::AbortHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{
    changes::{Known, Told},
    listener::Listener,
};
use super::{problem::Fault, time_text};
use crate::api::{
    body::{self, Body},
    episode::Episode,
    respond::{self, Problem},
    settings::ApiSettings,
    turns::{Kind, Turns},
};

/// So many rounds of news may wait for a client; it is cut off beyond.
const QUEUE: usize = 16;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The events, and those who listen to them.
pub(super) struct Events(Arc<Shared>);

struct Shared {
    reader: Arc<dyn MeasurementReader>,
    turns: Arc<Turns>,
    clock: Arc<dyn Clock>,
    activity: ActivityRule,
    zone: TimeZone,
    interval: Duration,
    heartbeat: Duration,
    most_listeners: usize,
    trouble: Episode,
    news: broadcast::Sender<Bytes>,
    ending: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: usize,
    /// What all listeners were told; `None` while nobody listens.
    known: Option<Known>,
    watching: Option<AbortHandle>,
}

impl Events {
    pub(super) fn new(
        settings: &ApiSettings,
        reader: &Arc<dyn MeasurementReader>,
        activity: ActivityRule,
        clock: &Arc<dyn Clock>,
        turns: &Arc<Turns>,
    ) -> Self {
        let limits = &settings.limits;
        Self(Arc::new(Shared {
            reader: Arc::clone(reader),
            turns: Arc::clone(turns),
            clock: Arc::clone(clock),
            activity,
            zone: settings.zone.clone(),
            interval: limits.event_interval,
            heartbeat: limits.event_heartbeat,
            most_listeners: limits.event_clients,
            trouble: Episode::default(),
            news: broadcast::Sender::new(QUEUE),
            ending: CancellationToken::new(),
            state: Mutex::default(),
        }))
    }

    /// Ends all streams.
    pub(super) fn end(&self) {
        self.0.ending.cancel();
    }

    /// What the client has not seen, by its `Last-Event-ID`, and if it is to
    /// `follow`, everything from now on.
    pub(super) async fn answer(
        &self,
        headers: &HeaderMap,
        follow: bool,
    ) -> Result<Response<Body>, Fault> {
        let shared = &self.0;
        let last = last_event_id(headers)?;
        let listener = Listener::join(shared)?;
        // Before the look, so that nothing can happen in between.
        let news = shared.news.subscribe();
        let newest = shared.look().await?;
        let told = Told { activity: shared.activity, now: shared.clock.now(), zone: &shared.zone };
        let (first, known) = told.beginning(&newest, last)?;
        let body = if follow {
            shared.watch_from(known);
            listener.follow(first, news)
        } else {
            body::full(first)
        };
        let mut response = respond::with_type("text/event-stream", body);
        // A proxy that gathers answers would keep events back.
        let buffering = HeaderName::from_static("x-accel-buffering");
        respond::set(&mut response, buffering, "no");
        Ok(response)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(watching) = self.0.lock().watching.take() {
            watching.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest measurement of each node.
    async fn look(&self) -> Result<Vec<StoredMeasurement>, Problem> {
        self.turns
            .read(Kind::Present, async { self.trouble.told(self.reader.latest(None).await) })
            .await
    }

    /// Sees to it that somebody watches, beginning with what is `known` now.
    fn watch_from(self: &Arc<Self>, known: Known) {
        let mut state = self.lock();
        state.known.get_or_insert(known);
        if state.watching.as_ref().is_none_or(AbortHandle::is_finished) {
            let watching = tokio::spawn(Arc::clone(self).watch());
            state.watching = Some(watching.abort_handle());
        }
    }

    async fn watch(self: Arc<Self>) {
        loop {
            sleep(self.interval).await;
            {
                let mut state = self.lock();
                if state.listeners == 0 {
                    state.known = None;
                    state.watching = None;
                    return;
                }
            }
            // Trouble is logged as such, and goes by.
            let Ok(newest) = self.look().await else { continue };
            let told = Told { activity: self.activity, now: self.clock.now(), zone: &self.zone };
            let mut state = self.lock();
            let Some(known) = state.known.as_mut() else { continue };
            match told.changes(&newest, known) {
                Ok(news) if !news.is_empty() => {
                    // Fails if nobody listens any more.
                    let _ = self.news.send(news.into());
                }
                Ok(_) => {}
                Err(error) => {
                    Problem::unwritable(&error);
                }
            }
        }
    }
}

/// The highest id that the client saw before its connection broke.
fn last_event_id(headers: &HeaderMap) -> Result<Option<RowId>, Fault> {
    let Some(sent) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = sent.to_str().ok().and_then(time_text::whole).filter(|id| *id >= 0);
    id.map(Some).ok_or_else(|| {
        Fault::bad_request("The header `Last-Event-ID` must be the id of an event: a whole number")
    })
}
