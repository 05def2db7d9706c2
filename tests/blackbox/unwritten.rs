//! Results that cannot be written where somebody wants them.

use std::{fs::File, io::pipe};

use crate::support::{Isems, Node, Outcome, SOON, log};

/// Where no room is.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// The exit code and what was said.
fn run_into_a_full_disk(isems: &Isems, arguments: &[&str]) -> Outcome {
    let mut running = isems.start_into(arguments, full());
    let code = running.wait(SOON * 3).code();
    Outcome { code, stdout: String::new(), stderr: running.whole_log() }
}

#[test]
fn results_that_cannot_be_written_are_exit_code_74_and_what_was_done_stays() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    for arguments in [&["check-config"][..], &["update-data"], &["--help"]] {
        let told = run_into_a_full_disk(&isems, arguments).expect(74).stderr;
        let why = "the results could not be written to standard output: No space left";
        assert_eq!(told.matches(why).count(), 1, "{arguments:?}: {told}");
    }
    isems.database().wait_for_rows(42);
}

#[test]
fn a_reader_of_results_that_has_gone_is_no_failure() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    for arguments in [&["check-config"][..], &["update-data"], &["--help"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut running = isems.start_into(arguments, writer);
        let code = running.wait(SOON * 3).code();
        assert_eq!(code, Some(0), "{arguments:?}: {}", running.whole_log());
    }
}
