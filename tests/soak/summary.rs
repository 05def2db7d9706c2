//! The figures of a run, as a table for the documentation.

use std::time::Duration;

use crate::{
    arguments::Plan, collector::Collector, counters::Counters, memory::Figures, proof::Outcome,
};

/// All that is known at the end.
pub(crate) struct Summary<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) took: Duration,
    pub(crate) nodes: usize,
    pub(crate) collector: &'a Collector,
    pub(crate) counters: &'a Counters,
    pub(crate) memory: &'a Figures,
    pub(crate) worst: Duration,
    pub(crate) outcome: &'a Outcome,
}

impl Summary<'_> {
    pub(crate) fn print(&self) {
        let outcome = self.outcome;
        println!("\n| figure | value |\n|---|---:|");
        line("seed", self.plan.seed);
        line("faults for", in_words(self.plan.storm));
        line("whole run", in_words(self.took));
        line("simulated nodes", self.nodes);
        line("starts of the collector", self.collector.starts());
        for (what, count) in self.counters.counts() {
            line(what, count);
        }
        line("worst time of an API request", format_args!("{} ms", self.worst.as_millis()));
        line("most memory (RSS)", mib(self.memory.most));
        if let Some((seconds, second, last)) = self.memory.longest {
            let seconds = in_words(Duration::from_secs(seconds as u64));
            line(
                &format!("memory in the second quarter of the longest life ({seconds})"),
                mib(second),
            );
            line("memory in its last quarter", mib(last));
        }
        line("measurements made by the nodes", outcome.measured);
        line("accepted (acknowledged or still readable at the end)", outcome.owed);
        line("accepted and missing", outcome.missing);
        line("stored", outcome.stored);
        line("stored beyond what was accepted", outcome.beyond_owed);
        for (what, count) in &outcome.sources {
            line(&format!("sources: {what}"), count);
        }
        line("farthest observed time from the truth", format_args!("{} s", outcome.farthest));
        line("found wrong", self.counters.findings().len());
    }
}

fn line(what: &str, value: impl std::fmt::Display) {
    println!("| {what} | {value} |");
}

fn in_words(duration: Duration) -> String {
    format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
}

fn mib(kib: u64) -> String {
    format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
}
