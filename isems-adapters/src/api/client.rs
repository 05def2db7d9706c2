//! A client, as far as it takes what is written to it.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{connections, settings::ApiLimits};

/// One connection's client. What it holds up (room for answers, say) is known
/// to others, who may have to give it up.
#[derive(Debug)]
pub(super) struct Client {
    address: Option<IpAddr>,
    per_byte: Duration,
    most_credit: Duration,
    taking: Mutex<Taking>,
    given_up: CancellationToken,
}

/// How it takes what it is given.
#[derive(Debug)]
struct Taking {
    /// Something waits for it that it does not take.
    stalled_since: Option<Instant>,
    /// Waiting for it uses this up, and what it takes gives some back.
    credit: Duration,
}

/// How a client lags while others wait; the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lag {
    /// It takes nothing, since this moment.
    Stalled(Instant),
    /// It takes something, but too little on the whole, since this moment.
    Slow(Instant),
}

impl Client {
    /// The client at this address.
    pub(super) fn at(peer: IpAddr, limits: &ApiLimits) -> Self {
        Self { address: connections::counted_as(peer), ..Self::under(limits) }
    }

    fn under(limits: &ApiLimits) -> Self {
        Self {
            address: None,
            per_byte: Duration::from_secs(1) / limits.steady_reader.max(1),
            most_credit: limits.steady_time,
            taking: Mutex::new(Taking { stalled_since: None, credit: limits.steady_time }),
            given_up: CancellationToken::new(),
        }
    }

    /// The address (IPv6: the network) under which it is counted; `None`: it is
    /// not counted, as on loopback.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// It takes nothing just now, since this moment.
    pub(super) fn stalls(&self, since: Instant) {
        self.lock().stalled_since = Some(since);
    }

    /// It takes something again: so many bytes.
    pub(super) fn goes_on(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut taking = self.lock();
        let waited = taking.stalled_since.take().map(|since| since.elapsed());
        let left = taking.credit.saturating_sub(waited.unwrap_or_default());
        let earned = self.per_byte.saturating_mul(bytes);
        taking.credit = left.saturating_add(earned).min(self.most_credit);
    }

    /// How it lags, if others who wait need not be patient with it any longer.
    pub(super) fn lags(&self, patience: Duration) -> Option<Lag> {
        let taking = self.lock();
        let since = taking.stalled_since?;
        let waited = since.elapsed();
        if waited >= patience {
            Some(Lag::Stalled(since))
        } else if waited >= taking.credit {
            Some(Lag::Slow(since + taking.credit))
        } else {
            None
        }
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

    fn lock(&self) -> MutexGuard<'_, Taking> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Default for Client {
    fn default() -> Self {
        Self::under(&ApiLimits::default())
    }
}
