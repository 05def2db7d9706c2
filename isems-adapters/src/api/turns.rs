//! Turns to read from the repository, and room for what was read.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use super::{
    client::Client,
    episode::Episode,
    respond::Problem,
    scarce::{Scarce, Share},
    settings::ApiLimits,
};

/// What all requests share, so that together they stay within the limits.
pub(super) struct Turns {
    request_time: Duration,
    present: Queue,
    past: Queue,
    overload: Episode,
}

/// What a request asks for. Each kind has turns and room of its own: many long
/// answers never hold up a short one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// How things are now: some bytes of each node.
    Present,
    /// The history of a node, a megabyte or more; a picture of a map.
    Past,
}

struct Queue {
    reads: Semaphore,
    room: Scarce,
}

impl Queue {
    fn new(reads: usize, room: usize, patience: Duration) -> Self {
        Self { reads: Semaphore::new(reads.max(1)), room: Scarce::new(room, patience) }
    }
}

impl Turns {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let (reads, room) = (limits.concurrent_reads, limits.answer_bytes);
        let (for_present, room_for_present) = (reads / 2, room / 4);
        let queue = |reads, room| Queue::new(reads, room, limits.patience);
        Self {
            request_time: limits.request_time,
            present: queue(for_present, room_for_present),
            past: queue(reads - for_present, room - room_for_present),
            overload: Episode::default(),
        }
    }

    fn queue(&self, kind: Kind) -> &Queue {
        match kind {
            Kind::Present => &self.present,
            Kind::Past => &self.past,
        }
    }

    /// Works when it is this request's turn, within the time that a request may
    /// take, waiting included.
    pub(super) async fn read<T, E: From<Problem>>(
        &self,
        kind: Kind,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let in_turn = async {
            // The semaphore is never closed.
            let turn = self.queue(kind).reads.acquire().await;
            let _turn = turn.map_err(|_| Problem::Broken)?;
            work.await
        };
        self.within(in_turn).await?
    }

    /// Waits for something else that a request needs, no longer than a request
    /// may take.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Problem> {
        let Ok(done) = timeout(self.request_time, work).await else {
            if self.overload.begins() {
                let limit = self.request_time.as_secs_f32();
                tracing::warn!(
                    limit,
                    "an API answer was not ready within its time limit (seconds)"
                );
            }
            return Err(Problem::Unavailable);
        };
        self.overload.ends();
        Ok(done)
    }

    /// Room for so many bytes on their way to a client, once there is some.
    pub(super) async fn room(
        &self,
        kind: Kind,
        bytes: usize,
        client: &Arc<Client>,
    ) -> Result<Share, Problem> {
        self.queue(kind).room.share(bytes, client).await
    }
}
