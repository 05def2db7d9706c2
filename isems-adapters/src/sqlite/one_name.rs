//! Whether a path leads to a plain file that has this one name.
//!
//! SQLite's write-ahead log lies beside the database and is called after it, so
//! each name of a file has a log of its own: what is written by two of them ruins
//! the file. A symbolic link is no name in this sense, SQLite follows it.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

use isems_core::RepoError;

/// Refuses what no database may be in; by its name only, nothing is opened.
///
/// # Errors
/// [`RepoError::Foreign`] if it is not a regular file (to open a pipe waits for
/// whoever writes into it), or has another name beside this one.
pub(super) fn demand(path: &Path, file: &Metadata) -> Result<(), RepoError> {
    let what = if !file.is_file() {
        not_a_file(path, file)
    } else if let Some(names) = names(file).filter(|names| *names > 1) {
        linked(path, names)
    } else if let Some(place) = mounted_at(path) {
        mounted(path, &place)
    } else {
        return Ok(());
    };
    Err(RepoError::Foreign { what })
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems do not tell")]
fn names(file: &Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::nlink(file))
}

#[cfg(not(unix))]
fn names(_file: &Metadata) -> Option<u64> {
    None
}

/// Where a path leads, if a file was mounted there by itself. Only Linux tells.
///
/// That a file's device differs from its folder's would not do: a bind mount
/// within one file system has the same, and the overlays of containers give
/// others to files that are not mounted.
fn mounted_at(path: &Path) -> Option<PathBuf> {
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    let real = path.canonicalize().ok()?;
    is_mount_point(&mounts, &real).then_some(real)
}

/// Whether a table as in `/proc/self/mountinfo` names a path as a mount point,
/// which is the fifth word of a line.
fn is_mount_point(mounts: &[u8], path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    let points = mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        words.nth(4)
    });
    points.map(unescaped).any(|point| point == path)
}

/// The kernel writes blanks and backslashes as `\` and three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match behind {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..] if *first == b'\\' => {
                (((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'), behind)
            }
            _ => (*first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    bytes
}

fn not_a_file(path: &Path, file: &Metadata) -> String {
    format!(
        "{} is {} and not a file; it was not opened. Let DATABASE_URL name a regular file, or one \
         that is not there yet",
        path.display(),
        kind(file)
    )
}

#[cfg(unix)]
fn kind(file: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;

    let kind = file.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind(file: &Metadata) -> &'static str {
    if file.is_dir() { "a folder" } else { "something else" }
}

fn linked(path: &Path, names: u64) -> String {
    format!(
        "{0} has {names} names (hard links), and by each SQLite would keep another write-ahead \
         log, which ruins the database; it was not opened. End whatever uses it, remove all names \
         but one, and let DATABASE_URL name that: `find FOLDER -xdev -samefile {0}` lists them, \
         FOLDER being where its file system begins (`df {0}`)",
        path.display()
    )
}

fn mounted(path: &Path, place: &Path) -> String {
    let names = if path == place {
        path.display().to_string()
    } else {
        format!("{} (that is {})", path.display(), place.display())
    };
    format!(
        "{names} is a file that was mounted by itself, and its write-ahead log, which lies beside \
         it, would not be the one at its other name, which ruins the database; it was not opened. \
         Mount the folder of the database and not the file, and let DATABASE_URL name the file in \
         there"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
90 22 254:0 /srv/d/h.db /srv/d/x/isems.db rw,relatime shared:1 master:2 - ext4 /dev/vda rw
91 22 254:0 /srv/d/h.db /srv/with\\040blank\\011tab\\134040\\012end/\xc3\xa4.db rw - ext4 /dev/vda rw
92 22 254:0 /srv/d/short";

    #[test]
    fn a_file_is_a_mount_point_if_the_fifth_word_of_a_line_names_it() {
        for (path, is_one) in [
            ("/srv/d/x/isems.db", true),
            ("/srv/with blank\ttab\\040\nend/ä.db", true),
            ("/", true),
            ("/srv/d/h.db", false), // what was mounted there, and may be used
            ("/srv/d/x/isems.db2", false),
            ("/srv/d/x", false),
            ("/srv/with\\040blank\\011tab\\134040\\012end/ä.db", false),
            ("/dev/vda", false),
            ("/srv/d/short", false),
            ("", false),
        ] {
            assert_eq!(is_mount_point(MOUNTS, Path::new(path)), is_one, "{path:?}");
        }
    }

    #[test]
    fn what_looks_like_an_escape_and_is_none_stays() {
        for (word, expected) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"\\040", b" "),
            (b"\\303\\244", b"\xc3\xa4"),
            (b"\\04", b"\\04"),
            (b"\\048", b"\\048"),
            (b"\\777", b"\\777"),
            (b"end\\", b"end\\"),
        ] {
            assert_eq!(unescaped(word), expected, "{word:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_of_its_mounts() {
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap();
        assert!(is_mount_point(&mounts, Path::new("/proc")));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("isems.db");
        std::fs::write(&file, "").unwrap();
        assert_eq!(mounted_at(&file), None);
    }
}
