//! `isems prune [--dry-run]`.

use std::sync::Arc;

use isems_core::{NodePrune, PruneMode, RetentionPolicy};

use crate::{
    app::{self, Pruning, reasons},
    config::Settings,
    failure::Failure,
    output::{counted, say},
};

pub(super) async fn run(settings: &Settings, dry_run: bool) -> Result<(), Failure> {
    let policy = settings.require_retention()?;
    let repo = app::open_database(settings).await?;
    let mode = if dry_run { PruneMode::DryRun } else { PruneMode::Apply };
    let writer = app::writer(settings, &repo);
    let pruning = Pruning::new(Arc::clone(&repo) as _, *policy, app::clock(), writer).await;
    let report = match pruning {
        Ok(pruning) => pruning.prune(mode).await,
        Err(error) => Err(error),
    };
    repo.close().await;
    let report = report?;
    for node in &report.nodes {
        say(line(node, policy, dry_run));
    }
    let word = if dry_run { "Would remove" } else { "Removed" };
    say(format_args!(
        "{word} {} of {}",
        counted(report.removed(), "measurement"),
        counted(report.nodes.len() as u64, "node")
    ));
    Ok(())
}

fn line(of: &NodePrune, policy: &RetentionPolicy, dry_run: bool) -> String {
    let word = if dry_run { "would remove" } else { "removed" };
    format!(
        "{}: {word} {} ({})",
        of.node,
        counted(of.too_many + of.too_old, "measurement"),
        reasons(policy, of.too_many, of.too_old)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_go_and_why() {
        let policy = RetentionPolicy { keep_per_node: Some(20_000), keep_days: Some(365) };
        let node = isems_core::NodeId::new("Elektra-Dach").unwrap();
        for (too_many, too_old, dry_run, expected) in [
            (3, 0, false, "Elektra-Dach: removed 3 measurements (3 beyond the newest 20000)"),
            (
                3,
                2,
                true,
                "Elektra-Dach: would remove 5 measurements (3 beyond the newest 20000, \
                 2 older than 365 days)",
            ),
        ] {
            let of = NodePrune { node: node.clone(), too_many, too_old };
            assert_eq!(line(&of, &policy, dry_run), expected);
        }
    }
}
