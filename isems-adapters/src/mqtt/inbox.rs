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
/// unacknowledged, because some can be left from an earlier connection.
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
    /// The number of the present connection, or of the last one.
    connection: u64,
    next_receipt: u64,
    closing: bool,
    over: bool,
    dropping: bool,
}

struct Entry {
    delivery: Delivery,
    /// The connection on which it came last, if the broker may send it again on
    /// a later one.
    comes_again_after: Option<u64>,
}

struct Attached {
    requests: Arc<dyn Requests>,
    /// What was delivered on this connection and not confirmed. Bounded by the
    /// broker: at most 65,535 packet ids.
    owed: HashMap<Receipt, Mark>,
}

impl State {
    /// Puts a delivery at the end. `kept`: the broker may send it again.
    fn push(&mut self, mut delivery: Delivery, mark: Option<Mark>, kept: bool) {
        delivery.receipt = self.new_receipt(mark);
        self.bytes += delivery.payload.len();
        let comes_again_after = kept.then_some(self.connection);
        self.queue.push_back(Entry { delivery, comes_again_after });
    }

    fn new_receipt(&mut self, mark: Option<Mark>) -> Receipt {
        let receipt = Receipt(self.next_receipt);
        self.next_receipt += 1;
        if let (Some(link), Some(mark)) = (&mut self.link, mark) {
            link.owed.insert(receipt, mark);
        }
        receipt
    }

    /// Whether a delivery that comes again still waits here since an earlier
    /// connection. Then it is that which will be acknowledged: it has the
    /// earlier arrival, keeps its place, and takes no more room. Each that
    /// waits stands for one that comes again, as equal messages may be two.
    fn is_waiting(&mut self, again: &Delivery, mark: Option<Mark>) -> bool {
        let connection = self.connection;
        let is_it = |entry: &Entry| {
            let held = &entry.delivery;
            entry.comes_again_after.is_some_and(|last| last < connection)
                && held.topic == again.topic
                && held.retained == again.retained
                && held.payload == again.payload
        };
        if !again.redelivered {
            return false;
        }
        let Some(place) = self.queue.iter().position(is_it) else { return false };
        let receipt = self.new_receipt(mark);
        let entry = &mut self.queue[place];
        entry.comes_again_after = Some(connection);
        entry.delivery.receipt = receipt;
        true
    }

    /// Whatever the broker sends from now on is none of what waits here.
    fn nothing_comes_again(&mut self) {
        self.queue.iter_mut().for_each(|entry| entry.comes_again_after = None);
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

    /// A connection stands. What was not taken yet waits on, also if the broker
    /// resumed our session: one that was killed knows what it had last saved,
    /// and not what it has accepted and handed over since.
    pub(super) fn attach(&self, requests: Arc<dyn Requests>, resumed: bool) {
        let mut state = self.lock();
        state.connection += 1;
        if !resumed {
            state.nothing_comes_again();
        }
        state.link = Some(Attached { requests, owed: HashMap::new() });
    }

    /// The connection is gone, and with it the meaning of its receipts.
    pub(super) fn detach(&self) {
        self.lock().link = None;
    }

    /// The session is about to be dropped: what waits here comes never again.
    pub(super) fn keep_all(&self) {
        self.lock().nothing_comes_again();
    }

    /// Hands over a delivery that came on the attached connection, unless it
    /// comes again and its first copy still waits.
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
                if state.is_waiting(&delivery, mark) {
                    return;
                }
                if state.has_room_for(&delivery) {
                    state.dropping = false;
                    state.push(delivery, mark, mark.is_some());
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

    /// Hands over a delivery of a connection that is gone already; `kept`: the
    /// broker may send it again. Without room it is left to that.
    pub(super) fn leave(&self, delivery: Delivery, kept: bool) {
        let mut state = self.lock();
        if state.is_waiting(&delivery, None) || !state.has_room_for(&delivery) {
            return;
        }
        state.push(delivery, None, kept);
        drop(state);
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
