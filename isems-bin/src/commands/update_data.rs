//! `isems update-data`: one polling round now.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use isems_adapters::http_polling::Schedule;
use isems_core::{DeliveryReport, SourceError, Tally};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, Presence},
    config::Settings,
    failure::Failure,
    intake::{IntakeError, Observer, Oddities, Patience, in_words},
    output::{Progress, counted, say},
};

/// Another process may hold the database for a while; a broken one stays so.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Failure> {
    let settings = settings.with_default_node()?;
    let repo = tokio::select! {
        opened = app::open_database_within(&settings, PATIENCE) => opened?,
        () = shutdown.cancelled() => return Err(interrupted()),
    };
    Presence::look(repo.path());
    let source = app::polling(&settings, Schedule::Once, &repo).await?;
    let round = Round::new(settings.polling.nodes.len());
    let lines = Box::new(round.clone());
    let (_source, result) =
        app::polling_intake(&settings, source, app::writer(&settings, &repo), lines)
            .with_patience(Patience::AtMost(PATIENCE))
            .run(shutdown.clone())
            .await;
    repo.close().await;
    round.finish(result, shutdown.is_cancelled())
}

fn interrupted() -> Failure {
    Failure::Negative("interrupted before every node was asked".to_owned())
}

/// What came of the round so far.
#[derive(Clone)]
struct Round {
    progress: Progress,
    counts: Arc<Mutex<Counts>>,
    oddities: Oddities,
}

#[derive(Debug, Default)]
struct Counts {
    nodes: usize,
    read: usize,
    tally: Tally,
}

impl Round {
    fn new(nodes: usize) -> Self {
        Self {
            progress: Progress::new(nodes as u64, "nodes"),
            counts: Arc::new(Mutex::new(Counts { nodes, ..Counts::default() })),
            oddities: Oddities::default(),
        }
    }

    fn finish(self, result: Result<(), IntakeError>, is_interrupted: bool) -> Result<(), Failure> {
        self.progress.finish();
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        say(format_args!("Inserted {}", counts.tally.stored));
        result.map_err(|error| match error {
            // The trouble behind it was told as an error when it began.
            IntakeError::NotStored(error) => Failure::Negative(error.to_string()),
            IntakeError::Source(_) => Failure::broken(error),
        })?;
        if is_interrupted {
            return Err(interrupted());
        }
        if counts.read == 0 {
            return Err(Failure::Negative(format!(
                "none of {} could be read",
                counted(counts.nodes as u64, "node")
            )));
        }
        Ok(())
    }

    fn line(&self, line: &str) {
        self.progress.say(line);
        self.progress.advance();
    }
}

impl Observer for Round {
    fn stored(&mut self, report: &DeliveryReport) {
        let DeliveryReport { source, tally, .. } = report;
        self.line(&format!("{source}: {}", in_words(tally)));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.read += usize::from(report.failure.is_none());
        counts.tally.add(tally);
        drop(counts);
        // After the line of the node that they belong to.
        self.oddities.tell(report);
    }

    fn failed(&mut self, error: &SourceError) {
        self.line(&format!("{}: {}", error.source_id(), error.describe()));
    }
}
