//! What is in hand, and when it has to be stored.

use std::{mem, num::NonZeroUsize, time::Duration};

use isems_core::Delivery;
use tokio::time::Instant;

use super::until;

/// How much may be in hand, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// So many deliveries are stored at once.
    pub(crate) deliveries: NonZeroUsize,
    /// So many bytes of payload are stored at once,
    pub(crate) bytes: usize,
    /// and so many of them that are new: what is larger is stored alone, as its
    /// lines take more memory than its bytes.
    pub(crate) news: usize,
    /// The first in hand waits at most so long.
    pub(crate) wait: Duration,
}

impl Window {
    /// Payload that is held in memory at most, beyond one delivery: eight full
    /// logs.
    const BYTES: usize = 4 * 1024 * 1024;

    /// What may be new of it: two full logs.
    const NEWS: usize = 1024 * 1024;

    /// At most `deliveries`, waiting at most `wait`.
    pub(crate) const fn new(deliveries: NonZeroUsize, wait: Duration) -> Self {
        Self { deliveries, bytes: Self::BYTES, news: Self::NEWS, wait }
    }
}

/// Deliveries that share a transaction.
#[derive(Debug)]
pub(super) struct Batch {
    window: Window,
    deliveries: Vec<Delivery>,
    bytes: usize,
    news: usize,
    deadline: Option<Instant>,
}

impl Batch {
    pub(super) fn new(window: Window) -> Self {
        Self { window, deliveries: Vec::new(), bytes: 0, news: 0, deadline: None }
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        self.bytes += delivery.payload.len();
        self.news += news(&delivery);
        self.deliveries.push(delivery);
        self.deadline.get_or_insert_with(|| Instant::now() + self.window.wait);
    }

    /// Whether a delivery may be stored together with what is in hand.
    pub(super) fn has_room_for(&self, delivery: &Delivery) -> bool {
        self.deliveries.is_empty() || self.news + news(delivery) <= self.window.news
    }

    /// Whether it has to be stored now.
    pub(super) fn is_due(&self) -> bool {
        self.deliveries.len() >= self.window.deliveries.get()
            || self.bytes >= self.window.bytes
            || self.news >= self.window.news
            || self.deadline.is_some_and(|at| at <= Instant::now())
    }

    /// Waits until the first in hand has waited long enough; for ever if there
    /// is none.
    pub(super) async fn due(&self) {
        until(self.deadline).await;
    }

    /// What is in hand; nothing is afterwards.
    pub(super) fn take(&mut self) -> Vec<Delivery> {
        self.bytes = 0;
        self.news = 0;
        self.deadline = None;
        mem::take(&mut self.deliveries)
    }
}

/// The bytes that hold what is not known yet.
fn news(delivery: &Delivery) -> usize {
    delivery.payload.len().saturating_sub(delivery.known_prefix)
}
