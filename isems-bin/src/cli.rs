//! Commands and help.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::variables;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "isems",
    version,
    about = "Gathers, keeps and serves the measurements of solar-powered mesh nodes.",
    after_help = AFTER_HELP,
    after_long_help = after_long_help(),
    arg_required_else_help = true,
    max_term_width = 100,
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the collector: the API, and what the variables ask for
    ///
    /// Serves the API on ISEMS_LISTEN, polls the nodes of ISEMS_ROUTER_IPS every
    /// ISEMS_POLL_INTERVAL, takes in what comes by way of MQTT_SERVER, and
    /// prunes once a day if ISEMS_KEEP_PER_NODE or ISEMS_KEEP_DAYS is set. What
    /// is not set is not done. SIGTERM or Ctrl-C ends it within 10 seconds with
    /// nothing in hand lost.
    Serve,
    /// Poll every node of ISEMS_ROUTER_IPS once
    ///
    /// Prints a line per node and "Inserted N" at the end. May run beside
    /// `isems serve`.
    UpdateData,
    /// Take in what nodes publish by MQTT, and nothing else
    Subscribe,
    /// Apply ISEMS_KEEP_PER_NODE and ISEMS_KEEP_DAYS once
    Prune {
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Take over the measurements of the old Python collector
    ///
    /// Reads the old collector's SQLite file without changing it. May be
    /// repeated: nothing is stored twice.
    ImportLegacy {
        /// The old collector's database file
        file: PathBuf,
    },
    /// Make the hourly history anew from the measurements that are there
    ///
    /// For databases from before it was kept. Hours from which measurements
    /// were pruned stay as they are. May run beside `isems serve`, and may be
    /// repeated.
    RebuildRollups,
    /// Show a small fleet of simulated nodes, collected and served
    ///
    /// Simulated nodes on the loopback interface, polled by the real collector
    /// into a database that is thrown away. Ctrl-C ends it.
    Demo,
    /// Write a consistent copy of the database while `isems serve` runs
    Backup {
        /// The copy, which must not exist yet
        file: PathBuf,
    },
    /// Remove a node and all its measurements
    Forget {
        /// The node's id, as the API shows it
        node: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print the settings in force, secrets hidden, or every mistake in them
    CheckConfig,
}

const AFTER_HELP: &str = "\
Results go to standard output, the log to standard error. `isems --help` explains every variable.

Exit codes: 0 done; 1 it could not be done; 64 a mistake in the command line or the variables;
65 `serve` cannot use the database; 74 the results could not be written.";

fn after_long_help() -> String {
    format!(
        "{variables}\n\
Results go to standard output, the log to standard error.\n\
\n\
Exit codes:\n  \
  0    done, or ended as asked (SIGTERM, Ctrl-C)\n  \
  1    it could not be done; the last lines say why\n  \
  64   a mistake in the command line or the variables; nothing was touched\n  \
  65   serve, subscribe: the database is damaged or not one of this program; it was not touched\n  \
  74   all was done, but its results could not be written to standard output\n  \
  130  ended by force: a second SIGTERM or Ctrl-C while shutting down\n",
        variables = variables::help()
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
