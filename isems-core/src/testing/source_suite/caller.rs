//! A caller of the source that keeps its own side of the port, and holds every
//! delivery against the source's.

use std::{collections::BTreeSet, future::poll_fn, task::Poll};

use super::SourceUnderTest;
use crate::{Delivery, NodeSource, SourceError, yield_now::yield_now};

pub(super) const LINE: &[u8] = b"Node-A;1;1748768945;ESP_2.0;3565;0;20.8;18.2;13.2;100;100;21.6;11.9;14.2;7.2;10;52.5;13.4;300\n";
pub(super) const NEXT: &[u8] = b"Node-B;1;1748769005;ESP_2.0;3561;0;20.8;18.2;13.2;100;100;21.8;11.9;14.1;7.2;10;52.5;13.4;300\n";

/// So often `next` may fail in a row without waiting for anything.
const FAILURES_AT_ONCE: usize = 1_000;
/// So many later deliveries may come before one that has to come again.
const PATIENCE: u32 = 8;

/// What may happen to a source between a delivery and its confirmation.
#[derive(Clone, Copy)]
pub(super) enum Interruption {
    /// The link breaks, and the source goes on over the next one.
    BrokenLink,
    /// The process ends, and the next one opens the source again.
    Restart,
}

pub(super) struct Caller<'a> {
    pub(super) world: &'a mut dyn SourceUnderTest,
    source: Box<dyn NodeSource>,
    /// Every line of what was confirmed.
    confirmed: BTreeSet<Vec<u8>>,
    markers: u32,
}

/// What a delivery holds that no confirmed one held before.
fn news(delivery: &Delivery) -> &[u8] {
    &delivery.payload[delivery.known_prefix..]
}

/// Whether a delivery brings this.
pub(super) fn brings(delivery: &Delivery, payload: &[u8]) -> bool {
    news(delivery).windows(payload.len()).any(|window| window == payload)
}

impl<'a> Caller<'a> {
    pub(super) async fn open(world: &'a mut dyn SourceUnderTest) -> Self {
        let source = world.open().await;
        Self { world, source, confirmed: BTreeSet::new(), markers: 0 }
    }

    pub(super) async fn interrupted(mut self, by: Interruption) -> Self {
        match by {
            Interruption::BrokenLink => self.world.break_link().await,
            Interruption::Restart => {
                let Self { world, source, confirmed, markers } = self;
                drop(source);
                let source = world.open().await;
                self = Self { world, source, confirmed, markers };
            }
        }
        self
    }

    /// The next delivery; failures in between are passed over.
    async fn next(&mut self) -> Delivery {
        let mut at_once = 0;
        loop {
            yield_now().await;
            let (waited, outcome) = {
                let mut next = self.source.next();
                match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
                    Poll::Ready(outcome) => (false, outcome),
                    Poll::Pending => (true, next.await),
                }
            };
            let error = match self.judged(outcome) {
                Ok(delivery) => return delivery,
                Err(error) => error,
            };
            at_once = if waited { 0 } else { at_once + 1 };
            assert!(
                at_once < FAILURES_AT_ONCE,
                "`next` failed {FAILURES_AT_ONCE} times in a row without waiting for anything \
                 ({error}): a source pauses between its failures"
            );
        }
    }

    /// Begins to wait for the next delivery and gives up at once.
    pub(super) async fn glance(&mut self) -> Option<Delivery> {
        yield_now().await;
        let polled = {
            let mut next = self.source.next();
            poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await
        };
        match polled {
            Poll::Ready(outcome) => self.judged(outcome).ok(),
            Poll::Pending => None,
        }
    }

    /// Holds what `next` gave against the port.
    fn judged(
        &self,
        outcome: Result<Option<Delivery>, SourceError>,
    ) -> Result<Delivery, SourceError> {
        let delivery = match outcome {
            Ok(Some(delivery)) => delivery,
            Ok(None) => panic!("the source was over before it delivered"),
            Err(error) if error.is_final() => panic!("the source gave up: {error}"),
            Err(error) => {
                println!("passed over: {error}");
                return Err(error);
            }
        };
        let (length, limit) = (delivery.payload.len(), self.world.max_payload());
        assert!(
            length <= limit,
            "a payload of {length} bytes was handed over, and `max_payload` is {limit}: \
             what is larger has to be refused or cut while it comes, or it fills the memory"
        );
        let known = delivery.payload.get(..delivery.known_prefix);
        let known = known.expect("`known_prefix` is longer than the payload");
        for line in known.split_inclusive(|byte| *byte == b'\n') {
            assert!(
                self.confirmed.contains(line),
                "`known_prefix` claims {:?}, which was never confirmed: it is lost",
                String::from_utf8_lossy(line)
            );
        }
        Ok(delivery)
    }

    pub(super) async fn confirm(&mut self, delivery: &Delivery) {
        let lines = delivery.payload.split_inclusive(|byte| *byte == b'\n');
        self.confirmed.extend(lines.map(<[u8]>::to_vec));
        if let Err(error) = self.source.confirm(delivery.receipt).await {
            println!("not confirmed: {error}");
        }
    }

    /// Waits for a delivery that brings `payload`. Those before it are
    /// confirmed, unless they hold what a case is about.
    pub(super) async fn take(&mut self, payload: &[u8]) -> Delivery {
        loop {
            let delivery = self.next().await;
            if brings(&delivery, payload) {
                return delivery;
            }
            if !brings(&delivery, LINE) && !brings(&delivery, NEXT) {
                self.confirm(&delivery).await;
            }
        }
    }

    /// Waits for a delivery that brings anything.
    pub(super) async fn take_news(&mut self) -> Delivery {
        loop {
            let delivery = self.next().await;
            if !news(&delivery).is_empty() {
                return delivery;
            }
            self.confirm(&delivery).await;
        }
    }

    /// Offers a line that was not there before, and gives everything up to the
    /// delivery that brings it. What holds none of `unstored` is confirmed.
    pub(super) async fn until_marker(&mut self, unstored: &[&[u8]]) -> Vec<Delivery> {
        self.markers += 1;
        let time = 1_748_770_000 + 60 * self.markers;
        let marker = format!(
            "Node-A;1;{time};ESP_2.0;3561;0;20.8;18.2;13.2;100;100;21.8;11.9;14.1;7.2;10;52.5;13.4;300\n"
        );
        self.world.offer(marker.as_bytes()).await;
        let mut came = Vec::new();
        loop {
            let delivery = self.next().await;
            if !unstored.iter().any(|payload| brings(&delivery, payload)) {
                self.confirm(&delivery).await;
            }
            let is_last = brings(&delivery, marker.as_bytes());
            came.push(delivery);
            if is_last {
                return came;
            }
        }
    }

    /// Sees that `payload` comes again, perhaps behind some later news.
    pub(super) async fn expect_again(&mut self, payload: &[u8]) {
        for _ in 0..PATIENCE {
            let came = self.until_marker(&[LINE, NEXT]).await;
            if came.iter().any(|delivery| brings(delivery, payload)) {
                return;
            }
        }
        panic!(
            "{:?} was not confirmed (others were) and did not come again, though {PATIENCE} later \
             deliveries did: it is lost",
            String::from_utf8_lossy(payload)
        );
    }
}
