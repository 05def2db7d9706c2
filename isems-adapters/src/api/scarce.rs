//! Something of which there is only so much for all clients together.

mod pool;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use self::pool::{Part, Pool};
use super::{client::Client, respond::Problem};

/// Room, places: shares of it are held by clients, those of one address up to
/// half of it. While one waits for a share, others may have to go.
#[derive(Debug)]
pub(super) struct Scarce {
    all: Pool,
    most: usize,
    patience: Duration,
    of_address: Mutex<HashMap<IpAddr, Arc<Pool>>>,
}

impl Scarce {
    /// So much of it, held by clients that may take nothing of what they were
    /// given for as long as the patience of others.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        let all = Pool::new(most, patience);
        Self { all, most, patience, of_address: Mutex::default() }
    }

    /// A share of `amount` (of everything, if that is less) for this client,
    /// once there is so much. A single share may be more than half.
    pub(super) async fn share(
        &self,
        amount: usize,
        client: &Arc<Client>,
    ) -> Result<Share, Problem> {
        // Who waits for others of the same address is in nobody else's way.
        let own = match client.address().map(|address| self.of(address)) {
            Some(own) => Some(own.part(amount, client).await?),
            None => None,
        };
        Ok(Share { all: self.all.part(amount, client).await?, own })
    }

    /// What those of one address may hold.
    fn of(&self, address: IpAddr) -> Arc<Pool> {
        let mut of_address = self.of_address.lock().unwrap_or_else(PoisonError::into_inner);
        of_address.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_whole());
        let half = || Arc::new(Pool::new(self.most / 2, self.patience));
        Arc::clone(of_address.entry(address).or_insert_with(half))
    }
}

/// A client's share; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    all: Part,
    /// The same of what those of its address may hold.
    own: Option<Part>,
}

impl Share {
    /// How much it is.
    pub(super) fn amount(&self) -> usize {
        self.all.amount()
    }

    /// Makes it one of `amount`: gives back the rest, or takes what is lacking if
    /// that is free. `false`: it is not, and the share is what it was. What is
    /// everything is enough for any amount.
    pub(super) fn fits(&mut self, amount: usize) -> bool {
        let Some(own) = &mut self.own else { return self.all.fits(amount) };
        let before = own.amount();
        if !own.fits(amount) {
            return false;
        }
        let fits = self.all.fits(amount);
        if !fits {
            own.fits(before);
        }
        fits
    }
}

#[cfg(test)]
mod tests;
