//! Trouble with storing, or with opening the store: told once, for all that
//! suffer of it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Trouble that comes back within this time is the same.
const QUIET: Duration = Duration::from_mins(1);

/// Counts the batches that cannot be stored: the trouble is over when the last
/// of them is stored, and not when something small fits in between.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stuck: usize,
    cause: String,
    since: Option<Instant>,
    ended: Option<Instant>,
}

/// What a failure is to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// There was no trouble before.
    Begins,
    /// It is the same trouble, but its cause is another now, or it is back.
    Changes,
    /// It is known.
    Nothing,
}

impl Trouble {
    /// Notes that a batch could not be stored because of `cause`, for the first
    /// time or again.
    pub(crate) fn meets(&self, cause: &str, first_time: bool) -> News {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_first = state.stuck == 0;
        state.stuck += usize::from(first_time);
        let is_back = state.ended.is_some_and(|ended| now - ended < QUIET);
        if is_first {
            state.since = Some(now);
        }
        let news = match (is_first, is_back) {
            (true, false) => News::Begins,
            (true, true) => News::Changes,
            (false, _) if state.cause != cause => News::Changes,
            (false, _) => News::Nothing,
        };
        cause.clone_into(&mut state.cause);
        news
    }

    /// Notes that a batch that had met trouble is stored; if it was the last
    /// one, for how long there was trouble.
    pub(crate) fn passes(&self) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stuck = state.stuck.saturating_sub(1);
        if state.stuck > 0 {
            return None;
        }
        let now = Instant::now();
        state.ended = Some(now);
        Some(state.since.take().map_or(Duration::ZERO, |since| now - since))
    }

    /// Notes that a batch that had met trouble was given up.
    pub(super) fn gives_up(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stuck = state.stuck.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_one_for_all_and_over_when_the_last_is_stored() {
        let trouble = Trouble::default();
        assert_eq!(trouble.meets("full", true), News::Begins);
        assert_eq!(trouble.meets("full", true), News::Nothing, "another batch");
        assert_eq!(trouble.meets("full", false), News::Nothing, "again");
        assert_eq!(trouble.meets("damaged", false), News::Changes);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(trouble.passes(), None);
        assert_eq!(trouble.passes(), Some(Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_flickers_is_reported_once() {
        let trouble = Trouble::default();
        assert_eq!(trouble.meets("full", true), News::Begins);
        for _ in 0..3 {
            assert!(trouble.passes().is_some());
            assert_eq!(trouble.meets("full", true), News::Changes);
        }
        assert!(trouble.passes().is_some());
        tokio::time::advance(QUIET).await;
        assert_eq!(trouble.meets("full", true), News::Begins);
    }

    #[test]
    fn a_batch_that_is_given_up_leaves_no_trouble_behind() {
        let trouble = Trouble::default();
        assert_eq!(trouble.meets("full", true), News::Begins);
        trouble.gives_up();
        assert_eq!(trouble.meets("full", true), News::Begins);
    }
}
