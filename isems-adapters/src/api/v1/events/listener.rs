//! One client that follows events.

use std::{io, sync::Arc};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};

use super::Shared;
use crate::api::{body::Body, v1::problem::Fault};

/// A sign of life that clients ignore.
const HEARTBEAT: &[u8] = b":\n\n";

/// A client's place among the listeners; given back when dropped.
pub(super) struct Listener(Arc<Shared>);

impl Listener {
    /// A place, if there is one.
    pub(super) fn join(shared: &Arc<Shared>) -> Result<Self, Fault> {
        let mut state = shared.lock();
        if state.listeners >= shared.most_listeners {
            let detail = "As many clients as possible follow the events. Try again in some seconds";
            return Err(Fault::too_many(detail));
        }
        state.listeners += 1;
        Ok(Self(Arc::clone(shared)))
    }

    /// `first`, and then the news for as long as the client keeps up.
    pub(super) fn follow(self, first: Vec<u8>, news: broadcast::Receiver<Bytes>) -> Body {
        let following = Following { first: Some(first.into()), news, listener: self };
        StreamBody::new(stream::try_unfold(following, Following::next)).boxed_unsync()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.lock().listeners -= 1;
    }
}

struct Following {
    first: Option<Bytes>,
    news: broadcast::Receiver<Bytes>,
    listener: Listener,
}

impl Following {
    async fn next(mut self) -> io::Result<Option<(Frame<Bytes>, Self)>> {
        if let Some(first) = self.first.take() {
            return Ok(Some((Frame::data(first), self)));
        }
        let shared = Arc::clone(&self.listener.0);
        let next = tokio::select! {
            () = shared.ending.cancelled() => return Ok(None),
            next = timeout(shared.heartbeat, self.news.recv()) => next,
        };
        let piece = match next {
            Ok(Ok(news)) => news,
            Err(_) => Bytes::from_static(HEARTBEAT),
            Ok(Err(RecvError::Closed)) => return Ok(None),
            Ok(Err(RecvError::Lagged(_))) => {
                return Err(io::Error::other("the client takes events too slowly"));
            }
        };
        Ok(Some((Frame::data(piece), self)))
    }
}
