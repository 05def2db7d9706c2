//! What is counted, and what is found wrong.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How often what happened, and what should not have happened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    findings: Mutex<Vec<String>>,
}

impl Counters {
    /// Something happened once more.
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    /// All that was counted, by name.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// Something is wrong. It is said at once, as the end may be hours away.
    pub(crate) fn find(&self, what: String) {
        const REMEMBERED: usize = 1_000;
        let mut findings = lock(&self.findings);
        if findings.len() < REMEMBERED {
            println!("WRONG: {what}");
            findings.push(what);
        }
    }

    /// All that is wrong.
    pub(crate) fn findings(&self) -> Vec<String> {
        lock(&self.findings).clone()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
