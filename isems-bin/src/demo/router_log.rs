//! A router's log as it lies in RAM: grows line by line, is rotated when it is
//! full, and is gone after a reboot.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use isems_core::Timestamp;

use super::node::Event;

/// At so many lines the script compresses the log and begins a new one.
const ROTATED_AT: usize = 3_660;

/// A file as the router's web server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) body: Bytes,
    pub(super) modified: Timestamp,
    inode: u64,
}

impl File {
    /// The strong tag of uhttpd: inode, size and time of change.
    pub(super) fn etag(&self) -> String {
        format!("\"{:x}-{:x}-{:x}\"", self.inode, self.body.len(), self.modified.as_unix())
    }
}

/// The two files of a router.
#[derive(Debug, Default)]
pub(super) struct RouterLog {
    lines: usize,
    text: Vec<u8>,
    modified: Timestamp,
    inode: u64,
    rotated: Option<File>,
}

impl RouterLog {
    /// Takes in what the node tells.
    pub(super) fn record(&mut self, event: Event) {
        match event {
            Event::Booted => {
                self.begin_anew();
                self.rotated = None;
            }
            Event::Measured { at, line } => self.append(at, &line),
        }
    }

    /// The log; `None` before its first line: after a boot and, for about a
    /// minute, after a rotation.
    pub(super) fn current(&self) -> Option<File> {
        (self.lines > 0).then(|| File {
            body: Bytes::copy_from_slice(&self.text),
            modified: self.modified,
            inode: self.inode,
        })
    }

    /// The log before the last rotation, compressed.
    pub(super) fn rotated(&self) -> Option<File> {
        self.rotated.clone()
    }

    fn append(&mut self, at: Timestamp, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        self.lines += 1;
        self.modified = at;
        if self.lines >= ROTATED_AT {
            self.rotated =
                Some(File { body: compressed(&self.text), modified: at, inode: self.inode });
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.lines = 0;
        self.text.clear();
        self.inode += 4;
    }
}

fn compressed(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail; if it did, the node would have lost its
    // old log, as real ones do when their RAM is full.
    let written = encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default();
    Bytes::from(written)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, HashSet},
        hash::{BuildHasher as _, RandomState},
        io::Read as _,
    };

    use flate2::read::GzDecoder;

    use super::*;

    fn measure(log: &mut RouterLog, minute: usize) {
        let at = Timestamp::from_unix(1_750_000_000 + 61 * i64::try_from(minute).unwrap());
        let line = format!("Dach;1;{at};line {minute}");
        log.record(Event::Measured { at, line });
    }

    #[test]
    fn the_tag_changes_if_and_only_if_the_body_does() {
        let mut log = RouterLog::default();
        let hasher = RandomState::new();
        let mut bodies = BTreeMap::new();
        for minute in 0..2 * ROTATED_AT + 50 {
            measure(&mut log, minute);
            if minute == ROTATED_AT + 100 {
                log.record(Event::Booted);
            }
            for file in [log.current(), log.rotated()].into_iter().flatten() {
                let body = hasher.hash_one(&file.body);
                let known = bodies.insert(file.etag(), body);
                assert!(known.is_none_or(|known| known == body), "minute {minute}");
            }
        }
        let tags = bodies.len();
        let different: HashSet<_> = bodies.into_values().collect();
        assert_eq!(different.len(), tags, "a tag for each body");
    }

    #[test]
    fn a_full_log_is_gone_for_a_moment_and_whole_in_its_archive() {
        let mut log = RouterLog::default();
        for minute in 0..ROTATED_AT - 1 {
            measure(&mut log, minute);
        }
        let full = log.current().expect("a log").body;
        assert_eq!(log.rotated(), None);

        measure(&mut log, ROTATED_AT - 1);
        assert_eq!(log.current(), None, "404 until the next line");
        let mut archive = Vec::new();
        GzDecoder::new(&log.rotated().expect("an archive").body[..])
            .read_to_end(&mut archive)
            .expect("gzip");
        assert!(archive.starts_with(&full));
        assert_eq!(archive.split(|byte| *byte == b'\n').count() - 1, ROTATED_AT);

        measure(&mut log, ROTATED_AT);
        let fresh = log.current().expect("a new log").body;
        assert!(fresh.ends_with(b";line 3660\n") && fresh.len() < 60);
    }

    #[test]
    fn a_reboot_empties_the_memory() {
        let mut log = RouterLog::default();
        for minute in 0..=ROTATED_AT {
            measure(&mut log, minute);
        }
        log.record(Event::Booted);
        assert_eq!((log.current(), log.rotated()), (None, None));
    }
}
