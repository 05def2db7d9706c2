//! More than one collector on one database: allowed, and worth a warning.

use crate::support::{Isems, Node};

const WARNING: &str = "another collector";

fn warning_of(process: u32) -> String {
    format!("another collector (process {process}) writes to ")
}

#[test]
fn a_second_serve_on_one_database_is_told_of_the_first() {
    let isems = Isems::new();
    let first = isems.serve();
    let second = isems.serve();
    let told = second.wait_for_log(WARNING);
    assert!(told.contains(&warning_of(first.id())), "{told}");
    assert!(told.contains("isems.db: that is allowed"), "{told}");
}

#[test]
fn update_data_beside_serve_is_told_of_it_once_and_does_its_work() {
    let node = Node::with_log(crate::support::log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    let serving = Isems::with_database(isems.database()).serve();
    for inserted in ["Inserted 42", "Inserted 0"] {
        let told = isems.run(&["update-data"]).expect(0);
        assert_eq!(told.last_line(), inserted);
        assert!(told.stderr.contains(&warning_of(serving.id())), "{}", told.stderr);
        assert_eq!(told.stderr.matches(WARNING).count(), 1, "{}", told.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_collector_that_uses_a_link_to_the_database_is_known_to_one_that_does_not_and_back() {
    let isems = Isems::new();
    let link = crate::support::Database::new();
    std::os::unix::fs::symlink(isems.database().path(), link.path()).unwrap();
    let node = Node::with_log(crate::support::log("aa-ring"));
    let by_link = Isems::new().nodes([&node]).set("DATABASE_URL", &link.url());
    let isems = isems.nodes([&node]);

    for (first, second) in [(&by_link, &isems), (&isems, &by_link)] {
        let serving = first.serve();
        let told = second.run(&["update-data"]).expect(0).stderr;
        assert!(told.contains(&warning_of(serving.id())), "{told}");
        serving.stop().expect(0);
    }
    assert_eq!(std::fs::read_dir(link.folder()).unwrap().count(), 1, "only the link");
}

#[test]
fn who_is_alone_is_told_of_nobody() {
    let node = Node::with_log(crate::support::log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    // Also after one that could not take its leave.
    Isems::with_database(isems.database()).serve().kill();
    let told = isems.run(&["update-data"]).expect(0);
    assert!(!told.stderr.contains(WARNING), "{}", told.stderr);
    let told = isems.serve().stop().expect(0);
    assert!(!told.stderr.contains(WARNING), "{}", told.stderr);
}

#[test]
fn what_is_no_mark_of_a_collector_is_left_and_warned_of_once() {
    let isems = Isems::new();
    let mark = format!("{}-collector", isems.database().path().display());
    std::fs::write(&mark, "my notes").unwrap();

    let told = isems.serve().stop().expect(0);

    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "my notes");
    let warned: Vec<_> =
        told.stderr.lines().filter(|line| line.contains("no mark of a collector")).collect();
    let [warning] = &warned[..] else { panic!("one warning: {}", told.stderr) };
    assert!(warning.contains(&mark) && warning.contains("move it away"), "{warning}");
}
