//! `isems import-legacy FILE`.

use std::path::Path;

use isems_adapters::sqlite::legacy::import_legacy;

use crate::{
    app,
    config::Settings,
    failure::Failure,
    output::{Progress, say},
};

pub(super) async fn run(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let repo = app::open_database(settings).await?;
    let progress = Progress::new(0, "rows");
    let now = app::clock().now();
    let report = import_legacy(file, &*repo, &settings.zone, now, &mut |come| {
        progress.set(come.done, come.total);
    })
    .await;
    progress.finish();
    repo.close().await;
    say(report.map_err(Failure::broken)?);
    Ok(())
}
