//! The collector at work: which tasks run, and how they end.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use isems_adapters::{api::ApiServer, http_polling::Schedule, sqlite::SqliteRepo};
use isems_core::MeasurementReader;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Presence, Pruning, api_settings, clock, early_reader::EarlyReader, mqtt_intake, opening,
    polling, polling_intake, subscription, writer,
};
use crate::{
    config::{Settings, duration},
    failure::Failure,
    intake::{IntakeError, MinuteLog, OwnClock, RoundLog},
    output::counted,
    supervisor::{Stage, Supervisor, TaskResult},
};

/// Which parts of the collector run.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four parts, each on or off by itself")]
pub(crate) struct Parts {
    /// The API on `ISEMS_LISTEN`.
    pub(crate) api: bool,
    /// Polling, if nodes are named.
    pub(crate) polling: bool,
    /// MQTT, if a broker is named.
    pub(crate) mqtt: bool,
    /// Pruning, if a limit is set.
    pub(crate) pruning: bool,
}

impl Parts {
    /// All that the settings ask for.
    pub(crate) const ALL: Self = Self { api: true, polling: true, mqtt: true, pruning: true };

    /// Only the intake from the broker.
    pub(crate) const MQTT: Self = Self { api: false, polling: false, mqtt: true, pruning: false };
}

/// Runs the collector until `shutdown` is asked for, and ends it in stages.
/// `ready` hears where the API listens once it does.
///
/// A database that cannot be opened yet is waited for; the API answers what it
/// can meanwhile.
///
/// # Errors
/// If the database is not ours to use, something else cannot be started, a part
/// ends unasked, or the end takes too long.
pub(crate) async fn serve(
    settings: &Settings,
    parts: Parts,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), Failure> {
    // What was started before something failed ends with the supervisor.
    let mut supervisor = Supervisor::default();
    let opened = tokio::select! {
        opened = open(settings, parts, &mut supervisor, ready) => Some(opened?),
        () = shutdown.cancelled() => None,
    };
    if let Some(repo) = &opened {
        start(settings, parts, repo, &mut supervisor).await?;
    }
    let (deadline, result) = supervisor.run(shutdown).await;
    if let Some(repo) = opened
        && timeout_at(deadline, repo.close()).await.is_err()
    {
        warn!("the database was not closed in time; nothing that was stored is lost");
    }
    info!("ended");
    result.map_err(Failure::broken)
}

/// Opens the database and starts the API: after it, or before if that takes
/// its time.
async fn open(
    settings: &Settings,
    parts: Parts,
    supervisor: &mut Supervisor,
    ready: impl FnOnce(SocketAddr),
) -> Result<Arc<SqliteRepo>, Failure> {
    let early = Arc::new(EarlyReader::default());
    let mut opening = pin!(opening::open(settings.database.path(), &early));
    let refused = |refusal| Failure::Refused(Box::new(refusal));
    let soon = timeout(opening::SOON, &mut opening).await;
    let opened = soon.ok().transpose().map_err(refused)?;
    if parts.api {
        start_api(settings, Arc::clone(&early) as _, supervisor, ready).await?;
    }
    let repo = match opened {
        Some(repo) => repo,
        None => supervisor.meanwhile(opening).await.map_err(Failure::broken)?.map_err(refused)?,
    };
    info!(database = %repo.path().display(), "measurements are kept in {}", repo.path().display());
    Ok(Arc::new(repo))
}

async fn start(
    settings: &Settings,
    parts: Parts,
    repo: &Arc<SqliteRepo>,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    let writer = writer(settings, repo);
    if parts.polling || parts.mqtt {
        let (presence, stop) = (Presence::announce(repo.path()), supervisor.token(Stage::Intake));
        supervisor.spawn("presence", Stage::Intake, async move {
            presence.keep(stop).await;
            Ok(())
        });
    }
    if parts.pruning && !settings.retention.is_unlimited() {
        let (repo, writer) = (Arc::clone(repo) as _, Arc::clone(&writer));
        // Before anything is taken in.
        let pruning = Pruning::new(repo, settings.retention, clock(), writer).await?;
        start_pruning(pruning, settings, supervisor);
    }
    let own_clock = OwnClock::default();
    let nodes = settings.polling.nodes.len();
    if parts.polling && nodes > 0 {
        let source = polling(settings, Schedule::Every, repo).await?;
        let observer = Box::new(RoundLog::new(nodes, own_clock.clone()));
        let intake = polling_intake(settings, source, Arc::clone(&writer), observer);
        let stop = supervisor.token(Stage::Intake);
        supervisor.spawn("polling", Stage::Intake, async move {
            let (_source, result) = intake.run(stop).await;
            at_the_end(result)
        });
        let every = duration::show(settings.polling.interval);
        let counted = counted(nodes as u64, "node");
        info!(nodes, every, "polling {counted} every {every}");
    }
    if let Some(broker) = settings.broker.as_ref().filter(|_| parts.mqtt) {
        let observer = Box::new(MinuteLog::new(own_clock));
        let intake = mqtt_intake(settings, subscription(broker)?, writer, observer);
        let stop = supervisor.token(Stage::Intake);
        supervisor.spawn("mqtt", Stage::Intake, async move {
            let (source, result) = intake.run(stop).await;
            source.close().await;
            at_the_end(result)
        });
        let topics: Vec<String> = broker.topics.iter().map(ToString::to_string).collect();
        let topics = topics.join(", ");
        info!(broker = %broker.address, topics, "subscribing to {topics} at {}", broker.address);
    }
    if parts.polling && nodes == 0 && settings.broker.is_none() {
        warn!(
            "nothing is collected: neither ISEMS_ROUTER_IPS nor MQTT_SERVER is set; only the API \
             is served"
        );
    }
    Ok(())
}

/// That something could not be stored when the process was asked to end is no
/// failure: it was told when it began, and the nodes or the broker have it still.
fn at_the_end(result: Result<(), IntakeError>) -> TaskResult {
    match result {
        Err(IntakeError::NotStored(error)) => {
            warn!(%error, "{error}");
            Ok(())
        }
        result => Ok(result?),
    }
}

async fn start_api(
    settings: &Settings,
    reader: Arc<dyn MeasurementReader>,
    supervisor: &mut Supervisor,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), Failure> {
    let server = ApiServer::bind(api_settings(settings), reader, settings.activity, clock())
        .await
        .map_err(Failure::broken)?;
    let address = server.local_addr();
    info!(%address, "serving the API on http://{address}");
    let stop = supervisor.token(Stage::Api);
    supervisor.spawn("api", Stage::Api, async move { Ok(server.serve(stop).await?) });
    ready(address);
    Ok(())
}

fn start_pruning(pruning: Pruning, settings: &Settings, supervisor: &mut Supervisor) {
    let policy = settings.retention;
    let stop = supervisor.token(Stage::Intake);
    supervisor.spawn("pruning", Stage::Intake, async move {
        pruning.daily(stop).await;
        Ok(())
    });
    info!(keep_per_node = policy.keep_per_node, keep_days = policy.keep_days, "pruning once a day");
}
