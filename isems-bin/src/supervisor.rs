//! Named tasks, and their end in stages.

use std::{collections::BTreeMap, future::Future, time::Duration};

use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// All stages of a shutdown, closing the database included, end within this.
pub(crate) const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(8);

/// What the first stage may take of it: the other needs its time, too.
const INTAKE_DEADLINE: Duration = Duration::from_secs(5);

/// In which stage of a shutdown a task is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// First: what takes in measurements stores and confirms what it holds.
    Intake,
    /// Then: the API answers the requests that it has.
    Api,
}

/// Why the process does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupervisorError {
    /// A task must run until it is asked to end, and did not.
    #[error("the task {task:?} ended unasked")]
    EndedUnasked {
        /// Its name.
        task: &'static str,
    },
    /// A task failed.
    #[error("the task {task:?} failed: {what}")]
    Failed {
        /// Its name.
        task: &'static str,
        /// What it said.
        what: String,
    },
    /// A task panicked.
    #[error("the task {task:?} panicked: {what}")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// The panic's message.
        what: String,
    },
    /// Tasks did not end in time.
    #[error("not ended in time and given up: {}", tasks.join(", "))]
    TooSlow {
        /// Their names.
        tasks: Vec<&'static str>,
    },
}

/// What a task ends with.
pub(crate) type TaskResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Runs named tasks until one ends or the process is asked to.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    tasks: JoinSet<TaskResult>,
    names: BTreeMap<Id, (&'static str, Stage, AbortHandle)>,
    intake: CancellationToken,
    api: CancellationToken,
}

impl Supervisor {
    /// What asks the tasks of a stage to end.
    pub(crate) fn token(&self, stage: Stage) -> CancellationToken {
        match stage {
            Stage::Intake => self.intake.clone(),
            Stage::Api => self.api.clone(),
        }
    }

