//! The read side: what clients ask for.

use std::{fmt, sync::Arc};

use crate::{
    ActivityRule, HistoryRange, MeasurementReader, NodeId, RepoError, SourceSummary,
    StoredMeasurement, Timestamp,
};

/// Which nodes a client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// Those that count as active by the [`ActivityRule`].
    Active,
    /// All that were ever heard.
    All,
}

/// Answers the questions of clients from a repository's reading side.
#[derive(Clone)]
pub struct Query {
    reader: Arc<dyn MeasurementReader>,
    activity: ActivityRule,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("activity", &self.activity).finish_non_exhaustive()
    }
}

impl Query {
    /// So many measurements of a node are *recent*: a day of a line a minute.
    pub const RECENT: usize = 1_440;

    /// Questions to `reader`, with this rule for who is active.
    #[must_use]
    pub fn new(reader: Arc<dyn MeasurementReader>, activity: ActivityRule) -> Self {
        Self { reader, activity }
    }

    /// The newest measurement of each node, sorted by node id.
    ///
    /// # Errors
    /// See [`RepoError`].
    pub async fn latest(
        &self,
        nodes: Nodes,
        now: Timestamp,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.reader.latest(self.since(nodes, now)).await
    }

    /// Shows [`latest`](Self::latest) one by one, all as of one moment.
    ///
    /// # Errors
    /// See [`RepoError`]; some may have been shown by then.
    pub async fn each_latest(
        &self,
        nodes: Nodes,
        now: Timestamp,
        show: &mut (dyn FnMut(StoredMeasurement) + Send),
    ) -> Result<(), RepoError> {
        self.reader.each_latest(self.since(nodes, now), show).await
    }

    fn since(&self, nodes: Nodes, now: Timestamp) -> Option<Timestamp> {
        match nodes {
            Nodes::Active => Some(self.activity.active_since(now)),
            Nodes::All => None,
        }
    }

    /// The newest [`RECENT`](Self::RECENT) measurements of a node, newest
    /// first; empty for an unknown one.
    ///
    /// # Errors
    /// See [`RepoError`].
    pub async fn recent(&self, node: &NodeId) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.reader.history(node, HistoryRange::ALL, Self::RECENT).await
    }

    /// What is known of every source, sorted by id.
    ///
    /// # Errors
    /// See [`RepoError`].
    pub async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        self.reader.sources().await
    }
}
