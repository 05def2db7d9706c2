//! The soak: a fleet of simulated nodes, a real broker, the real collector and
//! its clients, for as long as is asked for, with faults at random from a
//! printed seed. At the end it proves that everything which was accepted is in
//! the database once, and nothing else; that memory stayed flat; that no task
//! died; and that the API answered whenever the process ran.
//!
//! `cargo test -p isems-bin --test soak -- 30m [--seed N]`
//!
//! Without a duration it runs for a few seconds with a fixed seed, so that
//! `cargo test` notices when it breaks. Everything happens on the loopback
//! interface, at ports that the system chooses; every wait is bounded.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod arguments;
mod broker;
mod clients;
mod collector;
mod counters;
mod faults;
mod fleet;
mod memory;
mod proof;
mod rng;
mod run;
mod summary;

use std::process::ExitCode;

use arguments::Wish;

fn main() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)) {
        Wish::Run(plan) => run::run(&plan),
        Wish::Nothing => ExitCode::SUCCESS,
        Wish::Help(why) => {
            eprintln!("{why}\n\n{}", arguments::USAGE);
            ExitCode::from(64)
        }
    }
}
