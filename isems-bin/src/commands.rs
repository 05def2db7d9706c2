//! What each command does.

mod backup;
mod forget;
mod import_legacy;
mod prune;
mod rebuild_rollups;
mod update_data;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    app::{self, Parts},
    cli::Command,
    config::Settings,
    failure::Failure,
    output::say,
};

/// Carries out a command; `shutdown` asks it to end early.
pub(crate) async fn run(
    command: Command,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    if !matches!(command, Command::Demo) {
        warn_of_a_temporary_folder(&settings);
    }
    match command {
        Command::Serve => app::serve(&settings, Parts::ALL, shutdown, |_| {}).await,
        Command::UpdateData => update_data::run(settings, shutdown).await,
        Command::Subscribe => {
            settings.require_broker()?;
            app::serve(&settings, Parts::MQTT, shutdown, |_| {}).await
        }
        Command::Prune { dry_run } => until(shutdown, prune::run(&settings, dry_run)).await,
        Command::ImportLegacy { file } => {
            until(shutdown, import_legacy::run(&settings, &file)).await
        }
        Command::RebuildRollups => until(shutdown, rebuild_rollups::run(&settings)).await,
        Command::Demo => {
            // The demo has a database of its own; a wrong one is told all the same.
            until(shutdown.clone(), app::check_database(&settings)).await?;
            crate::demo::run(&settings, shutdown).await
        }
        Command::Backup { file } => until(shutdown, backup::run(&settings, &file)).await,
        Command::Forget { node, yes } => until(shutdown, forget::run(&settings, &node, yes)).await,
        Command::CheckConfig => {
            say(settings.in_force.trim_end());
            until(shutdown, app::check_database(&settings)).await
        }
    }
}

/// Lets go of `work` when the process is asked to end; every one of them can be
/// repeated.
async fn until(
    shutdown: CancellationToken,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::select! {
        result = work => result,
        () = shutdown.cancelled() => Err(Failure::Negative(
            "interrupted; it can be repeated".to_owned(),
        )),
    }
}

fn warn_of_a_temporary_folder(settings: &Settings) {
    if settings.database.is_in_temporary_folder() {
        let database = settings.database.path().display();
        warn!(
            %database,
            "the database {database} lies in a temporary folder, which is emptied some day: let \
             DATABASE_URL name another place"
        );
    }
}
