//! The way to get measurements out of a damaged file, as the document tells it.

use std::{fs, path::Path, process::Command};

use crate::support::{Isems, Node, log};

const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");

/// Where the document has its database.
const FOLDER: &str = "/var/lib/isems";

/// What the document says to type, from a sentence of it to another: blocks of
/// whole commands.
fn blocks(from: &str, to: &str) -> Vec<Vec<String>> {
    let begin = OPERATIONS.find(from).unwrap();
    let length = OPERATIONS[begin..].find(to).unwrap();
    let mut blocks = vec![Vec::new()];
    for line in OPERATIONS[begin..begin + length].replace("\\\n", "").lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(command) => last.push(command.to_owned()),
            None if !last.is_empty() => blocks.push(Vec::new()),
            None => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// Types them, as the user whose files lie in `folder`; gives what they say.
fn type_in(folder: &Path, block: &[String]) -> String {
    let mut said = String::new();
    for command in block {
        let command = command
            .trim_start_matches("sudo ")
            .trim_start_matches("-u isems ")
            .replace(FOLDER, folder.to_str().unwrap());
        let out = Command::new("sh").args(["-c", &command]).output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "this test needs sqlite3, `{command}`: {told}");
        said.push_str(&String::from_utf8_lossy(&out.stdout));
    }
    said
}

/// Overwrites three leaves of measurements, as a failing card does.
fn damage(path: &Path) {
    const PAGE: usize = 4096;
    const LEAF: u8 = 0x0D;
    let mut bytes = fs::read(path).unwrap();
    let is_of_rows =
        |page: &&mut [u8]| page[0] == LEAF && page.windows(11).any(|part| part == b"ATmega8_A_1");
    let leaves: Vec<&mut [u8]> =
        bytes.chunks_mut(PAGE).filter(is_of_rows).skip(5).take(3).collect();
    assert_eq!(leaves.len(), 3);
    for leaf in leaves {
        leaf.fill(0xA5);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_can_be_read_is_salvaged_and_the_rest_comes_back_from_the_node() {
    // Given a node's log, and a database in which some of it can be read no more
    let node = Node::with_log(log("elektra-dach"));
    let isems = Isems::new().nodes([&node]);
    let folder = isems.database().folder().to_owned();
    assert_eq!(isems.run(&["update-data"]).expect(0).last_line(), "Inserted 3660");
    damage(&isems.database().path());

    // When all is typed that the document says, for an sqlite3 that cannot `.recover`
    let blocks = blocks("To get out what can be read:", "## The page, and a reverse proxy");
    let [_recover, dump, afterwards, at_last] = &blocks[..] else { panic!("{blocks:#?}") };
    assert_eq!(*at_last, ["sudo systemctl start isems", "isems-as rebuild-rollups"]);
    type_in(&folder, dump);
    let said = type_in(&folder, afterwards);

    // Then most is there
    let [sound, count] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    let count: u32 = count.parse().unwrap();
    assert!(sound == "ok" && (3000..3660).contains(&count), "{said}");

    // And the rest comes back, and counts once
    let url = format!("sqlite:///{}/salvaged.db", folder.display());
    let isems = isems.set("DATABASE_URL", &url);
    let told = isems.run(&["update-data"]).expect(0);
    assert_eq!(told.last_line(), format!("Inserted {}", 3660 - count));
    isems.run(&["rebuild-rollups"]).expect(0);
    let counted = format!("sqlite3 {FOLDER}/salvaged.db 'SELECT sum(count) FROM rollup'");
    assert_eq!(type_in(&folder, &[counted]).trim(), "3660");
}
