//! One client that follows events.

use std::{io, sync::Arc};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use isems_core::RowId;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};

use super::{Shared, stage::Stage};
use crate::api::{
    body::{self, Body},
    client::Client,
    respond::Problem,
    turns::{Kind, Phase},
    v1::problem::Fault,
};

/// Bytes of a piece of what a client missed, mostly.
const USUAL_PIECE: usize = 256 * 1024;

/// A sign of life that clients ignore.
const HEARTBEAT: &[u8] = b":\n\n";

/// A client's place among the listeners; given back when dropped.
pub(super) struct Listener {
    shared: Arc<Shared>,
    client: Arc<Client>,
}

impl Listener {
    /// A place, if there is one.
    pub(super) fn join(shared: &Arc<Shared>, client: &Arc<Client>) -> Result<Self, Fault> {
        if !shared.lock().places.take(client.address(), &shared.limits) {
            let detail = "As many clients as possible follow the events, or as many of one \
                address. Try again in some seconds";
            return Err(Fault::too_many(detail));
        }
        Ok(Self { shared: Arc::clone(shared), client: Arc::clone(client) })
    }

    /// What the client missed since `last`, and if it is to `follow`, then the
    /// news for as long as it keeps up. Nothing is sent before the first look.
    pub(super) async fn body(self, last: Option<RowId>, follow: bool) -> Result<Body, Fault> {
        let mut following = Following {
            listener: self,
            follow,
            news: None,
            ahead: None,
            missed: Stage::First(last),
        };
        let first = following.catch_up(Phase::New).await?;
        if !follow && following.has_caught_up() {
            return Ok(body::full(first));
        }
        following.ahead = Some(first);
        Ok(StreamBody::new(stream::try_unfold(following, Following::next)).boxed_unsync())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.lock().places.give_back(self.client.address());
    }
}

struct Following {
    listener: Listener,
    follow: bool,
    /// What happened since the first look: what is told between two pieces of
    /// what was missed is in neither.
    news: Option<broadcast::Receiver<Bytes>>,
    /// The first piece, made before the answer began.
    ahead: Option<Bytes>,
    missed: Stage,
}

impl Following {
    fn has_caught_up(&self) -> bool {
        matches!(self.missed, Stage::Over)
    }

    /// The next piece of what was missed. Pieces are made as they are taken: a
    /// client that does not read costs no more than one.
    async fn catch_up(&mut self, phase: Phase) -> Result<Bytes, Problem> {
        let Self { listener, follow, missed, .. } = &*self;
        let Listener { shared, client } = listener;
        let is_first = matches!(missed, Stage::First(_));
        let look = || async {
            // Before the look, so that nothing can happen in between.
            let news = is_first.then(|| shared.news.subscribe());
            let (text, missed) = missed.piece(shared, *follow).await?;
            Ok::<_, Problem>((text, (missed, news)))
        };
        let made = shared.turns.make(Kind::Past, phase, USUAL_PIECE, client, look).await?;
        let (text, (missed, news)) = made;
        self.missed = missed;
        self.news = news.or(self.news.take());
        Ok(text)
    }

    async fn next(mut self) -> io::Result<Option<(Frame<Bytes>, Self)>> {
        let ahead = self.ahead.take();
        let piece = match ahead {
            Some(first) => Some(first),
            None if !self.has_caught_up() => {
                // The client comes again, with the id of what it saw last.
                let piece = self.catch_up(Phase::UnderWay).await;
                Some(piece.map_err(|problem| io::Error::other(problem.text()))?)
            }
            None if self.follow => self.news().await?,
            None => None,
        };
        Ok(piece.map(|piece| (Frame::data(piece), self)))
    }

    /// The next news or sign of life; `None` at the end.
    async fn news(&mut self) -> io::Result<Option<Bytes>> {
        let shared = &self.listener.shared;
        // It listens since the first piece.
        let Some(news) = &mut self.news else { return Ok(None) };
        let next = tokio::select! {
            () = shared.ending.cancelled() => return Ok(None),
            next = timeout(shared.limits.event_heartbeat, news.recv()) => next,
        };
        match next {
            Ok(Ok(news)) => Ok(Some(news)),
            Err(_) => Ok(Some(Bytes::from_static(HEARTBEAT))),
            Ok(Err(RecvError::Closed)) => Ok(None),
            Ok(Err(RecvError::Lagged(_))) => {
                Err(io::Error::other("the client takes events too slowly"))
            }
        }
    }
}
