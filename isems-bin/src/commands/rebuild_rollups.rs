//! `isems rebuild-rollups`.

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{HistoryRange, MeasurementReader as _, MeasurementRepo as _, NodeId, RepoError};

use crate::{
    app,
    config::Settings,
    failure::Failure,
    output::{Progress, counted, say},
};

pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let repo = app::open_database(settings).await?;
    let rebuilt = rebuild(&repo).await;
    repo.close().await;
    say(format_args!("Rebuilt the rollups of {}", counted(rebuilt?, "node")));
    Ok(())
}

/// Returns the number of nodes.
async fn rebuild(repo: &SqliteRepo) -> Result<u64, RepoError> {
    let nodes: Vec<NodeId> =
        repo.latest(None).await?.into_iter().map(|newest| newest.measurement.node).collect();
    let progress = Progress::new(nodes.len() as u64, "nodes");
    for node in &nodes {
        let hours = rebuild_node(repo, node).await.inspect_err(|_| progress.finish())?;
        progress.say(format_args!("{node}: {}", counted(hours, "hour")));
        progress.advance();
    }
    progress.finish();
    Ok(nodes.len() as u64)
}

async fn rebuild_node(repo: &SqliteRepo, node: &NodeId) -> Result<u64, RepoError> {
    repo.rebuild_rollups(node).await?;
    let rollups = repo.rollups(node, HistoryRange::ALL).await?;
    Ok(rollups.len() as u64)
}
