//! Why a command failed, and its exit code.

use std::{error::Error, io, process::ExitCode};

use tracing::error;

use crate::{config::Mistakes, telemetry::tell};

/// The exit code of a mistake in the command line or the variables
/// (`EX_USAGE`).
pub(crate) const MISUSED: u8 = 64;

/// The exit code of `serve` if the database is damaged or not ours
/// (`EX_DATAERR`): to start it again would not mend that.
const REFUSED: u8 = 65;

/// The exit code if all was done but the results could not be written
/// (`EX_IOERR`).
const UNWRITTEN: u8 = 74;

/// The exit code of everything else that went wrong.
pub(crate) const FAILED: u8 = 1;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The variables hold mistakes.
    Misconfigured(Mistakes),
    /// The command did its work and found that the answer is no.
    Negative(String),
    /// The command did its work, but its results could not be written.
    Unwritten(io::Error),
    /// The database cannot be used, and only a person can mend that; reported
    /// to Sentry.
    Refused(Box<dyn Error + Send + Sync>),
    /// Something that should work did not; reported to Sentry.
    Broken(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// Something that should work did not.
    pub(crate) fn broken(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Broken(Box::new(error))
    }

    /// Tells people and Sentry; returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Misconfigured(mistakes) => {
                tell(&mistakes.to_string());
                ExitCode::from(MISUSED)
            }
            Self::Negative(why) => {
                tell(&format!("isems: {why}"));
                ExitCode::from(FAILED)
            }
            Self::Unwritten(error) => {
                tell(&format!(
                    "isems: the results could not be written to standard output: {error}"
                ));
                ExitCode::from(UNWRITTEN)
            }
            Self::Refused(error) => {
                error!("{}", with_causes(&*error));
                ExitCode::from(REFUSED)
            }
            Self::Broken(error) => {
                error!("{}", with_causes(&*error));
                ExitCode::from(FAILED)
            }
        }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Misconfigured(mistakes)
    }
}

impl From<isems_core::RepoError> for Failure {
    fn from(error: isems_core::RepoError) -> Self {
        Self::broken(error)
    }
}

/// An error with the causes beneath, each once: many libraries repeat them in
/// their own words.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(beneath) = cause {
        let line = beneath.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        cause = beneath.source();
    }
    text
}
