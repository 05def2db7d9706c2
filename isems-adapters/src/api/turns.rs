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
    reads: Semaphore,
    room: Scarce,
    overload: Episode,
}

impl Turns {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        Self {
            request_time: limits.request_time,
            reads: Semaphore::new(limits.concurrent_reads.max(1)),
            room: Scarce::new(limits.answer_bytes),
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
            // The semaphore is never closed.
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
    pub(super) async fn room(&self, bytes: usize, client: &Arc<Client>) -> Result<Share, Problem> {
        self.room.share(bytes, client).await
    }
}