    /// Starts a task. It has to run until the token of its stage is cancelled.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        stage: Stage,
        task: impl Future<Output = TaskResult> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), (name, stage, handle));
    }

    /// Waits for `work` unless a task ends before.
    ///
    /// # Errors
    /// Why the task ended.
    pub(crate) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, SupervisorError> {
        tokio::select! {
            done = work => Ok(done),
            Some((task, result)) = self.next_ended() => {
                Err(result.err().unwrap_or(SupervisorError::EndedUnasked { task }))
            }
        }
    }

    /// Waits until `shutdown` is asked for or a task ends, then ends all tasks
    /// in stages, by `SHUTDOWN_DEADLINE` at the latest.
    ///
    /// Returns the moment by which everything else has to be done, too.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub(crate) async fn run(
        mut self,
        shutdown: CancellationToken,
    ) -> (Instant, Result<(), SupervisorError>) {
        let unasked = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = self.next_ended() => ended.map(|(task, result)| {
                result.err().unwrap_or(SupervisorError::EndedUnasked { task })
            }),
        };
        if let Some(error) = &unasked {
            warn!(%error, "stopping: {error}");
        }
        let now = Instant::now();
        let deadline = now + SHUTDOWN_DEADLINE;
        let mut result = unasked.map_or(Ok(()), Err);
        for (stage, until) in [(Stage::Intake, now + INTAKE_DEADLINE), (Stage::Api, deadline)] {
            self.token(stage).cancel();
            let ended = self.end(stage, until).await;
            result = result.and(ended);
        }
        (deadline, result)
    }

    /// Waits for the tasks of `stage`; those of a later stage may end as well.
    async fn end(&mut self, stage: Stage, deadline: Instant) -> Result<(), SupervisorError> {
        let mut result = Ok(());
        while self.names.values().any(|(_, of, _)| *of == stage) {
            match timeout_at(deadline, self.next_ended()).await {
                Ok(Some((task, ended))) => {
                    debug!(task, "the task {task:?} ended");
                    if let Err(error) = ended {
                        warn!(%error, "while shutting down: {error}");
                        result = result.and(Err(error));
                    }
                }
                Ok(None) => break,
                Err(_elapsed) => {
                    let late = self.names.extract_if(.., |_, (_, of, _)| *of == stage);
                    let tasks = late.map(|(_, (name, _, task))| {
                        task.abort();
                        name
                    });
                    let error = SupervisorError::TooSlow { tasks: tasks.collect() };
                    warn!(%error, "while shutting down: {error}");
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    async fn next_ended(&mut self) -> Option<(&'static str, Result<(), SupervisorError>)> {
        let ended = loop {
            let ended = self.tasks.join_next_with_id().await?;
            // One that was given up is no news.
            if !ended.as_ref().is_err_and(JoinError::is_cancelled) {
                break ended;
            }
        };
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task = self.names.remove(&id).map_or("unknown", |(task, _, _)| task);
        let result = match ended {
            Ok((_, Ok(()))) => Ok(()),
            Ok((_, Err(error))) => Err(SupervisorError::Failed { task, what: error.to_string() }),
            Err(error) => Err(SupervisorError::Panicked { task, what: panic_message(error) }),
        };
        Some((task, result))
    }
}

fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".to_owned()),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    async fn until(token: CancellationToken) -> TaskResult {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_task_that_ends_unasked_stops_all_and_is_named() {
        let mut supervisor = Supervisor::default();
        let token = supervisor.token(Stage::Api);
        supervisor.spawn("api", Stage::Api, until(token));
        supervisor.spawn("polling", Stage::Intake, async { Ok(()) });
        let (_, result) = supervisor.run(CancellationToken::new()).await;
        assert_eq!(result.unwrap_err().to_string(), "the task \"polling\" ended unasked");
    }

    #[tokio::test]
    async fn a_task_that_fails_or_panics_is_named_with_its_reason() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("mqtt", Stage::Intake, async { Err("no more".into()) });
        let (_, result) = supervisor.run(CancellationToken::new()).await;
        assert_eq!(result.unwrap_err().to_string(), "the task \"mqtt\" failed: no more");

        let mut supervisor = Supervisor::default();
        supervisor.spawn("mqtt", Stage::Intake, async { panic!("a bug") });
        let (_, result) = supervisor.run(CancellationToken::new()).await;
        assert_eq!(result.unwrap_err().to_string(), "the task \"mqtt\" panicked: a bug");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_meanwhile_ends_with_a_task_that_fails() {
        let mut supervisor = Supervisor::default();
        assert_eq!(supervisor.meanwhile(async { 1 }).await.unwrap(), 1);
        supervisor.spawn("api", Stage::Api, async { Err("no more".into()) });
        let endless = supervisor.meanwhile(std::future::pending::<()>());
        let result = tokio::time::timeout(Duration::from_mins(1), endless).await.unwrap();
        assert_eq!(result.unwrap_err().to_string(), "the task \"api\" failed: no more");
    }

    #[tokio::test]
    async fn the_api_ends_only_after_the_intake() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut supervisor = Supervisor::default();
        for (name, stage) in [("api", Stage::Api), ("intake", Stage::Intake)] {
            let token = supervisor.token(stage);
            let order = Arc::clone(&order);
            supervisor.spawn(name, stage, async move {
                token.cancelled().await;
                // A stage that takes its time must still come first.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                order.lock().unwrap().push(name);
                Ok(())
            });
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let (_, result) = supervisor.run(shutdown).await;
        assert!(result.is_ok());
        assert_eq!(*order.lock().unwrap(), ["intake", "api"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_never_ends_is_given_up_and_the_next_stage_has_its_time() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("stuck", Stage::Intake, std::future::pending());
        let token = supervisor.token(Stage::Api);
        let drained = Arc::new(Mutex::new(false));
        let api = Arc::clone(&drained);
        supervisor.spawn("api", Stage::Api, async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            *api.lock().unwrap() = true;
            Ok(())
        });
        supervisor.spawn("stuck, too", Stage::Api, std::future::pending());
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let began = Instant::now();
        let (_, result) = supervisor.run(shutdown).await;
        assert!(began.elapsed() <= SHUTDOWN_DEADLINE + Duration::from_millis(10));
        assert!(*drained.lock().unwrap());
        let message = result.unwrap_err().to_string();
        assert_eq!(message, "not ended in time and given up: stuck");
    }
}
