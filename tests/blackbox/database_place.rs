//! What stands where the database should be: a file with a second name, or no
//! file at all, is refused at once and left alone.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
};

use crate::support::{Database, Isems, Node, log};

fn url(path: &Path) -> String {
    format!("sqlite:///{}", path.display())
}

/// Every command that opens the database, and the code by which it refuses one.
const COMMANDS: [(&[&str], i32); 8] = [
    (&["serve"], 65),
    (&["subscribe"], 65),
    (&["update-data"], 1),
    (&["prune"], 1),
    (&["rebuild-rollups"], 1),
    (&["forget", "x", "--yes"], 1),
    (&["backup", "copy.db"], 1),
    (&["check-config"], 1),
];

/// Asserts that every command refuses what is at `path`, with `part` in words.
#[track_caller]
fn assert_all_refuse(isems: Isems, path: &Path, part: &str) {
    let isems = isems
        .set("DATABASE_URL", &url(path))
        .set("ISEMS_KEEP_DAYS", "9")
        .set("ISEMS_ROUTER_IPS", "127.0.0.1:1")
        .set("MQTT_SERVER", "127.0.0.1:1");
    for (command, code) in COMMANDS {
        let told = isems.run(command).expect(code).stderr;
        assert!(told.contains(part), "{command:?}: {told}");
        assert!(told.contains(&path.display().to_string()), "{command:?}: {told}");
        assert!(told.contains("it was not opened"), "{command:?}: {told}");
    }
}

#[test]
fn a_file_with_two_names_is_refused_by_every_command_and_left_as_it_was() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    isems.run(&["update-data"]).expect(0);
    let (path, other) = (isems.database().path(), isems.database().folder().join("other.db"));
    fs::hard_link(&path, &other).unwrap();
    let files = || fs::read_dir(isems.database().folder()).unwrap().count();
    let before = (fs::read(&path).unwrap(), files());

    assert_all_refuse(Isems::with_database(isems.database()), &path, "2 names (hard links)");
    assert_all_refuse(Isems::with_database(isems.database()), &other, "2 names (hard links)");

    assert_eq!((fs::read(&path).unwrap(), files()), before);

    // When it has one name again
    fs::remove_file(&path).unwrap();
    let isems = isems.set("DATABASE_URL", &url(&other));
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 0");
}

#[test]
fn a_name_that_a_running_collectors_file_gets_beside_does_no_harm_to_it() {
    let isems = Isems::new();
    let serving = isems.serve();
    let other = isems.database().folder().join("other.db");
    fs::hard_link(isems.database().path(), &other).unwrap();
    let node = Node::with_log(log("elektra-dach"));
    let isems = isems.nodes([&node]);

    for _ in 0..3 {
        Isems::with_database(isems.database())
            .nodes([&node])
            .set("DATABASE_URL", &url(&other))
            .run(&["update-data"])
            .expect(1);
    }

    assert_eq!(node.requests().len(), 0, "nobody is asked in vain");
    serving.stop().expect(0);
    fs::remove_file(&other).unwrap();
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 3660");
}

#[test]
fn a_symbolic_link_to_the_file_is_as_good_as_its_name() {
    let node = Node::with_log(log("aa-ring"));
    let isems = Isems::new().nodes([&node]);
    let link = Database::new();
    symlink(isems.database().path(), link.path()).unwrap();
    let by_link = Isems::new().nodes([&node]).set("DATABASE_URL", &link.url());

    // Before there is a file, and after.
    assert_eq!(by_link.run(&["update-data"]).expect(0).last_line(), "Inserted 42");
    assert_eq!(by_link.run(&["update-data"]).expect(0).last_line(), "Inserted 0");
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 0");
    assert_eq!(fs::read_dir(link.folder()).unwrap().count(), 1, "only the link");
}

#[test]
fn what_is_no_file_is_refused_by_every_command_without_being_opened() {
    type Make = fn(&Path);
    let make_pipe: Make = |at| {
        let made = Command::new("mkfifo").arg(at).status().unwrap();
        assert!(made.success());
    };
    let make_socket: Make = |at| drop(UnixListener::bind(at).unwrap());
    let make_device: Make = |at| symlink("/dev/zero", at).unwrap();
    let make_folder: Make = |at| fs::create_dir(at).unwrap();
    let cases = [
        (make_pipe, "a named pipe and not a file"),
        (make_socket, "a socket and not a file"),
        (make_device, "a device and not a file"),
        (make_folder, "a folder and not a file"),
    ];
    for (make, part) in cases {
        let isems = Isems::new();
        let path = isems.database().path();
        make(&path);

        assert_all_refuse(isems, &path, part);
    }
}
