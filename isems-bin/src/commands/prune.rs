//! `isems prune [--dry-run]`.

use isems_core::{MeasurementRepo as _, NodePrune, PruneMode, RetentionPolicy};

use crate::{
    app,
    config::Settings,
    failure::Failure,
    output::{counted, say},
};

pub(super) async fn run(settings: &Settings, dry_run: bool) -> Result<(), Failure> {
    let policy = settings.require_retention()?;
    let repo = app::open_database(settings).await?;
    let mode = if dry_run { PruneMode::DryRun } else { PruneMode::Apply };
    let report = repo.prune(policy, app::clock().now(), mode).await;
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
    let mut reasons = Vec::new();
    if let Some(keep) = policy.keep_per_node.filter(|_| of.too_many > 0) {
        reasons.push(format!("{} beyond the newest {keep}", of.too_many));
    }
    if let Some(days) = policy.keep_days.filter(|_| of.too_old > 0) {
        reasons.push(format!("{} older than {days} days", of.too_old));
    }
    let word = if dry_run { "would remove" } else { "removed" };
    format!(
        "{}: {word} {} ({})",
        of.node,
        counted(of.too_many + of.too_old, "measurement"),
        reasons.join(", ")
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
