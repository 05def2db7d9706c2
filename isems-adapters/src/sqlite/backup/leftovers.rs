//! What backups that were killed left behind: as large as databases, and hidden.

use std::{
    fs::{self, DirEntry, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// How every database file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Removes incomplete copies from a folder: files that are named as such by a
/// process that runs no more, that our user owns, and that hold a database as
/// far as it goes. Whatever cannot be looked at or removed stays.
pub(super) fn remove(folder: &Path) {
    // Others' processes may be invisible; files are left to their owners.
    let Ok(us) = fs::metadata("/proc/self") else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(process_of) else { continue };
        let is_over = !Path::new("/proc").join(process.to_string()).exists();
        if !is_over || !is_incomplete_copy(&entry, us.uid()) {
            continue;
        }
        let path = entry.path();
        if fs::remove_file(&path).is_ok() {
            let _ = fs::remove_file(super::journal_of(&path));
            tracing::info!(path = %path.display(), "removed what a backup left that was cut short");
        }
    }
}

/// The process that wrote the file `.NAME.PROCESS.part`.
fn process_of(file: &str) -> Option<u32> {
    let (name, process) = file.strip_prefix('.')?.strip_suffix(".part")?.rsplit_once('.')?;
    let number: u32 = process.parse().ok()?;
    // Not `+7` or `007`, which we do not write.
    (!name.is_empty() && number.to_string() == process).then_some(number)
}

fn is_incomplete_copy(entry: &DirEntry, owner: u32) -> bool {
    // Of the entry itself, where that is a link.
    if !entry.metadata().is_ok_and(|entry| entry.is_file() && entry.uid() == owner) {
        return false;
    }
    let mut beginning = Vec::new();
    let Ok(file) = File::open(entry.path()) else { return false };
    let read = file.take(MAGIC.len() as u64).read_to_end(&mut beginning);
    // The first page is written last: until then there are zeros, or nothing.
    read.is_ok() && (beginning == MAGIC || beginning.iter().all(|byte| *byte == 0))
}
