//! The ISEMS collector: gathers, keeps and serves the measurements of
//! solar-powered mesh nodes.
//!
//! This file is the life of the process. Everything that plugs an adapter into
//! a port is in `app`.

mod app;
mod cli;
mod commands;
mod config;
mod demo;
mod failure;
mod intake;
mod output;
mod signals;
mod suggest;
mod supervisor;
mod telemetry;
#[cfg(test)]
mod test_support;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use tokio::runtime::{self, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    cli::{Cli, Command},
    config::Settings,
    failure::{Failure, MISUSED},
};

/// What a task that blocks is granted when everything else has ended.
const LEFTOVERS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let Cli { command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let misused = told.use_stderr();
            let printed = told.print();
            return match output::written(printed) {
                // Nobody is left to tell.
                _ if misused => ExitCode::from(MISUSED),
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.report(),
            };
        }
    };
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(mistakes) => return Failure::from(mistakes).report(),
    };

    use_one_crypto_provider();
    // Before anything is written.
    let started = start_runtime();
    telemetry::start_lines(settings.log.format);
    // Must live to the end: it sends what is left when it goes.
    let reports = telemetry::start_sentry(&settings);
    telemetry::start_log(&settings.log);
    if let Err(error) = &reports {
        warn!(
            "nothing is reported to Sentry, an https:// SENTRY_DSN needs this machine's root \
             certificates (Debian: ca-certificates): {}",
            failure::with_causes(error)
        );
    }
    for warning in &settings.warnings {
        warn!("{warning}");
    }

    let shutdown = CancellationToken::new();
    let (runtime, result) = match started {
        Ok(runtime) => {
            let result = runtime.block_on(run(command, settings, shutdown.clone()));
            (Some(runtime), result)
        }
        Err(failure) => (None, Err(failure)),
    };
    let code = match result.and_then(|()| output::all_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    };
    drop(reports);
    telemetry::finish(|| shutdown.is_cancelled());
    // Last: until then a signal can end it.
    if let Some(runtime) = runtime {
        runtime.shutdown_timeout(LEFTOVERS);
    }
    code
}

async fn run(
    command: Command,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    signals::watch(shutdown.clone()).map_err(Failure::broken)?;
    commands::run(command, settings, shutdown).await
}

/// Starts what runs the tasks; from then on no limit on the size of files ends
/// the process.
fn start_runtime() -> Result<Runtime, Failure> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::broken)?;
    let inside = runtime.enter();
    signals::outlive_the_file_size_limit().map_err(Failure::broken)?;
    drop(inside);
    Ok(runtime)
}

/// HTTP polling, MQTT and Sentry all take the process's default.
fn use_one_crypto_provider() {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
