use std::collections::{BTreeSet, VecDeque};

use async_trait::async_trait;

use crate::{Delivery, NodeSource, Receipt, SourceError, SourceId};

/// A source that plays a script and remembers what was confirmed.
#[derive(Debug)]
pub struct ScriptedSource {
    id: SourceId,
    script: VecDeque<Result<Delivery, SourceError>>,
    confirmed: BTreeSet<Receipt>,
}

impl ScriptedSource {
    /// A source that hands over these deliveries and failures in turn, with
    /// receipts 0, 1, 2, …, and then is over.
    #[must_use]
    pub fn new(id: &str, script: impl IntoIterator<Item = Result<Delivery, SourceError>>) -> Self {
        let number = |(receipt, step): (u64, Result<Delivery, SourceError>)| {
            step.map(|delivery| Delivery { receipt: Receipt(receipt), ..delivery })
        };
        Self {
            id: SourceId::new(id),
            script: (0..).zip(script).map(number).collect(),
            confirmed: BTreeSet::new(),
        }
    }

    /// The receipts that were confirmed.
    #[must_use]
    pub fn confirmed(&self) -> &BTreeSet<Receipt> {
        &self.confirmed
    }
}

#[async_trait]
impl NodeSource for ScriptedSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn next(&mut self) -> Result<Option<Delivery>, SourceError> {
        self.script.pop_front().transpose()
    }

    async fn confirm(&mut self, receipt: Receipt) -> Result<(), SourceError> {
        self.confirmed.insert(receipt);
        Ok(())
    }
}
