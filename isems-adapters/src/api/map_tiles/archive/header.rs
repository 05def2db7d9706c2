//! The first 127 bytes of an archive: where its parts are, and what they are.

use std::{fs::File, ops::RangeInclusive, os::unix::fs::FileExt as _};

use super::ArchiveError;
use crate::api::map_tiles::DEEPEST;

const LENGTH: usize = 127;

/// What archives begin with, before the number of the version.
const MAGIC: &[u8] = b"PMTiles";

/// What an archive says of itself.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) root: Section,
    pub(super) metadata: Section,
    pub(super) leaves: Section,
    pub(super) tiles: Section,
    /// How directories and metadata are compressed.
    pub(super) inner: Coding,
    /// How tiles are compressed.
    pub(super) coding: Coding,
    pub(super) media_type: &'static str,
    pub(super) zooms: RangeInclusive<u8>,
    /// West, south, east and north in degrees; `None` if it does not say.
    pub(super) bounds: Option<[f64; 4]>,
}

/// A part of the file, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    None,
    Gzip,
}

impl Header {
    /// The header of a file whose parts are all there.
    pub(super) fn read(file: &File) -> Result<Self, ArchiveError> {
        let is = file.metadata()?.len();
        let mut bytes = [0; LENGTH];
        // What is shorter than a header may be part of one, or something else.
        let there = usize::try_from(is).unwrap_or(LENGTH).min(LENGTH);
        file.read_exact_at(&mut bytes[..there], 0)?;
        if !bytes.starts_with(MAGIC) {
            return Err(ArchiveError::Foreign);
        }
        let header = Self::of(&bytes)?;
        let should = header.end().ok_or(ArchiveError::Damaged("its parts have no end"))?;
        if is < should {
            return Err(ArchiveError::Short { is, should });
        }
        Ok(header)
    }

    fn of(bytes: &[u8; LENGTH]) -> Result<Self, ArchiveError> {
        if bytes[7] != 3 {
            return Err(ArchiveError::Version(bytes[7]));
        }
        let media_type = match bytes[99] {
            1 => return Err(ArchiveError::Vector),
            2 => "image/png",
            3 => "image/jpeg",
            4 => "image/webp",
            other => return Err(ArchiveError::Kind(other)),
        };
        let zooms = bytes[100]..=bytes[101].min(DEEPEST);
        if zooms.is_empty() {
            return Err(ArchiveError::Damaged("it says that it has tiles of no zoom"));
        }
        Ok(Self {
            root: section(bytes, 8),
            metadata: section(bytes, 24),
            leaves: section(bytes, 40),
            tiles: section(bytes, 56),
            inner: coding(bytes[97])?,
            // Some writers leave this unknown: pictures are compressed by themselves.
            coding: if bytes[98] == 0 { Coding::None } else { coding(bytes[98])? },
            media_type,
            zooms,
            bounds: bounds([102, 106, 110, 114].map(|at| degrees(bytes, at))),
        })
    }

    /// The number of bytes that a file of this header has at least; `None` if no
    /// file can be so long.
    fn end(&self) -> Option<u64> {
        let sections = [self.root, self.metadata, self.leaves, self.tiles];
        let used = sections.into_iter().filter(|section| section.length > 0);
        let ends = used.map(|section| section.offset.checked_add(section.length));
        ends.chain([Some(LENGTH as u64)]).try_fold(0, |last, end| Some(end?.max(last)))
    }
}

impl Section {
    /// Where a part of the section is in the file; `None` if it is not within.
    pub(super) fn part(self, offset: u64, length: u64) -> Option<u64> {
        let end = offset.checked_add(length)?;
        if end > self.length {
            return None;
        }
        self.offset.checked_add(offset)
    }
}

fn section(bytes: &[u8; LENGTH], at: usize) -> Section {
    Section { offset: number(bytes, at), length: number(bytes, at + 8) }
}

fn number(bytes: &[u8; LENGTH], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

fn degrees(bytes: &[u8; LENGTH], at: usize) -> f64 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    f64::from(i32::from_le_bytes(four)) / 1e7
}

fn coding(number: u8) -> Result<Coding, ArchiveError> {
    match number {
        1 => Ok(Coding::None),
        2 => Ok(Coding::Gzip),
        other => Err(ArchiveError::Coding(other)),
    }
}

/// Bounds that are some: writers that do not know them leave zeros.
fn bounds(bounds: [f64; 4]) -> Option<[f64; 4]> {
    let [west, south, east, north] = bounds;
    let within = west >= -180.0 && east <= 180.0 && south >= -90.0 && north <= 90.0;
    (within && west < east && south < north).then_some(bounds)
}
