//! From a source into the repository: what arrives together is stored together,
//! and confirmed only then.

mod batch;
mod by_node;
mod clock_watch;
mod failing;
mod log;
mod oddities;
mod patience;
mod trouble;
mod writer;

use std::{future, sync::Arc};

use isems_core::{Delivery, DeliveryReport, NodeSource, SourceError, SourceKind};
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::batch::Batch;
pub(crate) use self::{
    batch::Window,
    log::{MinuteLog, RoundLog, in_words},
    oddities::{Oddities, OwnClock},
    patience::{Patience, pause},
    trouble::{News, Trouble},
    writer::{NotStored, Writer},
};

/// Hears what comes of a source, for people.
pub(crate) trait Observer: Send {
    /// A delivery was stored.
    fn stored(&mut self, report: &DeliveryReport);

    /// A source could not deliver.
    fn failed(&mut self, error: &SourceError);

    /// When [`flush`](Self::flush) is to be called, if it has something untold.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// That moment has come, or nothing more will: tells what is untold.
    fn flush(&mut self) {}
}

/// Why an intake ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// The source cannot be used any more.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What was read could not be stored within the time that is granted.
    #[error(transparent)]
    NotStored(#[from] NotStored),
}

/// Takes in what one source delivers.
pub(crate) struct Intake<S> {
    source: S,
    kind: SourceKind,
    writer: Arc<Writer>,
    window: Window,
    patience: Patience,
    observer: Box<dyn Observer>,
}

impl<S: NodeSource> Intake<S> {
    /// An intake from `source`, which delivers as `kind`, through `writer`.
    pub(crate) fn new(
        source: S,
        kind: SourceKind,
        writer: Arc<Writer>,
        window: Window,
        observer: Box<dyn Observer>,
    ) -> Self {
        Self { source, kind, writer, window, patience: Patience::Endless, observer }
    }

    /// Gives up if something cannot be stored within `patience`.
    pub(crate) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Runs until the source is over or `stop` is asked for; what is in hand
    /// then is stored and confirmed. Hands the source back, to be closed.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> (S, Result<(), IntakeError>) {
        let result = self.take_in(&stop).await;
        self.observer.flush();
        (self.source, result)
    }

    async fn take_in(&mut self, stop: &CancellationToken) -> Result<(), IntakeError> {
        let mut batch = Batch::new(self.window);
        loop {
            let over = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = batch.due() => false,
                () = until(self.observer.due()) => {
                    self.observer.flush();
                    false
                }
                next = self.source.next() => match next {
                    Ok(Some(delivery)) => {
                        let (source, bytes) = (&delivery.source, delivery.payload.len());
                        debug!(%source, bytes, "{source}: {bytes} bytes in hand");
                        if !batch.has_room_for(&delivery) {
                            self.commit(batch.take(), stop).await?;
                        }
                        batch.push(delivery);
                        false
                    }
                    Ok(None) => true,
                    Err(error) => {
                        self.note(&error, stop).await;
                        if error.is_final() {
                            self.commit(batch.take(), stop).await?;
                            return Err(error.into());
                        }
                        // Neither source nor repository may have had to wait.
                        yield_now().await;
                        false
                    }
                },
            };
            if over || batch.is_due() {
                self.commit(batch.take(), stop).await?;
            }
            if over {
                return Ok(());
            }
        }
    }

    /// Stores the deliveries and then confirms them.
    async fn commit(
        &mut self,
        deliveries: Vec<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(), IntakeError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let reports = self.writer.store(&deliveries, self.patience, stop).await?;
        for report in &reports {
            self.observer.stored(report);
        }
        for delivery in &deliveries {
            if let Err(error) = self.source.confirm(delivery.receipt).await {
                debug!(
                    source = %delivery.source,
                    "{}: stored but not acknowledged, it will come again: {}",
                    delivery.source,
                    error.describe(),
                );
            }
        }
        Ok(())
    }

    async fn note(&mut self, error: &SourceError, stop: &CancellationToken) {
        self.observer.failed(error);
        self.writer.note_failure(error, self.kind, stop).await;
    }
}

/// Waits for a moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests;
