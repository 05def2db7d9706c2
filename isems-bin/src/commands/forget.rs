//! `isems forget NODE [--yes]`.

use std::io::{self, IsTerminal as _, Write as _};

use isems_adapters::sqlite::SqliteRepo;
use isems_core::{MeasurementReader as _, MeasurementRepo as _, NodeId};

use crate::{
    app,
    config::Settings,
    failure::Failure,
    output::{counted, say},
    suggest, telemetry,
};

pub(super) async fn run(settings: &Settings, node: &str, yes: bool) -> Result<(), Failure> {
    let repo = app::open_database(settings).await?;
    let known: Vec<NodeId> =
        repo.latest(None).await?.into_iter().map(|newest| newest.measurement.node).collect();
    let Some(id) = known.iter().find(|id| id.as_str() == node) else {
        finish(&repo, node).await?;
        return Err(Failure::Negative(unknown(node, &known)));
    };
    if !yes && !is_agreed(id).await? {
        return Err(Failure::Negative("nothing was removed".to_owned()));
    }
    let removed = repo.forget(id).await;
    repo.close().await;
    say(format_args!("Removed {id} and its {}", counted(removed?, "measurement")));
    Ok(())
}

/// Removes what is left of a node that has lost its name already, should its
/// removal have been cut short.
async fn finish(repo: &SqliteRepo, node: &str) -> Result<(), Failure> {
    if let Ok(id) = NodeId::new(node) {
        repo.forget(&id).await?;
    }
    Ok(())
}

fn unknown(node: &str, known: &[NodeId]) -> String {
    let near = suggest::near(node, known.iter().map(NodeId::as_str), 5);
    if near.is_empty() {
        format!("there is no node {node:?} in the database")
    } else {
        format!("there is no node {node:?} in the database; did you mean {}?", near.join(" or "))
    }
}

async fn is_agreed(node: &NodeId) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Negative(format!(
            "to remove {node} without being asked, say so with --yes: isems forget {} --yes",
            shell_word(node.as_str())
        )));
    }
    telemetry::settle();
    let question = format!("Remove {node} and all its measurements for ever? [y/N] ");
    let answer = tokio::task::spawn_blocking(move || {
        io::stderr().write_all(question.as_bytes())?;
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    })
    .await
    .map_err(Failure::broken)?
    .map_err(Failure::broken)?;
    Ok(is_yes(&answer))
}

/// As one word for a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.starts_with('-') && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes", "j", "ja"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_agrees() {
        for (answer, agreed) in [
            ("y\n", true),
            ("YES\r\n", true),
            ("ja", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yeah, no\n", false),
        ] {
            assert_eq!(is_yes(answer), agreed, "{answer:?}");
        }
    }

    #[test]
    fn a_node_is_one_word_of_the_command_that_is_told() {
        for (node, word) in [
            ("Elektra-Dach.2", "Elektra-Dach.2"),
            ("Haus am See", "'Haus am See'"),
            ("Müller's", r"'Müller'\''s'"),
        ] {
            assert_eq!(shell_word(node), word);
        }
    }

    #[test]
    fn an_unknown_node_is_named_with_those_that_are_near() {
        let known = ["Elektra-Dach", "Balkon"].map(|id| NodeId::new(id).unwrap());
        assert_eq!(
            unknown("elektra-dach", &known),
            "there is no node \"elektra-dach\" in the database; did you mean Elektra-Dach?"
        );
        assert_eq!(unknown("xyz", &known), "there is no node \"xyz\" in the database");
    }
}
