//! Turns to read from the repository, and room for what was read.
//!
//! Who needs both takes room first, then a turn (the place of an export comes
//! before either): a turn is never held by one who waits for something else than
//! the repository, so it is free again soon, and those that need no room (the
//! pages of an export, say) are not held up by clients that read nothing.
//!
//! How much room an answer takes is known when it was made, so room is taken for
//! what is usual and then made to fit. An answer for which it is too little, when
//! no more is free, is thrown away and made anew once there is room of its size:
//! nobody waits for room while holding some.

use std::{sync::Arc, time::Duration};

use hyper::body::Bytes;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    body, client::Client, draft::Draft, episode::Episode, respond::Problem, scarce::Scarce,
    settings::ApiLimits,
};

/// So many files are looked for or read at once.
const BLOCKING: usize = 8;

/// What all requests share, so that together they stay within the limits.
pub(super) struct Turns {
    request_time: Duration,
    present: Queue,
    past: Queue,
    files: Queue,
    blocking: Arc<Semaphore>,
    overload: Episode,
}

/// What a request asks for. Each kind has turns and room of its own: many long
/// answers never hold up a short one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// How things are now: some bytes of each node.
    Present,
    /// The history of a node, a megabyte or more.
    Past,
    /// A file of the app, a picture of a map: what the repository is not asked for.
    File,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Nothing of it was sent.
    New,
    /// Some of it was sent: it can only go on or break off, so it is waited for
    /// longer.
    UnderWay,
}

impl Phase {
    /// Request times that each piece of an answer may take.
    const fn patience(self) -> u32 {
        match self {
            Self::New => 1,
            Self::UnderWay => 6,
        }
    }
}

struct Queue {
    reads: Semaphore,
    room: Scarce,
}

impl Queue {
    fn new(reads: usize, room: usize, patience: Duration) -> Self {
        Self { reads: Semaphore::new(reads.max(1)), room: Scarce::new(room, patience) }
    }

    async fn in_turn<T, E: From<Problem>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // The semaphore is never closed.
        let _turn = self.reads.acquire().await.map_err(|_| Problem::Broken)?;
        work.await
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
            files: queue(BLOCKING, limits.file_bytes),
            blocking: Arc::new(Semaphore::new(BLOCKING)),
            overload: Episode::default(),
        }
    }

    fn queue(&self, kind: Kind) -> &Queue {
        match kind {
            Kind::Present => &self.present,
            Kind::Past => &self.past,
            Kind::File => &self.files,
        }
    }

    /// Works when it is its turn, within the time that this may take, waiting
    /// included. For what is not sent as it is, and so takes no room.
    pub(super) async fn read<T, E: From<Problem>>(
        &self,
        kind: Kind,
        phase: Phase,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.within(phase, self.queue(kind).in_turn(work)).await?
    }

    /// Makes something for this client, in turn and within the time that it may
    /// take, waiting included: bytes, which have room until they are sent, and
    /// what is to be known of them. `usual` is how many bytes there are mostly.
    /// May make it more than once.
    pub(super) async fn make<T, E, F>(
        &self,
        kind: Kind,
        phase: Phase,
        usual: usize,
        client: &Arc<Client>,
        make: impl Fn() -> F,
    ) -> Result<(Bytes, T), E>
    where
        E: From<Problem>,
        F: Future<Output = Result<(Vec<u8>, T), E>>,
    {
        let queue = self.queue(kind);
        let work = async {
            let mut size = usual;
            loop {
                let mut room = queue.room.share(size, client).await?;
                let fits = async {
                    let (bytes, more) = make().await?;
                    size = bytes.len();
                    Ok::<_, E>(room.fits(size).then_some((bytes, more)))
                };
                if let Some((bytes, more)) = queue.in_turn(fits).await? {
                    return Ok((body::holding(bytes, room), more));
                }
            }
        };
        self.within(phase, work).await?
    }

    /// Makes something as [`make`](Self::make) does, of which there may be much
    /// more than usual: room is taken as it is written. If there is not enough,
    /// it is counted instead, and written anew once there is.
    pub(super) async fn write<E, F>(
        &self,
        kind: Kind,
        phase: Phase,
        usual: usize,
        client: &Arc<Client>,
        write: impl Fn(Draft) -> F,
    ) -> Result<Bytes, E>
    where
        E: From<Problem>,
        F: Future<Output = Result<Draft, E>>,
    {
        let queue = self.queue(kind);
        let work = async {
            let mut size = usual;
            loop {
                let room = queue.room.share(size, client).await?;
                match queue.in_turn(write(Draft::within(room))).await?.finished() {
                    Ok((bytes, room)) => return Ok(body::holding(bytes, room)),
                    Err(counted) => size = counted,
                }
            }
        };
        self.within(phase, work).await?
    }

    /// Does what blocks, as files do, on one of few threads. What hangs keeps its
    /// thread, also when nobody waits for it any more, but takes no further ones:
    /// others, as those who look up the addresses of nodes, need some too.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.blocking).acquire_owned().await;
        // The semaphore is never closed.
        let turn = turn.map_err(|_| Problem::Broken)?;
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        working.await.map_err(|_| Problem::Broken)
    }

    /// Waits for something else that an answer needs, no longer than it may
    /// take.
    pub(super) async fn within<T>(
        &self,
        phase: Phase,
        work: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let limit = self.request_time.saturating_mul(phase.patience());
        let Ok(done) = timeout(limit, work).await else {
            if self.overload.begins() {
                let limit = limit.as_secs_f32();
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
}

#[cfg(test)]
mod tests;
