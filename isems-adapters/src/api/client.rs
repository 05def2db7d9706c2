//! A client, as far as it takes what is written to it.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connections;

/// One connection's client. What it holds up (room for answers, say) is known
/// to others, who may have to give it up.
#[derive(Debug, Default)]
pub(super) struct Client {
    address: Option<IpAddr>,
    stalled_since: Mutex<Option<Instant>>,
    given_up: CancellationToken,
}

impl Client {
    /// The client at this address.
    pub(super) fn at(peer: IpAddr) -> Self {
        Self { address: connections::counted_as(peer), ..Self::default() }
    }

    /// The address (IPv6: the network) under which it is counted; `None`: it is
    /// not counted, as on loopback.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// It takes nothing just now, since this moment.
    pub(super) fn stalls(&self, since: Instant) {
        *self.lock() = Some(since);
    }

    /// It takes something again.
    pub(super) fn goes_on(&self) {
        *self.lock() = None;
    }

    /// Since when something waits for it that it does not take.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        *self.lock()
    }

    /// Ends its connection, whatever is on its way.
    pub(super) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Whether it was given up: what it holds is given back in a moment.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Cancelled when its connection must end.
    pub(super) fn given_up(&self) -> &CancellationToken {
        &self.given_up
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stalled_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
