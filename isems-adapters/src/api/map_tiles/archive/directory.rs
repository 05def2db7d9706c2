//! The directories of an archive: which tile is where.
//!
//! They are searched as they are, number by number, and never taken apart: so
//! they need no memory but their bytes.

use super::{ArchiveError, Tile};

/// A directory, decompressed: how many entries there are, then the numbers of
/// their first tiles (each as its distance to the one before), then how many
/// tiles each stands for, then their lengths, then their offsets.
pub(super) struct Directory(Vec<u8>);

/// What a directory says of a tile.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// It is there, in the section of tiles.
    Tile {
        offset: u64,
        length: u64,
    },
    /// A further directory knows, there in the section of leaves.
    Leaf {
        offset: u64,
        length: u64,
    },
}

/// Numbers of seven bits a byte, the lowest first; the last byte has no high bit.
#[derive(Clone, Copy)]
struct Numbers<'a>(&'a [u8]);

const DAMAGED: ArchiveError = ArchiveError::Damaged("a directory cannot be understood");

/// The number of a tile: all zooms before its own, then along a Hilbert curve.
pub(super) fn id(tile: Tile) -> u64 {
    let mut id = ((1_u64 << (2 * tile.zoom)) - 1) / 3;
    let (mut x, mut y) = (tile.x, tile.y);
    for bit in (0..tile.zoom).rev() {
        let (east, south) = (x >> bit & 1 == 1, y >> bit & 1 == 1);
        let quarter = match (east, south) {
            (false, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
            (true, false) => 3,
        };
        id += quarter << (2 * bit);
        if !south {
            if east {
                // Counts from the other side, as far as the lower bits matter.
                (x, y) = (!x, !y);
            }
            (x, y) = (y, x);
        }
    }
    id
}

impl Directory {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Whether all of it can be understood.
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        self.find(u64::MAX).map(drop)
    }

    /// What it says of the tile of this number.
    pub(super) fn find(&self, id: u64) -> Result<Found, ArchiveError> {
        let mut ids = Numbers(&self.0);
        let count = ids.next()?;
        let (mut first, mut entry) = (0_u64, None);
        let mut at = 0_u64;
        for index in 0..count {
            at = at.checked_add(ids.next()?).ok_or(DAMAGED)?;
            if at <= id {
                (first, entry) = (at, Some(index));
            }
        }
        let Some(entry) = entry else { return Ok(Found::Nothing) };
        let mut runs = ids;
        let run = runs.nth(entry)?;
        runs.skip(count - entry - 1)?;
        let mut lengths = runs;
        let mut offsets = lengths;
        offsets.skip(count)?;
        let (mut offset, mut length) = (None, 0);
        for _ in 0..=entry {
            offset = match offsets.next()? {
                // It follows the one before, which the first cannot.
                0 => offset.and_then(|before: u64| before.checked_add(length)),
                more => Some(more - 1),
            };
            length = lengths.next()?;
        }
        match offset {
            Some(offset) if length > 0 => Ok(match run {
                0 => Found::Leaf { offset, length },
                run if id - first < run => Found::Tile { offset, length },
                _ => Found::Nothing,
            }),
            _ => Err(DAMAGED),
        }
    }
}

impl Numbers<'_> {
    fn next(&mut self) -> Result<u64, ArchiveError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(DAMAGED)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7F);
            // The tenth byte has room for one bit.
            if bits << shift >> shift != bits {
                return Err(DAMAGED);
            }
            number |= bits << shift;
            if *byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DAMAGED)
    }

    fn nth(&mut self, index: u64) -> Result<u64, ArchiveError> {
        self.skip(index)?;
        self.next()
    }

    fn skip(&mut self, count: u64) -> Result<(), ArchiveError> {
        (0..count).try_for_each(|_| self.next().map(drop))
    }
}
