//! Where fuzzing begins: the fixtures, which real nodes sent.

use std::{env, fs, path::Path};

/// The folder that seeds are written to, if there is such a variable.
const FOLDER: &str = "ISEMS_FUZZ_SEEDS";

/// Writes the seeds of a target for libFuzzer to read.
///
/// # Panics
/// If they cannot be written.
pub fn plant(seeds: impl FnOnce() -> Vec<Vec<u8>>) {
    #[expect(clippy::disallowed_methods, reason = "no setting of the collector")]
    let Some(folder) = env::var_os(FOLDER) else { return };
    for (index, seed) in seeds().iter().enumerate() {
        let file = Path::new(&folder).join(format!("seed-{index:03}"));
        fs::write(&file, seed).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// Texts as seeds.
#[must_use]
pub fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The files of a folder of the fixtures whose names end so, sorted by name.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn fixtures(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")).join(folder);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    let contents: Vec<Vec<u8>> = files.iter().filter_map(|file| fs::read(file).ok()).collect();
    assert!(!contents.is_empty(), "no *{ending} in {}", folder.display());
    contents
}

/// The body of a recorded HTTP answer; all of it if it has no head.
#[must_use]
pub fn body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    head.map_or(answer, |at| &answer[at + 4..])
}

/// The first and last bytes of a file, cut at line ends: enough of it to begin
/// with.
#[must_use]
pub fn excerpt(file: &[u8]) -> Vec<u8> {
    const LINES: usize = 3;
    let lines: Vec<&[u8]> = file.split_inclusive(|&byte| byte == b'\n').collect();
    let end = lines.len().saturating_sub(LINES).max(LINES.min(lines.len()));
    [&lines[..LINES.min(lines.len())], &lines[end..]].concat().concat()
}
