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
            // Nobody is left to tell if this fails.
            let _ = told.print();
            return ExitCode::from(if misused { MISUSED } else { 0 });
        }
    };
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(mistakes) => return Failure::from(mistakes).report(),
    };

    use_one_crypto_provider();
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

    match start_runtime().and_then(|runtime| run(runtime, command, settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(runtime: Runtime, command: Command, settings: Settings) -> Result<(), Failure> {
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        signals::watch(shutdown.clone()).map_err(Failure::broken)?;
        commands::run(command, settings, shutdown).await
    });
    runtime.shutdown_timeout(LEFTOVERS);
    result
}

fn start_runtime() -> Result<Runtime, Failure> {
    runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::broken)
}

/// HTTP polling, MQTT and Sentry all take the process's default.
fn use_one_crypto_provider() {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
