//! What happens from now on, as Server-Sent Events.
//!
//! One task looks at the newest measurements while somebody listens and hands
//! what changed to all listeners at once: a client costs no reads of its own
//! but those for what it missed.

mod changes;
mod listener;
mod lowest;
mod missed;
mod places;
mod stage;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::{HeaderMap, Response, body::Bytes, header::HeaderName};
use isems_core::{ActivityRule, Clock, MeasurementReader, RowId, StoredMeasurement};
use jiff::tz::TimeZone;
use tokio::{sync::broadcast, task::AbortHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{
    changes::{Known, Look, Told},
    listener::Listener,
    places::Places,
};
use super::{problem::Fault, time_text};
use crate::api::{
    body::Body,
    client::Client,
    respond::{self, Problem},
    settings::{ApiLimits, ApiSettings},
    trouble::{Reading, Trouble},
    turns::{Kind, Phase, Turns},
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
    limits: ApiLimits,
    trouble: Arc<Trouble>,
    news: broadcast::Sender<Bytes>,
    ending: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    places: Places,
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
        (turns, trouble): &(Arc<Turns>, Arc<Trouble>),
    ) -> Self {
        Self(Arc::new(Shared {
            reader: Arc::clone(reader),
            turns: Arc::clone(turns),
            clock: Arc::clone(clock),
            activity,
            zone: settings.zone.clone(),
            limits: settings.limits.clone(),
            trouble: Arc::clone(trouble),
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
        client: &Arc<Client>,
    ) -> Result<Response<Body>, Fault> {
        let last = last_event_id(headers)?;
        let body = Listener::join(&self.0, client)?.body(last, follow).await?;
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

    /// Shows the newest measurement of each node, all as of one moment.
    async fn each(&self, show: &mut (dyn FnMut(StoredMeasurement) + Send)) -> Result<(), Problem> {
        self.trouble.told(Reading::Newest, self.reader.each_latest(None, show).await)
    }

    fn told(&self) -> Told<'_> {
        Told { activity: self.activity, now: self.clock.now(), zone: &self.zone }
    }

    /// Whether it is known what all listeners were told; it is for as long as
    /// there is one.
    fn is_watched(&self) -> bool {
        self.lock().known.is_some()
    }

    /// Sees to it that somebody watches, beginning with what is `known` now.
    fn watch_from(self: &Arc<Self>, known: Option<Known>) {
        let mut state = self.lock();
        if state.known.is_none() {
            state.known = known;
        }
        if state.watching.as_ref().is_none_or(AbortHandle::is_finished) {
            let watching = tokio::spawn(Arc::clone(self).watch());
            state.watching = Some(watching.abort_handle());
        }
    }

    /// What is other than all listeners were told.
    async fn changes(&self) -> Result<Vec<u8>, Problem> {
        let told = self.told();
        let Some(mut look) = self.lock().known.as_mut().map(Look::begin) else {
            return Ok(Vec::new());
        };
        // Only who watches changes what is known.
        let mut see = |row: StoredMeasurement| {
            if let Some(known) = self.lock().known.as_mut() {
                told.see(row, known, &mut look);
            }
        };
        self.each(&mut see).await?;
        let mut state = self.lock();
        let changes = state.known.as_mut().map(|known| told.changes(look, known));
        changes.unwrap_or(Ok(Vec::new())).map_err(|error| Problem::unwritable(&error))
    }

    async fn watch(self: Arc<Self>) {
        loop {
            sleep(self.limits.event_interval).await;
            {
                let mut state = self.lock();
                if state.places.are_all_free() {
                    state.known = None;
                    state.watching = None;
                    return;
                }
            }
            // Trouble is logged as such, and goes by.
            let news = self.turns.read(Kind::Present, Phase::New, self.changes()).await;
            if let Ok(news) = news
                && !news.is_empty()
            {
                // Fails if nobody listens any more.
                let _ = self.news.send(news.into());
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

#[cfg(test)]
mod tests {
    use isems_core::{MemoryRepo, testing::ManualClock};

    use super::*;

    fn events() -> Events {
        let settings = ApiSettings::new(([127, 0, 0, 1], 0).into(), TimeZone::UTC);
        let turns = Arc::new(Turns::new(&settings.limits));
        let reader: Arc<dyn MeasurementReader> = Arc::new(MemoryRepo::default());
        let clock: Arc<dyn Clock> =
            Arc::new(ManualClock::at(isems_core::Timestamp::from_unix(1_748_768_945)));
        Events::new(&settings, &reader, ActivityRule::default(), &clock, &(turns, Arc::default()))
    }

    /// How many of these clients get a place when each tries to follow.
    async fn served(events: &Events, peers: impl IntoIterator<Item = String>) -> usize {
        let mut streams = Vec::new();
        for peer in peers {
            let client = Arc::new(Client::at(peer.parse().unwrap(), &ApiLimits::default()));
            streams.extend(events.answer(&HeaderMap::new(), true, &client).await);
        }
        streams.len()
    }

    #[tokio::test]
    async fn one_address_follows_eight_times_and_leaves_the_rest_to_others() {
        for (peers, places) in [
            (vec!["10.0.0.1".to_owned(); 20], 8),
            ((0..20).map(|host| format!("2001:db8::{host}")).collect(), 8),
            ((0..20).map(|host| format!("10.0.0.{host}")).collect(), 20),
            (vec!["127.0.0.1".to_owned(); 20], 20),
            ((0..100).map(|host| format!("10.0.0.{host}")).collect(), 64),
        ] {
            let what = format!("{peers:?}");
            assert_eq!(served(&events(), peers).await, places, "{what}");
        }
    }
}
