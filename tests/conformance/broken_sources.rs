//! Sources that break their port, each in one way: the suite must see it, or it
//! proves nothing of those that pass.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use isems_core::{
    Delivery, NodeSource, Receipt, SourceError, SourceId,
    testing::source_suite::{CASES, SourceUnderTest},
};
use tokio::{task::yield_now, time::timeout};

use crate::stranger_source::{Gateway, GatewaySource, World};

/// One way to break the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A receipt confirms everything that was handed over.
    ConfirmsEverything,
    /// A receipt confirms what was handed over up to that delivery.
    ConfirmsAllBefore,
    /// A receipt confirms nothing.
    ConfirmsNothing,
    /// What is handed over counts as confirmed at once.
    ConfirmsAtOnce,
    /// What was handed over by the same source before does not come again.
    NeverTwice,
    /// A delivery is taken before `next` returns it.
    LosesWhenDropped,
    /// `next` fails at once, whenever it is called.
    FailsAtOnce,
    /// `next` has something at once, whenever it is called, and never any news.
    BringsNoNewsAtOnce,
}

/// A good source with a flaw before it.
struct Flawed {
    source: Box<dyn NodeSource>,
    flaw: Flaw,
    handed_over: BTreeSet<Receipt>,
    payloads: HashSet<Vec<u8>>,
    empty: Option<Delivery>,
    calls: u64,
}

#[async_trait]
impl NodeSource for Flawed {
    fn id(&self) -> &SourceId {
        self.source.id()
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        self.calls += 1;
        assert!(self.calls < 3_000_000, "nothing stopped the loop over `next`");
        if self.flaw == Flaw::FailsAtOnce {
            let (from, what) = (self.id().clone(), "is away".to_owned());
            return Err(SourceError::Refused { from, what });
        }
        if let Some(empty) = &self.empty {
            return Ok(Some(empty.clone()));
        }
        loop {
            let Some(delivery) = self.source.next().await? else { return Ok(None) };
            self.handed_over.insert(delivery.receipt);
            let is_new = self.payloads.insert(delivery.payload.clone());
            match self.flaw {
                Flaw::NeverTwice if !is_new => continue,
                Flaw::ConfirmsAtOnce => self.source.confirm(delivery.receipt).await?,
                Flaw::LosesWhenDropped => yield_now().await,
                Flaw::BringsNoNewsAtOnce => {
                    self.empty = Some(Delivery { payload: Vec::new(), ..delivery.clone() });
                    return Ok(self.empty.clone());
                }
                _ => {}
            }
            return Ok(Some(delivery));
        }
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        let confirmed: Vec<_> = match self.flaw {
            Flaw::ConfirmsEverything => self.handed_over.iter().copied().collect(),
            Flaw::ConfirmsAllBefore => self.handed_over.range(..=receipt).copied().collect(),
            Flaw::ConfirmsNothing => Vec::new(),
            _ => vec![receipt],
        };
        for receipt in confirmed {
            self.handed_over.remove(&receipt);
            self.source.confirm(receipt).await?;
        }
        Ok(())
    }
}

/// The world of a good source, which the suite sees with a flaw.
struct FlawedWorld<W> {
    world: W,
    flaw: Flaw,
}

#[async_trait]
impl<W: SourceUnderTest> SourceUnderTest for FlawedWorld<W> {
    fn max_payload(&self) -> usize {
        self.world.max_payload()
    }

    async fn offer(&mut self, payload: &[u8]) {
        self.world.offer(payload).await;
    }

    async fn offer_from_another_node(&mut self, payload: &[u8]) {
        self.world.offer_from_another_node(payload).await;
    }

    async fn open(&mut self) -> Box<dyn NodeSource> {
        Box::new(Flawed {
            source: self.world.open().await,
            flaw: self.flaw,
            handed_over: BTreeSet::new(),
            payloads: HashSet::new(),
            empty: None,
            calls: 0,
        })
    }

    async fn break_link(&mut self) {
        self.world.break_link().await;
    }

    async fn add_dead_node(&mut self) {
        self.world.add_dead_node().await;
    }

    async fn offer_too_much_then(&mut self, too_much: &[u8], payload: &[u8]) {
        self.world.offer_too_much_then(too_much, payload).await;
    }
}

