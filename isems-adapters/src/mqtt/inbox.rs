//! Between the connection's task and the collector: what has come and was not
//! taken, and what this connection still owes the broker.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use isems_core::{Delivery, Receipt, SourceError, SourceId};
use tokio::sync::Notify;

use super::link::{Mark, Requests};

/// Deliveries that can wait to be taken: twice what an MQTT 5 broker may have
/// unacknowledged, because some can be left from an earlier session.
const CAPACITY: usize = 1024;

/// Payload that can wait to be taken, beyond one delivery: a thousand messages of
/// the largest size would be a quarter of a gigabyte.
const BYTES: usize = 16 * 1024 * 1024;

/// The bounded queue of deliveries, and the receipts of the present connection.
pub(super) struct Inbox {
    source: SourceId,
    state: Mutex<State>,
    arrived: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Payload in the queue.
    bytes: usize,
    trouble: Option<SourceError>,
    link: Option<Attached>,
    next_receipt: u64,
    closing: bool,
    over: bool,
    dropping: bool,
}

struct Entry {
    delivery: Delivery,
    /// The broker will not send it again.
    only_copy: bool,
}

struct Attached {
    requests: Arc<dyn Requests>,
    /// What was delivered on this connection and not confirmed. Bounded by the
    /// broker: at most 65,535 packet ids.
    owed: HashMap<Receipt, Mark>,
}

impl State {
    /// Puts a delivery at the end, with a receipt of its own.
    fn push(&mut self, mut delivery: Delivery, mark: Option<Mark>, only_copy: bool) {
        delivery.receipt = Receipt(self.next_receipt);
        self.next_receipt += 1;
        if let (Some(link), Some(mark)) = (&mut self.link, mark) {
            link.owed.insert(delivery.receipt, mark);
        }
        self.bytes += delivery.payload.len();
        self.queue.push_back(Entry { delivery, only_copy });
    }

    fn has_room_for(&self, delivery: &Delivery) -> bool {
        let fits = self.bytes.saturating_add(delivery.payload.len()) <= BYTES;
        self.queue.is_empty() || (self.queue.len() < CAPACITY && fits)
    }
}

impl Inbox {
    pub(super) fn new(source: SourceId) -> Self {
        Self { source, state: Mutex::default(), arrived: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The connection's side.

    /// A connection stands. If the broker resumed our session it sends all
    /// that is unacknowledged again: what was not taken yet makes room.
    pub(super) fn attach(&self, requests: Arc<dyn Requests>, resumed: bool) {
        let mut state = self.lock();
        if resumed {
            state.queue.retain(|entry| entry.only_copy);
            state.bytes = state.queue.iter().map(|entry| entry.delivery.payload.len()).sum();
        } else {
            state.queue.iter_mut().for_each(|entry| entry.only_copy = true);
        }
        state.link = Some(Attached { requests, owed: HashMap::new() });
        drop(state);
        self.room.notify_one();
    }

    /// The connection is gone, and with it the meaning of its receipts.
    pub(super) fn detach(&self) {
        self.lock().link = None;
    }

    /// The session is about to be dropped: what waits here comes never again.
    pub(super) fn keep_all(&self) {
        let mut state = self.lock();
        state.queue.iter_mut().for_each(|entry| entry.only_copy = true);
    }

    /// Hands over a delivery that came on the attached connection.
    ///
    /// If there is no room, one that the broker has kept is waited with. That
    /// happens if messages are large, or a broker of MQTT 3.1.1 has a very large
    /// window. Should the broker hang up meanwhile, it will send them again.
    /// One that needs no acknowledgement is dropped, as its sender has agreed to.
    pub(super) async fn offer(&self, delivery: Delivery, mark: Option<Mark>) {
        loop {
            {
                let mut state = self.lock();
                if state.closing {
                    return;
                }
                if state.has_room_for(&delivery) {
                    state.dropping = false;
                    state.push(delivery, mark, mark.is_none());
                    break;
                }
                if mark.is_none() {
                    if !state.dropping {
                        state.dropping = true;
                        tracing::warn!(
                            broker = %self.source,
                            "messages of MQTT broker {} with quality of service 0 are dropped: \
                             they come faster than they can be stored",
                            self.source,
                        );
                    }
                    return;
                }
            }
            self.room.notified().await;
        }
        self.arrived.notify_one();
    }

    /// Hands over a delivery of a connection that is gone already.
    pub(super) fn leave(&self, delivery: Delivery, only_copy: bool) {
        self.lock().push(delivery, None, only_copy);
        self.arrived.notify_one();
    }

    /// Lets the collector know of trouble; newer trouble replaces older.
    pub(super) fn report(&self, trouble: SourceError) {
        self.lock().trouble = Some(trouble);
        self.arrived.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Nothing will come any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.link = None;
        state.over = true;
        drop(state);
        self.arrived.notify_one();
    }

    // The collector's side.

    /// Waits for a delivery or for trouble. Cancel-safe: taking one and
    /// returning it is a single step.
    pub(super) async fn next(&self) -> Result<Delivery, SourceError> {
        loop {
            {
                let mut state = self.lock();
                if let Some(trouble) = state.trouble.take() {
                    return Err(trouble);
                }
                if let Some(entry) = state.queue.pop_front() {
                    state.bytes -= entry.delivery.payload.len();
                    self.room.notify_one();
                    return Ok(entry.delivery);
                }
                if state.over {
                    return Err(SourceError::Closed {
                        from: self.source.clone(),
                        what: "the MQTT connection's task has ended".into(),
                        cause: None,
                    });
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Acknowledges what was delivered with this receipt. A receipt of an
    /// earlier connection, of a message that needs no acknowledgement, or one
    /// confirmed before is not known here and does nothing.
    pub(super) fn confirm(&self, receipt: Receipt) {
        let mut state = self.lock();
        if let Some(link) = &mut state.link
            && let Some(mark) = link.owed.remove(&receipt)
        {
            link.requests.acknowledge(mark);
        }
    }

    /// Asks the connection to take leave, behind all acknowledgements. False if
    /// there is none.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        state.closing = true;
        let connected = match &state.link {
            Some(link) => {
                link.requests.disconnect();
                true
            }
            None => false,
        };
        drop(state);
        self.room.notify_one();
        connected
    }
}

#[cfg(test)]
#[path = "inbox/tests.rs"]
mod tests;
