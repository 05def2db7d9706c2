//! Conformance of [`NodeSource`]s.
//!
//! The cases await deliveries without a limit of their own, since this crate
//! has no timer: run each within a timeout of your runtime.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::Poll,
};

use async_trait::async_trait;

use crate::{Delivery, NodeSource, SourceError};

/// A world of nodes around a source.
#[async_trait]
pub trait SourceUnderTest: Send {
    /// Lets a healthy node hand over `payload`: a CSV log in which each line is
    /// terminated. Each call brings news; what was offered before may come with
    /// it (a log that grows) or not (one message each).
    async fn offer(&mut self, payload: &[u8]);

    /// Opens the source, or opens it again under the same identity after it was
    /// dropped, with nothing remembered but what was confirmed.
    async fn open(&mut self) -> Box<dyn NodeSource>;

    /// Breaks the link to the healthy node or its broker, and mends it soon.
    async fn break_link(&mut self);

    /// Adds a node that accepts connections and never answers, if there is
    /// such a thing.
    async fn add_dead_node(&mut self);

    /// Lets a node hand over more bytes than the source's limit, and then
    /// `payload` in good order.
    async fn offer_too_much_then(&mut self, payload: &[u8]);
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
    ($($case:ident),* $(,)?) => {
        /// Every case. One that is written and not listed here is dead code,
        /// which the compiler reports.
        pub const CASES: &[SourceCase] = &[
            $(SourceCase { name: stringify!($case), check: |fresh| Box::pin($case(fresh)) },)*
        ];
    };
}

cases![
    payloads_are_byte_exact,
    a_dead_node_stalls_nobody,
    too_much_from_a_node_does_not_end_the_source,
    a_broken_link_is_mended,
    a_cancelled_next_loses_nothing,
    what_is_not_confirmed_comes_again,
];

/// Bytes that a careless reader would change: Windows-1252, CRLF, U+0085, NUL.
const ODD: &[u8] = b"M\xFCnchen;1;2\r\n\xC2\x85;\0;\xFF\n";
const LINE: &[u8] = b"Node-A;1;1748768945;ESP_2.0;3565;0;20.8;18.2;13.2;100;100;21.6;11.9;14.2;7.2;10;52.5;13.4;300\n";
const NEXT: &[u8] = b"Node-A;1;1748769005;ESP_2.0;3561;0;20.8;18.2;13.2;100;100;21.8;11.9;14.1;7.2;10;52.5;13.4;300\n";

/// The next delivery that ends in `payload`; failures and answers without news
/// in between are passed over, and everything that was stored so far confirmed.
async fn await_payload(source: &mut dyn NodeSource, payload: &[u8]) -> Delivery {
    loop {
        match source.next().await {
            Ok(Some(delivery)) if delivery.payload.ends_with(payload) => return delivery,
            Ok(Some(delivery)) => source.confirm(delivery.receipt).await.unwrap_or_else(report),
            Ok(None) => panic!("the source was over before it delivered"),
            Err(error) if error.is_final() => panic!("the source gave up: {error}"),
            Err(error) => report(error),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits the ends of futures")]
fn report(error: SourceError) {
    println!("passed over: {error}");
}

async fn payloads_are_byte_exact(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(ODD).await;
    let mut source = fresh.open().await;
    let delivery = await_payload(&mut *source, ODD).await;
    assert_eq!(delivery.payload, ODD);
    assert!(delivery.bytes >= ODD.len() as u64);
}

async fn a_dead_node_stalls_nobody(fresh: &mut dyn SourceUnderTest) {
    fresh.add_dead_node().await;
    fresh.offer(LINE).await;
    let mut source = fresh.open().await;
    await_payload(&mut *source, LINE).await;
}

async fn too_much_from_a_node_does_not_end_the_source(fresh: &mut dyn SourceUnderTest) {
    fresh.offer_too_much_then(LINE).await;
    let mut source = fresh.open().await;
    await_payload(&mut *source, LINE).await;
}

async fn a_broken_link_is_mended(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(LINE).await;
    let mut source = fresh.open().await;
    let first = await_payload(&mut *source, LINE).await;
    source.confirm(first.receipt).await.unwrap_or_else(report);
    fresh.break_link().await;
    fresh.offer(NEXT).await;
    await_payload(&mut *source, NEXT).await;
}

async fn a_cancelled_next_loses_nothing(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(LINE).await;
    let mut source = fresh.open().await;
    for _ in 0..100 {
        let polled = {
            let mut next = pin!(source.next());
            std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await
        };
        if let Poll::Ready(Ok(Some(delivery))) = polled {
            if delivery.payload.ends_with(LINE) {
                return;
            }
            source.confirm(delivery.receipt).await.unwrap_or_else(report);
        }
    }
    await_payload(&mut *source, LINE).await;
}

async fn what_is_not_confirmed_comes_again(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(LINE).await;
    let mut source = fresh.open().await;
    await_payload(&mut *source, LINE).await;
    drop(source);
    let mut source = fresh.open().await;
    let again = await_payload(&mut *source, LINE).await;
    assert_eq!(again.known_prefix, 0, "nothing of it was confirmed");
}
