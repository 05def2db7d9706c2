//! What may happen to the measurements of a node, at random.

use std::sync::Arc;

use super::{RepoUnderTest, at, rows, store};
use crate::{
    Batch, BatchOrigin, HOUR, Measurement, MeasurementRepo, NodeId, NodeStatus, PruneMode,
    Reported, RetentionPolicy, Sample,
    testing::{measurement, node, telemetry},
    time::DAY,
};

/// A generator of numbers that only look random, so that a failure can be
/// repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: i64) -> i64 {
        // Knuth's MMIX generator; its upper bits are the better ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    fn one_in(&mut self, chances: i64) -> bool {
        self.below(chances) == 0
    }

    /// Three hours of each of six days: few enough for hours to be shared, and
    /// far enough apart for an age limit to fall between and within them.
    fn moment(&mut self) -> i64 {
        self.below(6) * DAY + self.below(3 * HOUR)
    }
}

/// How often what is worth a test happened, over all histories.
#[derive(Debug, Default)]
pub(super) struct Seen {
    too_many: u64,
    too_old: u64,
    /// Measurements that came again after they were pruned.
    expired: u64,
    imported: u64,
    forgotten: u64,
    reopened: u64,
}

impl Seen {
    pub(super) fn everything_happened(&self) -> bool {
        let Self { too_many, too_old, expired, imported, forgotten, reopened } = *self;
        [too_many, too_old, expired, imported, forgotten, reopened].iter().all(|count| *count > 20)
    }
}

/// The history of a node, and what of it must be in its rollups.
pub(super) struct RandomHistory {
    pub(super) node: NodeId,
    /// All that was ever stored since the node was forgotten last.
    pub(super) ever: Vec<Measurement>,
    dice: Dice,
}

impl RandomHistory {
    pub(super) fn of(seed: u64) -> Self {
        // Seeds beside each other are to have nothing in common.
        let dice = Dice(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self { node: node(&format!("history-{seed:02}")), ever: Vec::new(), dice }
    }

    /// One step: lines come, and perhaps something else happens.
    pub(super) async fn go_on(
        &mut self,
        fresh: &dyn RepoUnderTest,
        mut repo: Arc<dyn MeasurementRepo>,
        seen: &mut Seen,
    ) -> Arc<dyn MeasurementRepo> {
        self.lines_come(&*repo, seen).await;
        if self.dice.one_in(3) {
            let policy = self.policy();
            let now = at(2 * DAY + self.dice.moment());
            let report = repo.prune(&policy, now, PruneMode::Apply).await.unwrap();
            seen.too_many += report.nodes.iter().map(|node| node.too_many).sum::<u64>();
            seen.too_old += report.nodes.iter().map(|node| node.too_old).sum::<u64>();
        }
        if self.dice.one_in(5) {
            let again = Batch { origin: BatchOrigin::Import, ..rows(self.some_again()) };
            seen.imported += store(&*repo, &again).await.stored;
        }
        if self.dice.one_in(6) {
            repo.rebuild_rollups(&self.node).await.unwrap();
        }
        if self.dice.one_in(12) {
            repo.forget(&self.node).await.unwrap();
            self.ever.clear();
            seen.forgotten += 1;
        }
        if self.dice.one_in(6) {
            drop(repo);
            repo = fresh.open().await;
            seen.reopened += 1;
        }
        repo
    }

    /// What is new, late lines among it, and old lines that are read again.
    /// Telemetry is told only once, so it never expires.
    async fn lines_come(&mut self, repo: &dyn MeasurementRepo, seen: &mut Seen) {
        let fresh: Vec<_> = (0..self.dice.below(40)).map(|_| self.row()).collect();
        let again = self.some_again().into_iter().filter(is_line);
        let watermark = repo.node_state(&self.node).await.unwrap().pruned_until;
        let report = store(repo, &rows(fresh.iter().cloned().chain(again))).await;
        seen.expired += report.expired;
        for row in fresh {
            let same = |other: &Measurement| {
                (other.observed, other.reported.key()) == (row.observed, row.reported.key())
            };
            let in_time = watermark.is_none_or(|until| row.observed > until) || !is_line(&row);
            if in_time && !self.ever.iter().any(same) {
                self.ever.push(row);
            }
        }
    }

    /// Some that were stored before, of which some were pruned since.
    fn some_again(&mut self) -> Vec<Measurement> {
        let some: Vec<_> = (0..self.dice.below(20)).map(|_| self.dice.below(1_000)).collect();
        let place = |at: i64| usize::try_from(at).unwrap_or(0) % self.ever.len().max(1);
        some.into_iter().filter_map(|at| self.ever.get(place(at)).cloned()).collect()
    }

    fn policy(&mut self) -> RetentionPolicy {
        let (number, days) = (self.dice.below(60), self.dice.below(5));
        let which = self.dice.below(3);
        let keep = |wanted: bool, limit: i64| u32::try_from(limit).ok().filter(|_| wanted);
        RetentionPolicy {
            keep_per_node: keep(which != 0, 5 + number),
            keep_days: keep(which != 1, days),
        }
    }

    fn row(&mut self) -> Measurement {
        let volts = 11.0 + self.dice.below(3_000) as f64 / 1_000.0;
        let row = measurement(self.node.as_str(), self.dice.moment(), volts);
        let status = u16::try_from(self.dice.below(0x1000)).unwrap_or(0);
        match self.dice.below(5) {
            0 => Measurement {
                sample: Sample {
                    battery_voltage: Some(0.0),
                    battery_health: Some(-905.0),
                    status: Some(NodeStatus::CONTROLLER_SILENT),
                    ..row.sample
                },
                ..row
            },
            1 => telemetry(self.node.as_str(), row.observed.as_unix(), self.dice.below(1_000)),
            _ => Measurement {
                sample: Sample { status: Some(NodeStatus::from_bits(status)), ..row.sample },
                ..row
            },
        }
    }
}

fn is_line(row: &Measurement) -> bool {
    matches!(row.reported, Reported::Time(_))
}
