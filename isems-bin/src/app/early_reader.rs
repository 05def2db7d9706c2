//! What the API reads by: it answers before the database is open.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use isems_core::{
    Bucket, HistoryRange, Identity, MeasurementReader, NodeId, RepoError, SourceSummary,
    StoredMeasurement, Timestamp,
};

/// A reader that comes later, and another that helps out until then.
#[derive(Default)]
pub(super) struct EarlyReader(RwLock<Stage>);

#[derive(Default)]
enum Stage {
    /// Nothing can be read yet.
    #[default]
    Nothing,
    /// What can be read while the database cannot be opened for writing.
    Meanwhile(Arc<dyn MeasurementReader>),
    /// The real one.
    Open(Arc<dyn MeasurementReader>),
}

impl EarlyReader {
    /// Reads by `reader` until the database is open.
    pub(super) fn meanwhile(&self, reader: Arc<dyn MeasurementReader>) {
        self.set(Stage::Meanwhile(reader));
    }

    /// The database is open: reads by `reader` from now on.
    pub(super) fn open(&self, reader: Arc<dyn MeasurementReader>) {
        self.set(Stage::Open(reader));
    }

    fn set(&self, stage: Stage) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// What there is to read by, and what its answers are worth.
    fn now(&self) -> Result<(Arc<dyn MeasurementReader>, Worth), RepoError> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Stage::Nothing => Err(RepoError::Opening),
            Stage::Meanwhile(reader) => Ok((Arc::clone(reader), Worth::UntilOpen)),
            Stage::Open(reader) => Ok((Arc::clone(reader), Worth::All)),
        }
    }
}

#[derive(Clone, Copy)]
enum Worth {
    UntilOpen,
    All,
}

impl Worth {
    /// Whoever opens the database tells of the trouble that it has.
    fn of<T>(self, read: Result<T, RepoError>) -> Result<T, RepoError> {
        match (self, read) {
            (Self::UntilOpen, Err(error))
                if !matches!(error, RepoError::Corrupt { .. } | RepoError::Foreign { .. }) =>
            {
                Err(RepoError::Opening)
            }
            (_, read) => read,
        }
    }
}

#[async_trait]
impl MeasurementReader for EarlyReader {
    async fn latest(
        &self,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.latest(active_since).await)
    }

    async fn latest_page(
        &self,
        after: &str,
        limit: usize,
        active_since: Option<Timestamp>,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.latest_page(after, limit, active_since).await)
    }

    async fn each_latest(
        &self,
        active_since: Option<Timestamp>,
        show: &mut (dyn FnMut(StoredMeasurement) + Send),
    ) -> Result<(), RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.each_latest(active_since, show).await)
    }

    async fn find(
        &self,
        node: &NodeId,
        wanted: &[Identity],
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.find(node, wanted).await)
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.history(node, range, limit).await)
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.rollups(node, range).await)
    }

    async fn buckets(
        &self,
        node: &NodeId,
        range: HistoryRange,
        step: i64,
    ) -> Result<Vec<Bucket>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.buckets(node, range, step).await)
    }

    async fn pruned_until(&self, node: &NodeId) -> Result<Option<Timestamp>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.pruned_until(node).await)
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        let (reader, worth) = self.now()?;
        worth.of(reader.sources().await)
    }
}

#[cfg(test)]
mod tests {
    use isems_core::Reported;

    use super::*;

    /// Cannot read anything: there is no room, or what is there is damaged.
    struct Broken {
        is_damaged: bool,
    }

    impl Broken {
        fn error<T>(&self) -> Result<T, RepoError> {
            let what = "in this test".to_owned();
            Err(if self.is_damaged {
                RepoError::Corrupt { what, cause: None }
            } else {
                RepoError::Full { what, cause: None }
            })
        }
    }

    #[async_trait]
    impl MeasurementReader for Broken {
        async fn latest(&self, _: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError> {
            self.error()
        }

        async fn history(
            &self,
            _: &NodeId,
            _: HistoryRange,
            _: usize,
        ) -> Result<Vec<StoredMeasurement>, RepoError> {
            self.error()
        }

        async fn rollups(&self, _: &NodeId, _: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
            self.error()
        }

        async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
            self.error()
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_before_the_database_is_open_is_told_by_who_opens_it() {
        let early = EarlyReader::default();
        let full = Arc::new(Broken { is_damaged: false });
        let damaged = Arc::new(Broken { is_damaged: true });

        assert!(matches!(early.sources().await, Err(RepoError::Opening)));
        early.meanwhile(Arc::clone(&full) as _);
        assert!(matches!(early.sources().await, Err(RepoError::Opening)));
        early.meanwhile(damaged);
        assert!(matches!(early.sources().await, Err(RepoError::Corrupt { .. })));
        early.open(full);
        assert!(matches!(early.sources().await, Err(RepoError::Full { .. })));
    }

    /// Can do all by itself, without a look at all nodes or all of a history.
    struct Quick;

    #[async_trait]
    impl MeasurementReader for Quick {
        async fn latest(&self, _: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError> {
            panic!("all nodes are read")
        }

        async fn latest_page(
            &self,
            _: &str,
            _: usize,
            _: Option<Timestamp>,
        ) -> Result<Vec<StoredMeasurement>, RepoError> {
            Ok(Vec::new())
        }

        async fn each_latest(
            &self,
            _: Option<Timestamp>,
            _: &mut (dyn FnMut(StoredMeasurement) + Send),
        ) -> Result<(), RepoError> {
            Ok(())
        }

        async fn history(
            &self,
            _: &NodeId,
            _: HistoryRange,
            _: usize,
        ) -> Result<Vec<StoredMeasurement>, RepoError> {
            panic!("a history is read")
        }

        async fn find(
            &self,
            _: &NodeId,
            _: &[Identity],
        ) -> Result<Vec<StoredMeasurement>, RepoError> {
            Ok(Vec::new())
        }

        async fn rollups(&self, _: &NodeId, _: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
            panic!("all rollups are read")
        }

        async fn buckets(
            &self,
            _: &NodeId,
            _: HistoryRange,
            _: i64,
        ) -> Result<Vec<Bucket>, RepoError> {
            Ok(Vec::new())
        }

        async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn what_the_reader_can_do_by_itself_it_does() {
        let early = EarlyReader::default();
        early.open(Arc::new(Quick));
        let node = NodeId::new("A").unwrap();

        assert_eq!(early.latest_page("", 1, None).await.unwrap(), []);
        early.each_latest(None, &mut |_| {}).await.unwrap();
        let wanted = [(Timestamp::from_unix(0), Reported::Fingerprint(1))];
        assert_eq!(early.find(&node, &wanted).await.unwrap(), []);
        assert_eq!(early.buckets(&node, HistoryRange::ALL, 86_400).await.unwrap(), []);
    }
}
