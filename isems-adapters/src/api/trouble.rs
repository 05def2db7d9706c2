//! Trouble with reading the repository: one matter for the whole API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use isems_core::RepoError;
use tokio::time::Instant;

use super::respond::Problem;

/// Trouble that is back within this time is the same.
const SAME: Duration = Duration::from_mins(10);

/// What still fails after such a time, in which nobody asked, is told anew.
const LONG: Duration = Duration::from_hours(24);

/// What was told is not told again for this time.
const QUIET: Duration = Duration::from_mins(1);

/// What is read: one may fail while others can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reading {
    /// The newest measurement of each node.
    Newest,
    /// One node.
    Node,
    /// The history of a node.
    History,
    /// What is known of the sources.
    Sources,
}

/// How reading goes, for all who read. However many requests and kinds of
/// requests suffer of it, people get one error; the rest are warnings.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failing: BTreeSet<Reading>,
    /// When anything failed last.
    failed: Option<Instant>,
    /// When each was told last.
    told: BTreeMap<Reading, Instant>,
    /// Whether there is anything to take back.
    is_open: bool,
}

/// What a failure is to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// All was well before.
    Begins,
    /// It is the same trouble, but more is touched by it, or it is back.
    Changes,
    /// It is known.
    Nothing,
}

impl Trouble {
    /// Logs how reading the repository goes, when that changes, and says what
    /// to tell the client.
    pub(super) fn told<T>(
        &self,
        reading: Reading,
        read: Result<T, RepoError>,
    ) -> Result<T, Problem> {
        let error = match read {
            Ok(rows) => {
                if self.passes(reading) {
                    tracing::info!("the API can read the measurement store again");
                }
                return Ok(rows);
            }
            // It is told by whoever opens it.
            Err(RepoError::Opening) => return Err(Problem::Unavailable),
            Err(error) => error,
        };
        match self.meets(reading) {
            News::Begins => {
                tracing::error!(?reading, %error, "the API cannot read the measurement store");
            }
            News::Changes => {
                tracing::warn!(?reading, %error, "the API still cannot read the measurement store");
            }
            News::Nothing => {}
        }
        Err(match error {
            RepoError::Corrupt { .. } | RepoError::Foreign { .. } => Problem::Broken,
            _ => Problem::Unavailable,
        })
    }

    /// Notes that something cannot be read.
    fn meets(&self, reading: Reading) -> News {
        let now = Instant::now();
        let mut state = self.lock();
        let quiet = state.failed.map(|failed| now - failed);
        let is_new =
            quiet.is_none_or(|quiet| quiet >= LONG || (quiet >= SAME && state.failing.is_empty()));
        state.failed = Some(now);
        let is_known = !state.failing.insert(reading)
            || state.told.get(&reading).is_some_and(|told| now - *told < QUIET);
        if is_new {
            state.told.clear();
        } else if is_known {
            return News::Nothing;
        }
        state.told.insert(reading, now);
        state.is_open = true;
        if is_new { News::Begins } else { News::Changes }
    }

    /// Notes that something can be read (again); whether to say so.
    fn passes(&self, reading: Reading) -> bool {
        let mut state = self.lock();
        let was_last = state.failing.remove(&reading) && state.failing.is_empty();
        was_last && std::mem::take(&mut state.is_open)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_one_for_all_who_read_and_over_when_the_last_can() {
        let trouble = Trouble::default();
        assert!(!trouble.passes(Reading::Node), "there was none");
        assert_eq!(trouble.meets(Reading::Node), News::Begins);
        assert_eq!(trouble.meets(Reading::Node), News::Nothing);
        assert_eq!(trouble.meets(Reading::Sources), News::Changes);
        assert!(!trouble.passes(Reading::Newest), "it never failed");
        assert!(!trouble.passes(Reading::Node));
        assert!(trouble.passes(Reading::Sources));
        assert!(!trouble.passes(Reading::Sources));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_flickers_begins_once_and_is_told_at_most_each_minute() {
        let trouble = Trouble::default();
        assert_eq!(trouble.meets(Reading::Node), News::Begins);
        assert!(trouble.passes(Reading::Node));
        for _ in 0..60 {
            for _ in 0..5 {
                advance(QUIET / 6).await;
                assert_eq!(trouble.meets(Reading::Node), News::Nothing);
                assert!(!trouble.passes(Reading::Node));
            }
            advance(QUIET / 6).await;
            assert_eq!(trouble.meets(Reading::Node), News::Changes);
            assert!(trouble.passes(Reading::Node));
        }
        advance(SAME).await;
        assert_eq!(trouble.meets(Reading::Node), News::Begins);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asked_for_again_hides_new_trouble_for_a_day_at_most() {
        let trouble = Trouble::default();
        assert_eq!(trouble.meets(Reading::History), News::Begins);
        advance(SAME).await;
        assert_eq!(trouble.meets(Reading::Node), News::Changes);
        advance(LONG).await;
        assert_eq!(trouble.meets(Reading::Node), News::Begins);
    }
}
