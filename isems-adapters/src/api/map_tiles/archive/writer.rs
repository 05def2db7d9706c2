//! Writes archives for the tests.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

use flate2::{Compression, write::GzEncoder};

use super::directory;
use crate::api::map_tiles::Tile;

/// What is to be in an archive.
pub(super) struct Writer {
    pub(super) tiles: Vec<(Tile, Vec<u8>)>,
    /// So many entries a directory has at most.
    pub(super) fan: usize,
    pub(super) gzip: bool,
    pub(super) kind: u8,
    pub(super) zooms: (u8, u8),
    /// West, south, east, north: 10^-7 degrees.
    pub(super) bounds: [i32; 4],
    pub(super) metadata: String,
}

/// First tile, offset, length, how many tiles (0: of a further directory).
pub(super) type Entry = (u64, u64, u64, u64);

impl Default for Writer {
    fn default() -> Self {
        Self {
            tiles: Vec::new(),
            fan: 1_000,
            gzip: true,
            kind: 2,
            zooms: (0, 6),
            bounds: [0; 4],
            metadata: "{}".to_owned(),
        }
    }
}

impl Writer {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut data: Vec<u8> = Vec::new();
        let sorted: BTreeMap<_, _> =
            self.tiles.iter().map(|(tile, bytes)| (directory::id(*tile), bytes)).collect();
        for (id, bytes) in sorted {
            let (offset, length) = (data.len() as u64, bytes.len() as u64);
            match entries.last_mut() {
                // The same once more: one entry for both.
                Some((first, at, _, run))
                    if *first + *run == id && data[usize::try_from(*at).unwrap()..] == **bytes =>
                {
                    *run += 1;
                }
                _ => {
                    data.extend_from_slice(bytes);
                    entries.push((id, offset, length, 1));
                }
            }
        }
        let mut leaves = Vec::new();
        while entries.len() > self.fan {
            let level: Vec<_> = entries.chunks(self.fan).collect();
            entries = level
                .into_iter()
                .map(|chunk| {
                    let leaf = self.packed(&serialised(chunk));
                    let offset = leaves.len() as u64;
                    leaves.extend_from_slice(&leaf);
                    (chunk[0].0, offset, leaf.len() as u64, 0)
                })
                .collect();
        }
        self.archive(&self.packed(&serialised(&entries)), &leaves, &data)
    }

    /// An archive of these parts, compressed already.
    pub(super) fn archive(&self, root: &[u8], leaves: &[u8], data: &[u8]) -> Vec<u8> {
        let metadata = self.packed(self.metadata.as_bytes());
        let mut bytes = b"PMTiles\x03".to_vec();
        let mut offset = 127;
        for part in [root, &metadata, leaves, data] {
            bytes.extend_from_slice(&u64::to_le_bytes(offset));
            bytes.extend_from_slice(&u64::to_le_bytes(part.len() as u64));
            offset += part.len() as u64;
        }
        bytes.resize(97, 0);
        bytes.extend([if self.gzip { 2 } else { 1 }, 1, self.kind, self.zooms.0, self.zooms.1]);
        bytes.extend(self.bounds.iter().flat_map(|degrees| degrees.to_le_bytes()));
        bytes.resize(127, 0);
        [&bytes, root, &metadata, leaves, data].concat()
    }

    pub(super) fn packed(&self, bytes: &[u8]) -> Vec<u8> {
        if !self.gzip {
            return bytes.to_vec();
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The file, and the folder that vanishes with it.
    pub(super) fn file(&self) -> (PathBuf, tempfile::TempDir) {
        file_of(&self.bytes())
    }
}

pub(super) fn file_of(bytes: &[u8]) -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.pmtiles");
    fs::write(&path, bytes).unwrap();
    (path, folder)
}

/// A directory of these entries, not yet compressed.
pub(super) fn serialised(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    number(&mut bytes, entries.len() as u64);
    let mut last = 0;
    for (id, ..) in entries {
        number(&mut bytes, id - last);
        last = *id;
    }
    for (.., run) in entries {
        number(&mut bytes, *run);
    }
    for (_, _, length, _) in entries {
        number(&mut bytes, *length);
    }
    let mut end = None;
    for (_, offset, length, _) in entries {
        number(&mut bytes, if end == Some(*offset) { 0 } else { offset + 1 });
        end = offset.checked_add(*length);
    }
    bytes
}

fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        bytes.push(u8::try_from(number & 0x7F).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}
