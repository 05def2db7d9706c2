//! The log on standard error, and Sentry.

mod scrub;
mod sentry_options;
mod transport;

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};

use sentry::integrations::tracing::{BreadcrumbLayer, ErrorLayer};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use self::{sentry_options::sentry_options, transport::Reports};
use crate::config::{LogFormat, LogSettings, Settings};

/// Starts reporting to Sentry if a DSN is set. What is returned must live as
/// long as errors are to be reported: it sends what is left when it goes.
///
/// # Errors
/// If the machine has no root certificates, which an `https://` DSN needs.
pub(crate) fn start_sentry(
    settings: &Settings,
) -> Result<Option<sentry::ClientInitGuard>, reqwest::Error> {
    let (Some(dsn), Some(mut options)) = (&settings.sentry.dsn, sentry_options(settings)) else {
        return Ok(None);
    };
    options.transport = Some(Arc::new(Reports::to(dsn)?));
    Ok(Some(sentry::init(options)))
}

/// Starts the log: lines on standard error, errors to Sentry if that is on.
pub(crate) fn start_log(settings: &LogSettings) {
    // The filter was validated with the settings.
    let filter = EnvFilter::builder().parse_lossy(&settings.filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        // Whatever the log leaves out, errors are reported, with the warnings
        // that led to them; the rest stays here.
        .with(BreadcrumbLayer::new().with_filter(filter_fn(|of| *of.level() == Level::WARN)))
        .with(ErrorLayer::new().with_filter(LevelFilter::ERROR))
        .init();
}
