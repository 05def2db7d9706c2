//! Applies the retention policy once a day.

use std::{sync::Arc, time::Duration};

use isems_core::{Clock, MeasurementRepo, PruneMode, RetentionPolicy};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::output::counted;

/// Intake and API come first after a start.
const AFTER_START: Duration = Duration::from_secs(30);
const A_DAY: Duration = Duration::from_hours(24);

/// Prunes soon after the start and then once a day, until `stop` is asked for.
/// What pruning had removed until then stays removed.
pub(super) async fn prune_daily(
    repo: Arc<dyn MeasurementRepo>,
    policy: RetentionPolicy,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let work = async {
        sleep(AFTER_START).await;
        loop {
            match repo.prune(&policy, clock.now(), PruneMode::Apply).await {
                Ok(report) => info!(
                    removed = report.removed(),
                    nodes = report.nodes.len(),
                    "pruning: removed {} of {}",
                    counted(report.removed(), "measurement"),
                    counted(report.nodes.len() as u64, "node"),
                ),
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

#[cfg(test)]
mod tests {
    use isems_core::{
        HistoryRange, MeasurementReader as _, NodeId, Timestamp, testing::ManualClock,
    };

    use super::*;
    use crate::test_support::{BEGIN, repo_with_rows};

    #[tokio::test(start_paused = true)]
    async fn it_prunes_soon_after_the_start_and_ends_when_asked() {
        let repo = repo_with_rows("Elektra-Dach", 5).await;
        let policy = RetentionPolicy { keep_per_node: Some(2), keep_days: None };
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(BEGIN)));
        let stop = CancellationToken::new();
        let task = tokio::spawn(prune_daily(Arc::clone(&repo) as _, policy, clock, stop.clone()));

        sleep(AFTER_START + Duration::from_secs(1)).await;

        let node = NodeId::new("Elektra-Dach").unwrap();
        let kept = repo.history(&node, HistoryRange::ALL, 10).await.unwrap();
        assert_eq!(kept.len(), 2);
        stop.cancel();
        task.await.unwrap();
    }
}
