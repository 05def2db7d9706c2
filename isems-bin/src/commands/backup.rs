//! `isems backup FILE`.

use std::path::Path;

use isems_adapters::sqlite::backup;

use crate::{config::Settings, failure::Failure, output::say};

pub(super) async fn run(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let database = settings.database.path();
    backup(database, file).await?;
    let bytes = std::fs::metadata(file).map_err(Failure::broken)?.len();
    say(format_args!("Copied {} to {} ({bytes} bytes)", database.display(), file.display()));
    Ok(())
}
