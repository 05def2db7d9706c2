//! The collector's memory, watched from outside.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    collector::{Life, Presence},
    counters::Counters,
};

const EACH: Duration = Duration::from_secs(1);

/// A life with fewer samples says nothing: a process grows while it starts.
const LEAST_SAMPLES: usize = 60;

/// KiB by which the median may grow beyond a fifth.
const SLACK: u64 = 8 * 1024;

/// Takes samples until it is told to end.
pub(crate) struct Memory {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Series>>,
}

/// The resident memory of one process, in KiB, second by second.
#[derive(Debug)]
pub(crate) struct Series {
    life: usize,
    samples: Vec<u64>,
}

/// What the samples say.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The most that was ever used, in KiB.
    pub(crate) most: u64,
    /// Seconds of the longest life, and its medians of the second and the last
    /// quarter, in KiB.
    pub(crate) longest: Option<(usize, u64, u64)>,
}

impl Memory {
    pub(crate) fn watch(presence: &Arc<Presence>) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (told, presence) = (Arc::clone(&enough), Arc::clone(presence));
        let thread = thread::spawn(move || {
            let mut all: Vec<Series> = Vec::new();
            while !told.load(Ordering::Relaxed) {
                if let Some((life, used)) =
                    presence.now().and_then(|life| Some((life, resident(life)?)))
                {
                    match all.last_mut().filter(|series| series.life == life.number) {
                        Some(series) => series.samples.push(used),
                        None => all.push(Series { life: life.number, samples: vec![used] }),
                    }
                }
                thread::sleep(EACH);
            }
            all
        });
        Self { enough, thread }
    }

    /// Ends it; says what grew.
    pub(crate) fn end(self, counters: &Counters) -> Figures {
        self.enough.store(true, Ordering::Relaxed);
        let all = self.thread.join().unwrap();
        let mut figures = Figures::default();
        for Series { life, samples } in &all {
            figures.most = figures.most.max(samples.iter().copied().max().unwrap_or(0));
            if samples.len() < LEAST_SAMPLES {
                continue;
            }
            let quarter = samples.len() / 4;
            let second = median(&samples[quarter..2 * quarter]);
            let last = median(&samples[3 * quarter..]);
            if last > second + second / 5 + SLACK {
                counters.find(format!(
                    "process {life} grew from {second} KiB in the second quarter of its life to \
                     {last} KiB in the last"
                ));
            }
            if figures.longest.is_none_or(|(seconds, ..)| seconds < samples.len()) {
                figures.longest = Some((samples.len(), second, last));
            }
        }
        figures
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

fn resident(life: Life) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", life.pid)).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    resident.split_whitespace().next()?.parse().ok()
}
