//! Turns to read from the repository, and room for what was read.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{episode::Episode, respond::Problem, settings::ApiLimits};

/// What all requests share, so that together they stay within the limits.
pub(super) struct Turns {
    request_time: Duration,
    most_room: u32,
    reads: Semaphore,
    room: Arc<Semaphore>,
    overload: Episode,
}

impl Turns {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let most_room = room_of(limits.answer_bytes);
        Self {
            request_time: limits.request_time,
            most_room,
            reads: Semaphore::new(limits.concurrent_reads.max(1)),
            room: Arc::new(Semaphore::new(most_room as usize)),
            overload: Episode::default(),
        }
    }

    /// Works when it is this request's turn, within the time that a request may
    /// take, waiting included.
    pub(super) async fn read<T, E: From<Problem>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let in_turn = async {
            // Neither semaphore is ever closed.
            let _turn = self.reads.acquire().await.map_err(|_| Problem::Broken)?;
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
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.most_room);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        room.map_err(|_| Problem::Broken)
    }
}

/// Room in bytes as a semaphore can count it.
fn room_of(bytes: usize) -> u32 {
    const MOST: u32 = 1 << 28; // Fits `Semaphore::MAX_PERMITS` on 32-bit machines.
    u32::try_from(bytes).unwrap_or(MOST).clamp(1, MOST)
}
