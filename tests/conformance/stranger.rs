//! What a stranger writes who needs a repository of their own: under a hundred
//! lines over a plain map. If this grows, the port asks too much.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use isems_core::{
    Batch, Bucket, ClockMarks, HistoryRange, Ledger, MeasurementReader, MeasurementRepo, NodeId,
    NodeState, PruneMode, PruneReport, Put, ReadPosition, RepoError, RetentionPolicy, SourceId,
    SourceSummary, StoreReport, StoredMeasurement, Timestamp, testing::repo_suite,
};

// The stranger's repository begins here,
type Result<T> = std::result::Result<T, RepoError>;
type Row = StoredMeasurement;
type Rows = BTreeMap<(NodeId, Timestamp, i64), Row>;

#[derive(Clone, Default)]
struct MapRepo(Arc<Mutex<(Rows, Ledger)>>);

impl MapRepo {
    fn open(&self) -> MutexGuard<'_, (Rows, Ledger)> {
        self.0.lock().expect("nobody panics with the map in hand")
    }
}

fn newest_first<'a>(rows: &'a Rows, node: &'a NodeId) -> impl Iterator<Item = &'a Row> {
    rows.iter().rev().filter(move |(key, _)| key.0 == *node).map(|(_, row)| row)
}

#[async_trait]
impl MeasurementReader for MapRepo {
    async fn latest(&self, since: Option<Timestamp>) -> Result<Vec<Row>> {
        let (rows, _) = &*self.open();
        let newest: BTreeMap<_, _> = rows.iter().map(|(key, row)| (&key.0, row)).collect();
        let active = |row: &&Row| since.is_none_or(|since| row.measurement.observed > since);
        Ok(newest.into_values().filter(active).cloned().collect())
    }
    async fn history(&self, node: &NodeId, range: HistoryRange, limit: usize) -> Result<Vec<Row>> {
        let within = |row: &&Row| range.contains(row.measurement.observed);
        Ok(newest_first(&self.open().0, node).filter(within).take(limit).cloned().collect())
    }
    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>> {
        Ok(self.open().1.rollups(node, range))
    }
    async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>> {
        Ok(self.open().1.pruned_until(node))
    }
    async fn sources(&self) -> Result<Vec<SourceSummary>> {
        Ok(self.open().1.sources())
    }
}

#[async_trait]
impl MeasurementRepo for MapRepo {
    async fn store(&self, batch: &Batch) -> Result<StoreReport> {
        let (rows, ledger) = &mut *self.open();
        let mut id = rows.values().map(|row| row.id).max().unwrap_or(0);
        ledger.book(batch, |row, wanted| {
            let key = (row.node.clone(), row.observed, row.reported.key());
            match rows.get(&key) {
                Some(known) if known.measurement.sample == row.sample => return Put::Same,
                Some(_) => return Put::Different,
                None if !wanted => return Put::Withheld,
                None => id += 1,
            }
            rows.insert(key, Row { id, measurement: row.clone() });
            Put::Inserted
        })
    }
    async fn node_state(&self, node: &NodeId) -> Result<NodeState> {
        let (rows, ledger) = &*self.open();
        Ok(ledger.state(node, newest_first(rows, node)))
    }
    async fn clock_marks(&self) -> Result<ClockMarks> {
        Ok(self.open().1.clock_marks())
    }
    async fn read_positions(&self) -> Result<BTreeMap<SourceId, ReadPosition>> {
        Ok(self.open().1.read_positions())
    }
    async fn prune(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        mode: PruneMode,
    ) -> Result<PruneReport> {
        let (rows, ledger) = &mut *self.open();
        let mut report = PruneReport::default();
        for node in ledger.nodes().cloned().collect::<Vec<_>>() {
            let keys = rows.keys().rev().filter(|key| key.0 == node);
            let history = keys.map(|key| (key.clone(), key.1));
            let Some(sorted) = policy.sort_out(&node, history, now) else { continue };
            report.nodes.push(sorted.report);
            if mode == PruneMode::Apply {
                ledger.note_pruned(&node, sorted.gone.iter().map(|key| key.1));
                rows.retain(|key, _| !sorted.gone.contains(key));
            }
        }
        Ok(report)
    }
    async fn rebuild_rollups(&self, node: &NodeId) -> Result<()> {
        let (rows, ledger) = &mut *self.open();
        ledger.rebuild_rollups(node, newest_first(rows, node).map(|row| &row.measurement));
        Ok(())
    }
    async fn forget(&self, node: &NodeId) -> Result<u64> {
        let (rows, ledger) = &mut *self.open();
        ledger.forget(node);
        Ok(rows.extract_if(.., |key, _| key.0 == *node).count() as u64)
    }
}
// and ends here.

#[async_trait]
impl repo_suite::RepoUnderTest for MapRepo {
    async fn open(&self) -> Arc<dyn MeasurementRepo> {
        Arc::new(self.clone())
    }
}

#[tokio::test]
async fn a_strangers_repository_conforms() {
    for case in repo_suite::CASES {
        case.run(&MapRepo::default()).await;
    }
}

#[test]
fn it_takes_under_a_hundred_lines() {
    let code = include_str!("stranger.rs");
    let begin = code.find("// The stranger's repository begins").expect("the beginning is marked");
    let end = code.find("// and ends here").expect("the end is marked");
    let lines = code[begin..end].lines().count();
    assert!(lines < 100, "{lines} lines");
}
