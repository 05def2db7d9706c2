//! Applies the retention policy: when it is due, and by which moment.

use std::{sync::Arc, time::Duration};

use isems_core::{
    Clock, MeasurementRepo, NodePrune, PruneMode, PruneReport, Reckoning, RepoError,
    RetentionPolicy, Timestamp,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{intake::Writer, output::counted};

/// Intake and API come first after a start.
const AFTER_START: Duration = Duration::from_secs(30);
const A_DAY: Duration = Duration::from_hours(24);

/// What pruning goes by.
pub(crate) struct Pruning {
    repo: Arc<dyn MeasurementRepo>,
    policy: RetentionPolicy,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    /// What had surely passed when this process began.
    passed: Timestamp,
    began: Instant,
}

impl Pruning {
    /// Prunes `repo` by `policy`.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub(crate) async fn new(
        repo: Arc<dyn MeasurementRepo>,
        policy: RetentionPolicy,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
    ) -> Result<Self, RepoError> {
        let passed = writer.surely_passed().await?;
        Ok(Self { repo, policy, clock, writer, passed, began: Instant::now() })
    }

    /// Prunes once, or says what would go.
    ///
    /// # Errors
    /// If it cannot be done; what was removed until then stays removed.
    pub(crate) async fn prune(&self, mode: PruneMode) -> Result<PruneReport, RepoError> {
        let now = self.clock.now();
        let reckoning =
            Reckoning::of(self.writer.clock_trust(now).await?, now, self.passed().await?);
        let (policy, _) = reckoning.limit(&self.policy, now);
        let matters = self.policy.keep_days.is_some() || policy != self.policy;
        if let Some(warning) = reckoning.warning().filter(|_| matters) {
            warn!("pruning: {warning}");
        }
        let (policy, now) = reckoning.limit(&self.policy, now);
        self.repo.prune(&policy, now, mode).await
    }

    /// Time passes also where no node confirms what our clock shows.
    async fn passed(&self) -> Result<Timestamp, RepoError> {
        let since = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        Ok(self.writer.surely_passed().await?.max(self.passed.plus(since)))
    }

    /// Prunes soon after the start and then once a day, until `stop` is asked
    /// for. What pruning had removed until then stays removed.
    pub(super) async fn daily(self, stop: CancellationToken) {
        let work = async {
            sleep(AFTER_START).await;
            loop {
                match self.prune(PruneMode::Apply).await {
                    Ok(report) => self.tell(&report),
                    Err(error) => error!(%error, "pruning failed, next try in a day: {error}"),
                }
                sleep(A_DAY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    fn tell(&self, report: &PruneReport) {
        let sum = |of: fn(&NodePrune) -> u64| report.nodes.iter().map(of).sum();
        let (too_many, too_old) = (sum(|node| node.too_many), sum(|node| node.too_old));
        let reasons = reasons(&self.policy, too_many, too_old);
        info!(
            removed = report.removed(),
            too_many,
            too_old,
            nodes = report.nodes.len(),
            "pruning: removed {} of {}{}",
            counted(report.removed(), "measurement"),
            counted(report.nodes.len() as u64, "node"),
            if reasons.is_empty() { reasons } else { format!(" ({reasons})") },
        );
    }
}

/// Why so many go, in words.
pub(crate) fn reasons(policy: &RetentionPolicy, too_many: u64, too_old: u64) -> String {
    let mut reasons = Vec::new();
    if let Some(keep) = policy.keep_per_node.filter(|_| too_many > 0) {
        reasons.push(format!("{too_many} beyond the newest {keep}"));
    }
    if let Some(days) = policy.keep_days.filter(|_| too_old > 0) {
        reasons.push(format!("{too_old} older than {}", counted(days.into(), "day")));
    }
    reasons.join(", ")
}

#[cfg(test)]
mod tests {
    use isems_core::{
        Collector, HistoryRange, MeasurementReader as _, NodeId, testing::ManualClock,
    };

    use super::*;
    use crate::test_support::{BEGIN, repo_with_rows};

    #[tokio::test(start_paused = true)]
    async fn it_prunes_soon_after_the_start_and_ends_when_asked() {
        let repo = repo_with_rows("Elektra-Dach", 5).await;
        let policy = RetentionPolicy { keep_per_node: Some(2), keep_days: None };
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(BEGIN + 3600)));
        let collector = Collector::new(Arc::clone(&repo) as _, Timestamp::from_unix(0));
        let writer = Arc::new(Writer::new(collector, Arc::clone(&clock) as _));
        let pruning = Pruning::new(Arc::clone(&repo) as _, policy, clock, writer).await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(pruning.daily(stop.clone()));

        sleep(AFTER_START + Duration::from_secs(1)).await;

        let node = NodeId::new("Elektra-Dach").unwrap();
        let kept = repo.history(&node, HistoryRange::ALL, 10).await.unwrap();
        assert_eq!(kept.len(), 2);
        stop.cancel();
        task.await.unwrap();
    }

    #[test]
    fn each_removal_has_its_reason() {
        let policy = RetentionPolicy { keep_per_node: Some(20_000), keep_days: Some(365) };
        for (too_many, too_old, expected) in [
            (0, 0, ""),
            (3, 0, "3 beyond the newest 20000"),
            (3, 2, "3 beyond the newest 20000, 2 older than 365 days"),
        ] {
            assert_eq!(reasons(&policy, too_many, too_old), expected);
        }
    }
}
