//! The first to be told of, and no more in memory than those.

use std::collections::BTreeMap;

use isems_core::{RowId, StoredMeasurement};

/// Measurements with the lowest ids of those that were added, so many at most.
#[derive(Debug)]
pub(super) struct Lowest {
    most: usize,
    rows: BTreeMap<RowId, StoredMeasurement>,
}

impl Lowest {
    pub(super) const fn of(most: usize) -> Self {
        Self { most, rows: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, row: StoredMeasurement) {
        self.rows.insert(row.id, row);
        if self.rows.len() > self.most {
            self.rows.pop_last();
        }
    }

    /// How many of them have ids up to this one.
    pub(super) fn count_upto(&self, id: RowId) -> usize {
        self.rows.range(..=id).count()
    }

    /// The first `most` of them, lowest id first, and whether that is all.
    pub(super) fn first(self, most: usize) -> (Vec<StoredMeasurement>, bool) {
        let is_all = self.rows.len() <= most;
        (self.rows.into_values().take(most).collect(), is_all)
    }
}
