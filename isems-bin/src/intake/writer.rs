//! The one way into the repository for every intake of this process.

use std::{pin::pin, sync::Arc, time::Duration};

use isems_core::{
    Clock, ClockTrust, Collector, Delivery, DeliveryReport, RepoError, SourceError, SourceKind,
    Timestamp,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    clock_watch::ClockWatch,
    patience::{LAST_TRIES, Patience, pause},
    trouble::{News, Trouble},
};
use crate::{failure::with_causes, output::counted};

/// What was read could not be stored. It was not confirmed: it comes again
/// with the next round or connection.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} {} read but could not be stored, and will come again: {cause}",
    counted(*deliveries as u64, "delivery"),
    if *deliveries == 1 { "was" } else { "were" }
)]
pub(crate) struct NotStored {
    deliveries: usize,
    cause: RepoError,
}

/// Judges and stores what the intakes bring, one transaction at a time.
///
/// The intakes share one collector, so that what it learns of our own clock
/// from one node holds for all.
pub(crate) struct Writer {
    hand: Mutex<Hand>,
    clock: Arc<dyn Clock>,
    trouble: Trouble,
}

/// One at a time.
struct Hand {
    collector: Collector,
    watch: ClockWatch,
}

impl Hand {
    /// What our clock shows; the collector is told if it was set meanwhile.
    fn now(&mut self) -> Timestamp {
        let look = self.watch.look();
        if let Some(by) = look.set_by {
            info!(seconds = by, "the clock of this machine was set by {by} s");
            self.collector.clock_was_set(look.now);
        }
        look.now
    }
}

impl Writer {
    pub(crate) fn new(collector: Collector, clock: Arc<dyn Clock>) -> Self {
        let watch = ClockWatch::new(Arc::clone(&clock));
        let hand = Mutex::new(Hand { collector, watch });
        Self { hand, clock, trouble: Trouble::default() }
    }

    /// Stores the deliveries, trying again and again if it cannot be done.
    ///
    /// # Errors
    /// If `patience` ran out, or the process is to end and nothing came of the
    /// last tries: a database that is locked answers only after a while.
    pub(super) async fn store(
        &self,
        deliveries: &[Delivery],
        patience: Patience,
        stop: &CancellationToken,
    ) -> Result<Vec<DeliveryReport>, NotStored> {
        let begun = Instant::now();
        let mut last_tries_over = pin!(async {
            stop.cancelled().await;
            sleep(LAST_TRIES).await;
        });
        let mut met: Option<RepoError> = None;
        let mut failures: u32 = 0;
        loop {
            let result = tokio::select! {
                biased;
                result = self.ingest(deliveries) => result,
                () = &mut last_tries_over => break,
            };
            let cause = match result {
                Ok(reports) => {
                    if failures > 0 {
                        self.passes();
                    }
                    return Ok(reports);
                }
                Err(cause) => cause,
            };
            self.tell(&cause, deliveries.len(), failures == 0);
            met = Some(cause);
            failures = failures.saturating_add(1);
            if is_exhausted(patience, begun.elapsed()) {
                break;
            }
            let is_stopping = stop.is_cancelled();
            tokio::select! {
                () = sleep(pause(failures, is_stopping)) => {}
                () = stop.cancelled(), if !is_stopping => {}
                () = &mut last_tries_over => break,
            }
        }
        if met.is_some() {
            self.trouble.gives_up();
        }
        let deliveries = deliveries.len();
        Err(NotStored { deliveries, cause: met.unwrap_or_else(no_answer) })
    }

    /// One try. Others may have theirs between two of them.
    async fn ingest(&self, deliveries: &[Delivery]) -> Result<Vec<DeliveryReport>, RepoError> {
        let mut hand = self.hand.lock().await;
        let now = hand.now();
        hand.collector.ingest(deliveries, now).await
    }

    /// How far our own clock, which shows `now`, can be relied on, by what
    /// came in until now.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub(crate) async fn clock_trust(&self, now: Timestamp) -> Result<ClockTrust, RepoError> {
        let mut hand = self.hand.lock().await;
        hand.now();
        hand.collector.clock_trust(now).await
    }

    /// A moment that has passed, whatever our own clock shows.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub(crate) async fn surely_passed(&self) -> Result<Timestamp, RepoError> {
        self.hand.lock().await.collector.surely_passed().await
    }

    /// Notes that a source could not deliver. Nothing is tried again, or waited
    /// for at the end: the next failure says more.
    pub(super) async fn note_failure(
        &self,
        error: &SourceError,
        kind: SourceKind,
        stop: &CancellationToken,
    ) {
        let noted = async {
            let at = self.clock.now();
            self.hand.lock().await.collector.note_failure(error, kind, at).await
        };
        let noted = tokio::select! {
            noted = noted => noted,
            () = stop.cancelled() => return,
        };
        if let Err(trouble) = noted {
            let source = error.source_id();
            debug!(%source, %trouble, "{source}: its failure could not be noted: {trouble}");
        }
    }

    /// Says that something cannot be stored: once for all that suffer of the
    /// same trouble, as each error goes to Sentry.
    fn tell(&self, cause: &RepoError, deliveries: usize, first_time: bool) {
        let causes = with_causes(cause);
        match self.trouble.meets(&causes, first_time) {
            News::Begins => error!(
                %cause,
                deliveries,
                "cannot store what nodes sent, trying again until it works (nothing is \
                 acknowledged meanwhile): {causes}"
            ),
            News::Changes => warn!(%cause, deliveries, "still cannot store: {causes}"),
            News::Nothing => debug!(%cause, deliveries, "still cannot store: {cause}"),
        }
    }

    fn passes(&self) {
        if let Some(duration) = self.trouble.passes() {
            info!(seconds = duration.as_secs(), "storing works again");
        }
    }
}

/// What a store that hangs would say.
fn no_answer() -> RepoError {
    let what = format!("nothing came of storing within {} s", LAST_TRIES.as_secs());
    RepoError::Unavailable { what, cause: None }
}

fn is_exhausted(patience: Patience, failing_for: Duration) -> bool {
    match patience {
        Patience::Endless => false,
        Patience::AtMost(limit) => failing_for >= limit,
    }
}
