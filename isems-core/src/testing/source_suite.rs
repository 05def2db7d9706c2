//! Conformance of [`NodeSource`]s.
//!
//! Build a small world around your source, a [`SourceUnderTest`], and run every
//! case in a fresh one. `tests/conformance/stranger_source.rs` in the project's
//! repository is the shortest complete example.
//!
//! The cases wait for deliveries without a limit of their own, since this crate
//! has no timer: run each within a timeout of your runtime, half a minute say.
//! It fires also if the source never waits for anything.

mod caller;
mod confirming;
mod delivering;

use std::{future::Future, pin::Pin};

use async_trait::async_trait;

use crate::NodeSource;

/// A world of nodes around a source, for one case.
///
/// Implement it with what your source really talks to, or with something that
/// behaves as that does: a case can only show what the world lets happen.
#[async_trait]
pub trait SourceUnderTest: Send {
    /// The most bytes that a payload of the source may have, some thousand at
    /// least. No delivery may hold more.
    fn max_payload(&self) -> usize;

    /// Lets a healthy node hand over `payload`: a CSV log in which each line is
    /// terminated. Each call brings news; what was offered before may come with
    /// it (a log that grows) or not (one message each).
    async fn offer(&mut self, payload: &[u8]);

    /// The same from a second healthy node, whose deliveries have receipts of
    /// their own. The default lets the first node do it: only for a source that
    /// can never have more than one.
    async fn offer_from_another_node(&mut self, payload: &[u8]) {
        self.offer(payload).await;
    }

    /// Opens the source, or opens it again under the same identity after it was
    /// dropped, with nothing remembered but what was confirmed. It goes on for
    /// ever: if it works in rounds, these follow each other soon.
    async fn open(&mut self) -> Box<dyn NodeSource>;

    /// Breaks the link to the healthy nodes or their broker, and mends it soon.
    /// For a source that works in rounds: lets one round fail. The source stays
    /// open; what it handed over and was not told to be durable has to come again.
    async fn break_link(&mut self);

    /// Adds a node that accepts connections and never answers, if there is
    /// such a thing.
    async fn add_dead_node(&mut self);

    /// Lets a node hand over `too_much`, one byte more than
    /// [`max_payload`](Self::max_payload), and then `payload` in good order.
    async fn offer_too_much_then(&mut self, too_much: &[u8], payload: &[u8]);
}

type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One thing that every source must do.
#[derive(Clone, Copy)]
pub struct SourceCase {
    name: &'static str,
    check: fn(&mut dyn SourceUnderTest) -> CaseFuture<'_>,
}

impl SourceCase {
    /// What is checked, in words with underscores.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks it in a fresh world.
    ///
    /// # Panics
    /// If the source does not conform.
    pub async fn run(&self, fresh: &mut dyn SourceUnderTest) {
        println!("case: {}", self.name);
        (self.check)(fresh).await;
    }
}

impl std::fmt::Debug for SourceCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! cases {
    ($($module:ident::$case:ident),* $(,)?) => {
        /// Every case. One that is written and not listed here is dead code,
        /// which the compiler reports.
        pub const CASES: &[SourceCase] = &[
            $(SourceCase { name: stringify!($case), check: |fresh| Box::pin($module::$case(fresh)) },)*
        ];
    };
}

cases![
    delivering::payloads_are_byte_exact,
    delivering::a_dead_node_stalls_nobody,
    delivering::too_much_from_a_node_is_not_handed_over_and_does_not_end_the_source,
    delivering::a_broken_link_is_mended,
    delivering::a_cancelled_next_loses_nothing,
    confirming::what_is_not_confirmed_comes_again_when_opened_again,
    confirming::what_is_not_confirmed_comes_again_over_the_next_link,
    confirming::what_is_confirmed_comes_no_more_when_opened_again,
    confirming::what_is_confirmed_comes_no_more_over_the_next_link,
    confirming::a_receipt_confirms_nothing_that_came_before,
    confirming::a_receipt_confirms_nothing_that_came_after,
];
