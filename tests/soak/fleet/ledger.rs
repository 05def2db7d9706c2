//! What the nodes said, and which of it the collector owes.

use std::{collections::BTreeMap, sync::Mutex};

use isems_adapters::SystemClock;
use isems_core::Clock as _;

use crate::counters::lock;

/// A measurement, identified by its node and its number there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The time in its line; telemetry has none.
    pub(crate) reported: Option<i64>,
    /// When it was really measured.
    pub(crate) truth: i64,
    /// It was accepted: the broker acknowledged it, or the collector said by
    /// an `If-None-Match` that it has it, or it was still served at the end.
    pub(crate) owed: bool,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    /// By node; the place in the list is the measurement's number.
    pub(crate) entries: BTreeMap<String, Vec<Entry>>,
    /// Accepted messages of nodes without a clock, as numbers of their lines:
    /// in each the order is promised.
    pub(crate) ordered: Vec<(String, Vec<usize>)>,
}

impl Ledger {
    /// A node measures now; gives the measurement's number.
    pub(crate) fn measure(&self, node: &str, reported: Option<i64>) -> usize {
        self.measured_at(node, reported, unix_now())
    }

    /// A node has measured at `truth`.
    pub(crate) fn measured_at(&self, node: &str, reported: Option<i64>, truth: i64) -> usize {
        let mut books = lock(&self.0);
        let entries = books.entries.entry(node.to_owned()).or_default();
        entries.push(Entry { reported, truth, owed: false });
        entries.len() - 1
    }

    /// The collector owes these measurements of a node.
    pub(crate) fn owe(&self, node: &str, numbers: impl IntoIterator<Item = usize>) {
        let mut books = lock(&self.0);
        if let Some(entries) = books.entries.get_mut(node) {
            for number in numbers {
                entries[number].owed = true;
            }
        }
    }

    /// The order of these is promised as well.
    pub(crate) fn owe_in_order(&self, node: &str, numbers: &[usize]) {
        self.owe(node, numbers.iter().copied());
        lock(&self.0).ordered.push((node.to_owned(), numbers.to_vec()));
    }

    pub(crate) fn books(&self) -> Books {
        lock(&self.0).clone()
    }
}

/// The wall clock, which the nodes and the collector share.
pub(crate) fn unix_now() -> i64 {
    SystemClock.now().as_unix()
}
