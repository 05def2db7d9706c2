//! Ports meet adapters: the only place that names both in one breath.

mod early_reader;
mod open_files;
mod opening;
mod presence;
mod pruning;
mod serve;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use isems_adapters::{
    SystemClock,
    api::{ApiLimits, ApiSettings},
    http_polling::{HttpPolling, PollSettings, Schedule},
    mqtt::{MqttSettings, MqttSubscription},
    sqlite::{SqliteRepo, is_locked},
};
use isems_core::{Clock, Collector, MeasurementRepo, SourceKind, Timestamp};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::{
    config::{BrokerSettings, Settings},
    failure::Failure,
    intake::{Intake, Observer, Window, Writer},
};

pub(crate) use presence::Presence;
pub(crate) use pruning::{Pruning, reasons};
pub(crate) use serve::{Parts, serve};

/// Polled logs are large: so many share a transaction at most.
const LOGS_PER_COMMIT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// The clock of this machine.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Opens the database that the settings name.
///
/// # Errors
/// If it cannot be used; then it was not touched.
pub(crate) async fn open_database(settings: &Settings) -> Result<Arc<SqliteRepo>, Failure> {
    Ok(Arc::new(SqliteRepo::open(settings.database.path()).await?))
}

/// The same, trying for so long if another process holds it.
///
/// # Errors
/// If it cannot be used, or is still held then.
pub(crate) async fn open_database_within(
    settings: &Settings,
    patience: Duration,
) -> Result<Arc<SqliteRepo>, Failure> {
    const PAUSE: Duration = Duration::from_millis(250);
    let begun = Instant::now();
    loop {
        match SqliteRepo::open(settings.database.path()).await {
            Err(error) if is_locked(&error) && begun.elapsed() < patience => {
                warn!(%error, "waiting for the database, for {patience:?} at most: {error}");
                sleep(PAUSE).await;
            }
            opened => return Ok(Arc::new(opened?)),
        }
    }
}

/// Looks at the database that the settings name without touching it.
///
/// # Errors
/// If it is not ours to use.
pub(crate) async fn check_database(settings: &Settings) -> Result<(), Failure> {
    Ok(SqliteRepo::check(settings.database.path()).await?)
}

/// The one way into the repository for all intakes of this process.
pub(crate) fn writer(settings: &Settings, repo: &Arc<SqliteRepo>) -> Arc<Writer> {
    let repo: Arc<dyn MeasurementRepo> = Arc::clone(repo) as _;
    let collector =
        Collector::new(repo, built()).with_new_nodes_per_hour(settings.new_nodes_per_hour);
    Arc::new(Writer::new(collector, clock()))
}

/// When this program was built.
fn built() -> Timestamp {
    Timestamp::from_unix(env!("ISEMS_BUILT").parse().unwrap_or(0))
}

/// The nodes that the settings name, ready to be polled from where the
/// repository was left.
///
/// # Errors
/// If the repository cannot be read or the HTTP client not be set up.
pub(crate) async fn polling(
    settings: &Settings,
    schedule: Schedule,
    repo: &Arc<SqliteRepo>,
) -> Result<HttpPolling, Failure> {
    let of = &settings.polling;
    let how = PollSettings {
        nodes: of.nodes.clone(),
        concurrency: of.concurrency,
        timeout: of.timeout,
        interval: of.interval,
        schedule,
        body_limit: PollSettings::DEFAULT_BODY_LIMIT,
    };
    let positions = repo.read_positions().await?;
    let polling = HttpPolling::new(how, &positions, clock()).map_err(Failure::broken)?;
    Ok(polling.following(Arc::clone(repo) as _))
}

/// The intake from polled nodes.
pub(crate) fn polling_intake(
    settings: &Settings,
    source: HttpPolling,
    writer: Arc<Writer>,
    observer: Box<dyn Observer>,
) -> Intake<HttpPolling> {
    let window = Window::new(LOGS_PER_COMMIT, settings.commit_interval);
    Intake::new(source, SourceKind::Http, writer, window, observer)
}

/// The broker's subscription, connecting in the background.
///
/// # Errors
/// If the settings contradict each other or the CA file cannot be used.
fn subscription(of: &BrokerSettings) -> Result<MqttSubscription, Failure> {
    let mut settings = MqttSettings::new(of.address.clone(), of.topics.clone());
    settings.password = of.password.as_ref().map(|p| p.reveal().to_owned());
    settings.protocol = of.protocol;
    settings.client_id.clone_from(&of.client_id);
    settings.ca_file.clone_from(&of.ca_file);
    MqttSubscription::start(settings, clock()).map_err(Failure::broken)
}

/// The intake from the broker. It stores at once when the broker would not
/// send more without an acknowledgement.
fn mqtt_intake(
    settings: &Settings,
    source: MqttSubscription,
    writer: Arc<Writer>,
    observer: Box<dyn Observer>,
) -> Intake<MqttSubscription> {
    let in_flight = NonZeroUsize::new(source.window()).unwrap_or(NonZeroUsize::MIN);
    let window = Window::new(in_flight, settings.commit_interval);
    Intake::new(source, SourceKind::Mqtt, writer, window, observer)
}

/// Connections of the API that are always allowed.
const FEW_CONNECTIONS: usize = 8;

/// How the API is served. Its connections, and the files of the app that it has
/// open, leave half of what may be open to the intake and the database. What is under way when the program is to end
/// gets less time than by default: all stages share one deadline.
fn api_settings(settings: &Settings) -> ApiSettings {
    let default = ApiLimits::default();
    let half = open_files::limit().map_or(usize::MAX, |files| files / 2);
    let files = default.files.min(half / 4).max(1);
    let for_files = if settings.api.app_dir.is_some() { files } else { 0 };
    ApiSettings {
        cors_origin: settings.api.cors_origin.clone(),
        app_dir: settings.api.app_dir.clone(),
        map_tiles: settings.api.map_tiles.clone(),
        limits: ApiLimits {
            connections: default
                .connections
                .min(half.saturating_sub(for_files).max(FEW_CONNECTIONS)),
            files,
            drain_time: Duration::from_secs(3),
            ..default
        },
        ..ApiSettings::new(settings.api.listen, settings.zone.clone())
    }
}