/// What the suite says of a world in one of its cases, if it does not pass.
async fn objection(mut world: impl SourceUnderTest + 'static, case: &str) -> Option<String> {
    let case = *CASES.iter().find(|known| known.name() == case).expect("there is such a case");
    let run = tokio::spawn(async move { case.run(&mut world).await });
    let ended = timeout(Duration::from_secs(30), run).await.expect("the case ends");
    let panic = ended.err()?.into_panic();
    let said = panic.downcast_ref::<String>().cloned();
    said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
}

/// Whether the case that is about a flaw finds it in a world, and says so.
pub(crate) async fn is_caught(
    world: impl SourceUnderTest + 'static,
    flaw: Flaw,
    case: &str,
    words: &str,
) {
    let said = objection(FlawedWorld { world, flaw }, case).await;
    let said = said.unwrap_or_else(|| panic!("{flaw:?} is not caught by {case}"));
    assert!(said.contains(words), "{flaw:?} is caught by {case}, but it says: {said}");
}

/// Flaws that every kind of source can have, the case that is about each, and
/// what it says.
pub(crate) const COMMON: [(Flaw, &str, &str); 6] = [
    (Flaw::ConfirmsEverything, "a_receipt_confirms_nothing_that_came_after", "it is lost"),
    (Flaw::ConfirmsAllBefore, "a_receipt_confirms_nothing_that_came_before", "it is lost"),
    (Flaw::ConfirmsNothing, "what_is_confirmed_comes_no_more_when_opened_again", "does nothing"),
    (Flaw::ConfirmsNothing, "what_is_confirmed_comes_no_more_over_the_next_link", "does nothing"),
    (Flaw::ConfirmsAtOnce, "what_is_not_confirmed_comes_again_when_opened_again", "it is lost"),
    (Flaw::ConfirmsAtOnce, "what_is_not_confirmed_comes_again_over_the_next_link", "it is lost"),
];

#[tokio::test]
async fn the_suite_catches_a_strangers_source_that_breaks_its_port() {
    let own = [
        (Flaw::NeverTwice, "what_is_not_confirmed_comes_again_over_the_next_link", "it is lost"),
        (Flaw::FailsAtOnce, "a_dead_node_stalls_nobody", "pauses between its failures"),
    ];
    for (flaw, case, words) in COMMON.into_iter().chain(own) {
        is_caught(World::default(), flaw, case, words).await;
    }
}

/// A world whose source takes whatever comes.
struct Boundless(World);

#[async_trait]
impl SourceUnderTest for Boundless {
    fn max_payload(&self) -> usize {
        self.0.max_payload()
    }

    async fn offer(&mut self, payload: &[u8]) {
        self.0.offer(payload).await;
    }

    async fn open(&mut self) -> Box<dyn NodeSource> {
        let gateway: &Gateway = &self.0.gateway;
        Box::new(GatewaySource::open(gateway, usize::MAX))
    }

    async fn break_link(&mut self) {
        self.0.break_link().await;
    }

    async fn add_dead_node(&mut self) {
        self.0.add_dead_node().await;
    }

    async fn offer_too_much_then(&mut self, too_much: &[u8], payload: &[u8]) {
        self.0.offer_too_much_then(too_much, payload).await;
    }
}

#[tokio::test]
async fn the_suite_catches_a_source_without_a_limit() {
    let case = "too_much_from_a_node_is_not_handed_over_and_does_not_end_the_source";
    let said = objection(Boundless(World::default()), case).await.expect("it is caught");
    assert!(said.contains("a payload of 4097 bytes was handed over"), "{said}");
}

/// Without waiting it cannot pass, so that only the runtime's limit is left.
#[tokio::test]
async fn a_timeout_fires_though_the_source_never_waits() {
    let mut world = FlawedWorld { world: World::default(), flaw: Flaw::BringsNoNewsAtOnce };
    let case = CASES.iter().find(|case| case.name() == "a_broken_link_is_mended").unwrap();
    let run = timeout(Duration::from_millis(20), case.run(&mut world)).await;
    assert!(run.is_err(), "the case passed");
}

/// Polled and dropped until the delivery is gone.
#[tokio::test]
async fn a_cancelled_next_that_loses_its_delivery_does_not_pass() {
    let mut world = FlawedWorld { world: World::default(), flaw: Flaw::LosesWhenDropped };
    let case = CASES.iter().find(|case| case.name() == "a_cancelled_next_loses_nothing").unwrap();
    let run = timeout(Duration::from_millis(200), case.run(&mut world)).await;
    assert!(run.is_err(), "the case passed");
}
