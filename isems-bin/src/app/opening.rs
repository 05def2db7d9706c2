//! Opens the database, however long that takes.

use std::{path::Path, pin::pin, sync::Arc, time::Duration};

use isems_adapters::sqlite::{SqliteReader, SqliteRepo};
use isems_core::RepoError;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, error, info, warn};

use super::early_reader::EarlyReader;
use crate::{
    failure::with_causes,
    intake::{News, Trouble, pause},
};

/// A database that is not open by then is read meanwhile, if it can be.
pub(super) const SOON: Duration = Duration::from_secs(3);

/// One that is still being opened by then is told of: longer than a lock is
/// waited for, which is told as such.
const LONG: Duration = Duration::from_secs(15);

/// So long it is tried to read what is there.
const READING: Duration = Duration::from_secs(10);

/// Opens the database for writing; waits as long as it is locked, full or
/// read-only, its place is not there, or its file system does not answer. `early`
/// reads by what is there.
///
/// # Errors
/// If what is there is damaged or not ours, which no waiting mends.
pub(super) async fn open(path: &Path, early: &EarlyReader) -> Result<SqliteRepo, RepoError> {
    let trouble = Trouble::default();
    let mut meanwhile: Option<SqliteReader> = None;
    let begun = Instant::now();
    let mut is_told = false;
    let mut failures: u32 = 0;
    loop {
        let long = Instant::now() + LONG;
        let mut attempt = pin!(attempt(path, meanwhile.clone()));
        let opened = if let Ok(opened) = timeout(SOON, &mut attempt).await {
            opened
        } else {
            read_meanwhile(path, early, &mut meanwhile).await;
            if let Ok(opened) = timeout_at(long, &mut attempt).await {
                opened
            } else {
                tell_of_waiting(path, is_told);
                is_told = true;
                attempt.await
            }
        };
        let cause = match opened {
            Ok(repo) => {
                early.open(Arc::new(repo.reader()));
                if is_told || failures > 0 {
                    let seconds = begun.elapsed().as_secs();
                    info!(seconds, "the database is open now, collecting begins");
                }
                return Ok(repo);
            }
            Err(cause @ (RepoError::Corrupt { .. } | RepoError::Foreign { .. })) => {
                return Err(cause);
            }
            Err(cause) => cause,
        };
        tell(&trouble, &cause, failures == 0);
        failures = failures.saturating_add(1);
        read_meanwhile(path, early, &mut meanwhile).await;
        sleep(pause(failures, false)).await;
    }
}

async fn attempt(path: &Path, beside: Option<SqliteReader>) -> Result<SqliteRepo, RepoError> {
    match beside {
        Some(reader) => SqliteRepo::open_beside(&reader).await,
        None => SqliteRepo::open(path).await,
    }
}

/// Sees to it that `early` has something to read, if there is something.
async fn read_meanwhile(path: &Path, early: &EarlyReader, reader: &mut Option<SqliteReader>) {
    if reader.is_some() {
        return;
    }
    match timeout(READING, SqliteReader::open(path)).await {
        Ok(Ok(opened)) => {
            early.meanwhile(Arc::new(opened.clone()));
            *reader = Some(opened);
        }
        Ok(Err(error)) => debug!(%error, "nothing can be read yet: {error}"),
        Err(_) => debug!("nothing can be read yet: {} does not answer", path.display()),
    }
}

/// Says that the database is neither open nor known to be in trouble; once.
fn tell_of_waiting(path: &Path, is_told: bool) {
    if !is_told {
        let database = path.display();
        warn!(
            %database,
            "{database} is not open yet, nothing is collected until it is: either its file system \
             does not answer (see `dmesg`, `mount`), or much has to be brought up to date in it"
        );
    }
}

/// Says that the database cannot be opened: once, as each error goes to Sentry.
fn tell(trouble: &Trouble, cause: &RepoError, first_time: bool) {
    let causes = with_causes(cause);
    match trouble.meets(&causes, first_time) {
        News::Begins => error!(
            %cause,
            "cannot open the database, trying again until it works (nothing is collected \
             meanwhile): {causes}"
        ),
        News::Changes => warn!(%cause, "still cannot open the database: {causes}"),
        News::Nothing => debug!(%cause, "still cannot open the database: {cause}"),
    }
}
