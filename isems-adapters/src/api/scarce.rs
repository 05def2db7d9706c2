//! Something of which there is only so much for all clients together.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{client::Client, respond::Problem};

/// How long a client may take nothing of what it was given while another waits
/// for it. Short, but longer than a pause of a connection that works.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often one who waits looks for somebody who has used up this patience.
const LOOK: Duration = Duration::from_millis(50);

/// Room, places: shares of it are held by clients. While one waits for a share,
/// those go that take nothing of what they were given, longest first: they
/// would hold it until they are cut off by themselves.
#[derive(Debug)]
pub(super) struct Scarce {
    most: u32,
    free: Arc<Semaphore>,
    holders: Arc<Mutex<Holders>>,
}

#[derive(Debug, Default)]
struct Holders {
    next: u64,
    clients: HashMap<u64, Arc<Client>>,
}

impl Scarce {
    pub(super) fn new(most: usize) -> Self {
        const MOST: u32 = 1 << 28; // Fits `Semaphore::MAX_PERMITS` on 32-bit machines.
        let most = u32::try_from(most).unwrap_or(MOST).clamp(1, MOST);
        Self { most, free: Arc::new(Semaphore::new(most as usize)), holders: Arc::default() }
    }

    /// A share of `amount` (of everything, if that is less) for this client,
    /// once there is so much.
    pub(super) async fn share(
        &self,
        amount: usize,
        client: &Arc<Client>,
    ) -> Result<Share, Problem> {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(self.most);
        let mut taking = pin!(Arc::clone(&self.free).acquire_many_owned(amount));
        let mut look = Duration::ZERO;
        let permit = loop {
            if let Ok(taken) = timeout(look, taking.as_mut()).await {
                // The semaphore is never closed.
                break taken.map_err(|_| Problem::Broken)?;
            }
            lock(&self.holders).give_up_longest_stalled();
            look = LOOK;
        };
        let id = lock(&self.holders).add(client);
        Ok(Share { _permit: permit, holders: Arc::clone(&self.holders), id })
    }
}

impl Holders {
    fn add(&mut self, client: &Arc<Client>) -> u64 {
        self.next += 1;
        self.clients.insert(self.next, Arc::clone(client));
        self.next
    }

    fn give_up_longest_stalled(&mut self) {
        let stalled = self.clients.iter().filter_map(|(id, client)| {
            let since = client.stalled_since()?;
            (since.elapsed() >= PATIENCE).then_some((since, *id))
        });
        let longest = stalled.min().and_then(|(_, id)| self.clients.remove(&id));
        if let Some(client) = longest {
            client.give_up();
        }
    }
}

/// A client's share; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
    holders: Arc<Mutex<Holders>>,
    id: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        lock(&self.holders).clients.remove(&self.id);
    }
}

fn lock(holders: &Mutex<Holders>) -> MutexGuard<'_, Holders> {
    holders.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, advance};

    /// A client that takes nothing, since just now.
    fn stalled() -> Arc<Client> {
        let client = Arc::new(Client::default());
        client.stalls(Instant::now());
        client
    }

    /// Tries for a share until `limit`.
    async fn try_for(scarce: &Scarce, limit: Duration) -> Option<Share> {
        let client = Arc::default();
        timeout(limit, scarce.share(1, &client)).await.ok().map(Result::unwrap)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_longest_goes_for_one_who_waits_and_nobody_else() {
        let scarce = Scarce::new(3);
        let mut shares = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..3 {
            advance(Duration::from_millis(100)).await;
            let client = stalled();
            shares.push(scarce.share(1, &client).await.unwrap());
            clients.push(client);
        }
        clients[0].goes_on();

        let begin = Instant::now();
        let waiting = try_for(&scarce, Duration::from_mins(1));
        let ends = async {
            clients[1].given_up().cancelled().await;
            drop(shares.remove(1));
        };
        let (share, ()) = tokio::join!(waiting, ends);

        assert!(share.is_some());
        assert!(begin.elapsed() <= PATIENCE + LOOK, "{:?}", begin.elapsed());
        let gone = [0, 1, 2].map(|i| clients[i].given_up().is_cancelled());
        assert_eq!(gone, [false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_may_stay_while_nobody_waits() {
        let scarce = Scarce::new(2);
        let client = stalled();
        let _share = scarce.share(1, &client).await.unwrap();
        advance(Duration::from_hours(1)).await;
        assert!(try_for(&scarce, Duration::from_mins(1)).await.is_some(), "there is enough");
        assert!(!client.given_up().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_is_not_given_up_however_long_others_wait() {
        let scarce = Scarce::new(1);
        let client = Arc::default();
        let _share = scarce.share(1, &client).await.unwrap();
        assert!(try_for(&scarce, Duration::from_hours(1)).await.is_none());
        assert!(!client.given_up().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_that_is_given_back_is_free_again() {
        let scarce = Scarce::new(1);
        for _ in 0..3 {
            assert!(try_for(&scarce, Duration::from_secs(1)).await.is_some());
        }
    }
}
