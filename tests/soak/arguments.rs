//! What is asked for on the command line.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

pub(crate) const USAGE: &str = "cargo test -p isems-bin --test soak -- DURATION [--seed N]
  DURATION  how long faults happen, such as 90s, 30m or 8h; at least 10s
  --seed N  a whole number; the same seed draws the same faults. Unset: a new one
Without arguments a few seconds with a fixed seed.";

/// The seed of the short run in `cargo test`.
const FIXED_SEED: u64 = 1;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Wish {
    Run(Plan),
    /// Some other test is wanted.
    Nothing,
    /// The arguments cannot be understood, for this reason.
    Help(String),
}

/// How long, how fast, and by which chance.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Faults happen for this long.
    pub(crate) storm: Duration,
    /// From this share of the storm on, in percent, the collector is left
    /// alone, so that its memory can be watched; all else goes on.
    pub(crate) restarts_until: u32,
    /// Between two faults: at least and at most.
    pub(crate) pause: (Duration, Duration),
    /// How long something is away or locked: at least and at most.
    pub(crate) outage: (Duration, Duration),
    /// `ISEMS_POLL_INTERVAL`, in seconds.
    pub(crate) poll_interval: u64,
    /// `ISEMS_POLL_TIMEOUT`, in seconds.
    pub(crate) poll_timeout: u64,
    /// `ISEMS_COMMIT_INTERVAL`.
    pub(crate) commit_interval: Duration,
}

impl Plan {
    fn short() -> Self {
        Self {
            seed: FIXED_SEED,
            storm: Duration::from_secs(3),
            restarts_until: 100,
            pause: (Duration::from_millis(50), Duration::from_millis(150)),
            outage: (Duration::from_millis(50), Duration::from_millis(200)),
            poll_interval: 1,
            poll_timeout: 2,
            commit_interval: Duration::from_millis(50),
        }
    }

    fn long(storm: Duration, seed: u64) -> Self {
        Self {
            seed,
            storm,
            restarts_until: 55,
            pause: (Duration::from_millis(500), Duration::from_secs(6)),
            // A node's repeated telemetry is known for 30 s: an outage must be
            // shorter, also when two things are away at once.
            outage: (Duration::from_millis(200), Duration::from_secs(6)),
            poll_interval: 2,
            poll_timeout: 4,
            commit_interval: Duration::from_millis(500),
        }
    }
}

/// Understands the arguments, among them those that `cargo test` hands to every
/// test.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Wish {
    let mut storm = None;
    let mut seed = None;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => return Wish::Nothing,
            "--seed" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(value) => seed = Some(value),
                None => return Wish::Help("--seed needs a whole number".into()),
            },
            "--help" | "-h" => return Wish::Help("The soak of the collector.".into()),
            // Of the harness of other tests: --nocapture and the like.
            flag if flag.starts_with('-') => {}
            value if value.starts_with(|c: char| c.is_ascii_digit()) => match duration(value) {
                Some(value) => storm = Some(value),
                None => return Wish::Help(format!("{value} is no duration")),
            },
            // Part of the name of the tests that are wanted.
            name if "soak".contains(name) => {}
            _ => return Wish::Nothing,
        }
    }
    match storm {
        Some(storm) => Wish::Run(Plan::long(storm, seed.unwrap_or_else(new_seed))),
        None => Wish::Run(Plan { seed: seed.unwrap_or(FIXED_SEED), ..Plan::short() }),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (10..=30 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// Any number; short enough to be typed again.
fn new_seed() -> u64 {
    RandomState::new().hash_one(0) % 1_000_000_000
}
