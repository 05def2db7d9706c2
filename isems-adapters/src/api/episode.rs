//! Trouble is logged when it begins and when it ends, not at each request.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Trouble that comes again within this time is not news.
const QUIET: Duration = Duration::from_mins(1);

/// One kind of trouble, which comes and goes.
#[derive(Debug, Default)]
pub(super) struct Episode(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    on: bool,
    told: Option<Instant>,
}

impl Episode {
    /// Notes that there is trouble; whether to say so.
    pub(super) fn begins(&self) -> bool {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.on || state.told.is_some_and(|told| now - told < QUIET);
        state.on = true;
        if !known {
            state.told = Some(now);
        }
        !known
    }

    /// Notes that there is none (any more); whether to say so.
    pub(super) fn ends(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_once_and_again_only_after_a_quiet_minute() {
        let episode = Episode::default();
        assert!(!episode.ends());
        assert!(episode.begins());
        assert!(!episode.begins());
        assert!(episode.ends());
        assert!(!episode.ends());
        assert!(!episode.begins(), "flickers");
        assert!(episode.ends());
        tokio::time::advance(QUIET).await;
        assert!(episode.begins());
    }
}
