//! What is shared by all who may ask for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    pin,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::api::{client::Client, respond::Problem};

/// How often one who waits looks for somebody who has used up the patience.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// So much, in parts that clients hold. While one waits for a part, those go that
/// take nothing of what they were given, longest first, and then those that take
/// too little: they would hold it until they are cut off by themselves. No more
/// of them go than it takes, and none if all of them would not do.
#[derive(Debug)]
pub(super) struct Pool {
    most: u32,
    patience: Duration,
    free: Arc<Semaphore>,
    /// Those who wait stand in line, and only the first one looks whom to give
    /// up: what the others need may be there by then.
    line: tokio::sync::Mutex<()>,
    holders: Arc<Mutex<Holders>>,
}

#[derive(Debug, Default)]
struct Holders {
    next: u64,
    parts: HashMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    client: Arc<Client>,
    amount: u32,
}

impl Pool {
    /// So much of it, held by clients that may take nothing of what they were
    /// given for as long as the patience of others.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        const MOST: u32 = 1 << 28; // Fits `Semaphore::MAX_PERMITS` on 32-bit machines.
        let most = u32::try_from(most).unwrap_or(MOST).clamp(1, MOST);
        Self {
            most,
            patience,
            free: Arc::new(Semaphore::new(most as usize)),
            line: tokio::sync::Mutex::default(),
            holders: Arc::default(),
        }
    }

    /// Whether nobody holds any of it.
    pub(super) fn is_whole(&self) -> bool {
        self.free.available_permits() == self.most as usize
    }

    /// A part of `amount` (of everything, if that is less) for this client,
    /// once there is so much.
    pub(super) async fn part(&self, amount: usize, client: &Arc<Client>) -> Result<Part, Problem> {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(self.most);
        let _first = self.line.lock().await;
        let taking = Arc::clone(&self.free).acquire_many_owned(amount);
        pin!(taking);
        let mut look = Duration::ZERO;
        let permit = loop {
            if let Ok(taken) = timeout(look, taking.as_mut()).await {
                // The semaphore is never closed.
                break taken.map_err(|_| Problem::Broken)?;
            }
            lock(&self.holders).give_up_one_for(amount, self.most, self.patience);
            look = LOOK;
        };
        let id = lock(&self.holders).add(client, amount);
        let (free, holders) = (Arc::clone(&self.free), Arc::clone(&self.holders));
        Ok(Part { most: self.most, permit, free, holders, id })
    }
}

impl Holders {
    fn add(&mut self, client: &Arc<Client>, amount: u32) -> u64 {
        self.next += 1;
        self.parts.insert(self.next, Held { client: Arc::clone(client), amount });
        self.next
    }

    /// Gives up the client that lags most, if one who needs `amount` does not get
    /// it without, and would get it if all those went that lag.
    fn give_up_one_for(&self, amount: u32, most: u32, patience: Duration) {
        let (mut held, mut lagging, mut worst) = (0, 0, None);
        // What those hold who were given up is free in a moment.
        let staying = self.parts.values().filter(|part| !part.client.is_given_up());
        for Held { client, amount } in staying {
            held += amount;
            if let Some(lag) = client.lags(patience) {
                lagging += amount;
                if worst.is_none_or(|(worst, _)| lag < worst) {
                    worst = Some((lag, client));
                }
            }
        }
        let free = most.saturating_sub(held);
        if free < amount
            && amount <= free + lagging
            && let Some((_, client)) = worst
        {
            client.give_up();
        }
    }
}

/// What a client holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Part {
    most: u32,
    permit: OwnedSemaphorePermit,
    free: Arc<Semaphore>,
    holders: Arc<Mutex<Holders>>,
    id: u64,
}

impl Part {
    /// How much it is.
    pub(super) fn amount(&self) -> usize {
        self.permit.num_permits()
    }

    /// Makes it one of `amount`: gives back the rest, or takes what is lacking if
    /// that is free. `false`: it is not, and the part is what it was. What is
    /// everything is enough for any amount.
    pub(super) fn fits(&mut self, amount: usize) -> bool {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(self.most) as usize;
        let has = self.permit.num_permits();
        if amount < has {
            drop(self.permit.split(has - amount));
        } else if amount > has {
            // Fits `u32`, as `most` does.
            let lacking = u32::try_from(amount - has).unwrap_or(u32::MAX);
            let Ok(more) = Arc::clone(&self.free).try_acquire_many_owned(lacking) else {
                return false;
            };
            self.permit.merge(more);
        }
        if let Some(held) = lock(&self.holders).parts.get_mut(&self.id) {
            held.amount = u32::try_from(amount).unwrap_or(self.most);
        }
        true
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        lock(&self.holders).parts.remove(&self.id);
    }
}

fn lock(holders: &Mutex<Holders>) -> MutexGuard<'_, Holders> {
    holders.lock().unwrap_or_else(PoisonError::into_inner)
}
