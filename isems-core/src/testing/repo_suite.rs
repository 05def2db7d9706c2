//! Conformance of [`MeasurementRepo`]s.
//!
//! ```
//! use std::sync::Arc;
//! use isems_core::{MeasurementRepo, MemoryRepo, testing::repo_suite};
//!
//! struct Memory(Arc<MemoryRepo>);
//!
//! #[async_trait::async_trait]
//! impl repo_suite::RepoUnderTest for Memory {
//!     async fn open(&self) -> Arc<dyn MeasurementRepo> {
//!         self.0.clone()
//!     }
//! }
//!
//! pollster::block_on(async {
//!     for case in repo_suite::CASES {
//!         case.run(&Memory(Arc::default())).await;
//!     }
//! });
//! ```

mod accounting;
mod identity;
mod node_states;
mod pruning;
mod random_history;
mod reading;
mod rollups;

use std::{future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;

use crate::{
    Batch, Measurement, MeasurementRepo, NodeUpdate, PartReport, SourcePart, StoreReport, Timestamp,
};

/// A fresh, empty repository and the means to open it.
#[async_trait]
pub trait RepoUnderTest: Send + Sync {
    /// Opens the repository. The first call finds it empty; each later call
    /// gives another handle on the same data, as another process would have.
    /// A repository that lives in memory only may return the same handle.
    async fn open(&self) -> Arc<dyn MeasurementRepo>;

    /// Removes or falsifies the rollups that are stored, behind the back of the
    /// repository, so that [`MeasurementRepo::rebuild_rollups`] has something to
    /// do. False, as by default, if there is no way to them: the case about it
    /// is then skipped, and only tests of your own can show that it works.
    async fn spoil_rollups(&self) -> bool {
        false
    }
}

type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One thing that every repository must do.
#[derive(Clone, Copy)]
pub struct RepoCase {
    name: &'static str,
    check: fn(&dyn RepoUnderTest) -> CaseFuture<'_>,
}

impl RepoCase {
    /// What is checked, in words with underscores.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks it on a fresh repository.
    ///
    /// # Panics
    /// If the repository does not conform.
    pub async fn run(&self, fresh: &dyn RepoUnderTest) {
        // Shown by the test harness when the case fails.
        println!("case: {}", self.name);
        (self.check)(fresh).await;
    }
}

impl std::fmt::Debug for RepoCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! cases {
    ($($module:ident::$case:ident),* $(,)?) => {
        /// Every case. One that is written and not listed here is dead code,
        /// which the compiler reports.
        pub const CASES: &[RepoCase] = &[
            $(RepoCase { name: stringify!($case), check: |fresh| Box::pin($module::$case(fresh)) },)*
        ];
    };
}

cases![
    identity::a_measurement_is_stored_once,
    identity::other_values_under_a_known_identity_are_a_conflict_and_the_first_stays,
    identity::within_one_batch_the_first_of_equal_identities_wins,
    identity::the_same_second_may_hold_several_reported_times,
    identity::nodes_do_not_share_identities,
    reading::what_was_stored_comes_back_exactly,
    reading::hostile_names_and_texts_come_back_exactly,
    reading::history_is_newest_first_and_limited,
    reading::a_range_bounds_the_history_on_both_sides,
    reading::those_that_are_asked_for_are_found_however_far_apart,
    reading::an_unknown_node_has_an_empty_history,
    reading::latest_is_the_newest_row_of_each_node_sorted_by_node,
    reading::latest_hides_nodes_that_are_not_active,
    reading::pages_of_the_latest_make_up_the_latest,
    reading::the_latest_are_shown_one_by_one,
    reading::a_late_backfill_does_not_become_the_latest,
    reading::row_ids_are_unique_and_stable,
    reading::another_handle_sees_what_was_stored,
    node_states::an_unknown_node_has_the_default_state,
    node_states::clock_runs_come_back_in_order,
    node_states::a_batch_judged_by_an_old_state_is_refused_whole,
    node_states::two_writers_do_not_overwrite_each_other,
    node_states::every_change_gives_another_version,
    node_states::a_forgotten_node_does_not_get_an_old_version_again,
    node_states::the_newest_telemetry_is_remembered,
    node_states::telemetry_is_remembered_in_the_order_in_which_it_was_stored,
    accounting::a_source_is_accounted_for,
    accounting::a_node_is_accounted_for_beneath_its_source,
    accounting::a_failure_leaves_the_last_success_in_place,
    accounting::bytes_are_counted_by_day,
    accounting::read_positions_are_kept_until_replaced,
    accounting::a_refused_batch_leaves_no_account,
    accounting::the_newest_arrival_is_known,
    accounting::a_failure_is_no_arrival,
    accounting::the_latest_confirmed_moment_is_known,
    pruning::prune_removes_what_the_rule_says,
    pruning::a_dry_run_reports_and_removes_nothing,
    pruning::the_newest_row_of_a_node_stays,
    pruning::pruned_rows_are_expired_when_they_come_again,
    pruning::what_is_told_for_the_first_time_never_expires,
    pruning::an_import_may_bring_back_what_was_pruned,
    pruning::a_node_is_forgotten_whole,
    rollups::rollups_equal_the_rule_over_random_histories,
    rollups::an_import_of_what_was_pruned_is_not_counted_twice,
    rollups::rollups_go_with_a_forgotten_node,
    rollups::spoiled_rollups_are_made_anew,
    rollups::buckets_are_made_of_rollups_or_of_measurements,
];

fn rows(rows: impl IntoIterator<Item = Measurement>) -> Batch {
    Batch {
        parts: vec![SourcePart { update: None, rows: rows.into_iter().collect() }],
        ..Batch::default()
    }
}

async fn store(repo: &dyn MeasurementRepo, batch: &Batch) -> PartReport {
    let StoreReport { parts } = repo.store(batch).await.expect("the batch is stored");
    assert_eq!(parts.len(), batch.parts.len(), "one report for each part");
    parts[0]
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn update(
    node: &crate::NodeId,
    expected: crate::NodeVersion,
    runs: Vec<crate::ClockRun>,
) -> NodeUpdate {
    NodeUpdate { node: node.clone(), expected, runs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryRepo;

    struct Memory(Arc<MemoryRepo>);

    #[async_trait]
    impl RepoUnderTest for Memory {
        async fn open(&self) -> Arc<dyn MeasurementRepo> {
            self.0.clone()
        }
    }

    #[test]
    fn the_reference_adapter_conforms() {
        for case in CASES {
            pollster::block_on(case.run(&Memory(Arc::default())));
        }
    }
}
