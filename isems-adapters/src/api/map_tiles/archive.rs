//! A map in one file: a `PMTiles` archive, version 3, of pictures.
//!
//! Only the header, the root directory and what the metadata say of the map's
//! makers are kept in memory. A tile is looked for in the file each time, and
//! whatever the file says is bounded, so that a damaged one costs no more than
//! a good one.

mod attribution;
mod directory;
mod header;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer;

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    ops::RangeInclusive,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;

use self::{
    directory::{Directory, Found},
    header::{Coding, Header, Section},
};
use super::{LARGEST, Tile};
use crate::api::episode::Episode;

/// Compressed directories and metadata are smaller, in bytes.
const PACKED: u64 = 1024 * 1024;

/// Directories and metadata are smaller, in bytes.
const UNPACKED: u64 = 4 * 1024 * 1024;

/// How many directories lead to a tile at most; writers make two or three.
const DEPTH: usize = 5;

/// A file of map tiles (`PMTiles`, version 3) that are pictures.
#[derive(Clone)]
pub struct TileArchive(Arc<Open>);

struct Open {
    path: PathBuf,
    /// Stays the same file if another one is put at its path.
    file: File,
    header: Header,
    root: Directory,
    attribution: Option<String>,
    trouble: Episode,
}

/// Why a file is no archive whose tiles the page can draw.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system says so.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("is no PMTiles archive")]
    Foreign,
    /// It is of another version of the format.
    #[error("is a PMTiles archive of version {0}, and only version 3 can be read: convert it")]
    Version(u8),
    /// Its tiles are shapes, not pictures.
    #[error(
        "has vector tiles, and the page draws pictures only: make an archive of PNG, JPEG or \
         WebP tiles of it"
    )]
    Vector,
    /// Its tiles are of a kind (number of the format) that is not served.
    #[error("has tiles of kind {0}, which is none of PNG (2), JPEG (3) and WebP (4)")]
    Kind(u8),
    /// It is compressed in a way (number of the format) that is not understood.
    #[error("is compressed in way {0}; only none (1) and gzip (2) can be read")]
    Coding(u8),
    /// A part of the file is missing.
    #[error("is {is} bytes long and should be {should}: copy it once more")]
    Short {
        /// Its length in bytes.
        is: u64,
        /// Where what it tells of ends, in bytes.
        should: u64,
    },
    /// It contradicts itself or the format.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
}

impl TileArchive {
    /// Opens the file and reads all that is said of its tiles. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        // Looked at before it is opened: opening a pipe would wait for its writer.
        if !path.metadata()?.is_file() {
            return Err(ArchiveError::Foreign);
        }
        let file = File::open(path)?;
        let header = Header::read(&file)?;
        let root = directory(&file, &header, header.root, 0, header.root.length)?;
        root.check()?;
        let attribution = match header.metadata.length {
            0 => None,
            length => {
                let json = part(&file, header.metadata, 0, length, PACKED)?;
                attribution::of(&unpacked(json, header.inner, UNPACKED)?)?
            }
        };
        let (path, trouble) = (path.to_owned(), Episode::default());
        Ok(Self(Arc::new(Open { path, file, header, root, attribution, trouble })))
    }

    pub(super) fn zooms(&self) -> &RangeInclusive<u8> {
        &self.0.header.zooms
    }

    /// West, south, east and north in degrees, if it says where its tiles are.
    pub(super) fn bounds(&self) -> Option<[f64; 4]> {
        self.0.header.bounds
    }

    /// To whom the map is owed: a short text.
    pub(super) fn attribution(&self) -> Option<&str> {
        self.0.attribution.as_deref()
    }

    pub(super) fn media_type(&self) -> &'static str {
        self.0.header.media_type
    }

    /// A tile; `None` if the archive has none there. Trouble is logged, once
    /// in a while. Blocks.
    pub(super) fn read(&self, tile: Tile) -> Result<Option<Vec<u8>>, ArchiveError> {
        let Open { path, trouble, .. } = &*self.0;
        let read = self.0.tile(tile);
        match &read {
            Ok(_) => {
                trouble.ends();
            }
            // Without its place: that would tell where somebody looked.
            Err(error) if trouble.begins() => {
                tracing::error!(file = %path.display(), %error, "a map tile cannot be read");
            }
            Err(_) => {}
        }
        read
    }
}

impl Open {
    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, ArchiveError> {
        let header = &self.header;
        if !header.zooms.contains(&tile.zoom) {
            return Ok(None);
        }
        let id = directory::id(tile);
        let mut found = self.root.find(id)?;
        for _ in 1..DEPTH {
            let Found::Leaf { offset, length } = found else { break };
            found = directory(&self.file, header, header.leaves, offset, length)?.find(id)?;
        }
        match found {
            Found::Nothing => Ok(None),
            Found::Tile { offset, length } => {
                let tile = part(&self.file, header.tiles, offset, length, LARGEST)?;
                unpacked(tile, header.coding, LARGEST).map(Some)
            }
            Found::Leaf { .. } => Err(ArchiveError::Damaged("its directories have no end")),
        }
    }
}

impl fmt::Debug for TileArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Open { path, header, .. } = &*self.0;
        f.debug_struct("TileArchive").field("path", path).field("header", header).finish()
    }
}

fn directory(
    file: &File,
    header: &Header,
    section: Section,
    offset: u64,
    length: u64,
) -> Result<Directory, ArchiveError> {
    let bytes = part(file, section, offset, length, PACKED)?;
    unpacked(bytes, header.inner, UNPACKED).map(Directory::new)
}

/// Bytes of a section.
fn part(
    file: &File,
    section: Section,
    offset: u64,
    length: u64,
    most: u64,
) -> Result<Vec<u8>, ArchiveError> {
    let start = section.part(offset, length).ok_or(ArchiveError::Damaged(
        "it has directories or tiles outside of the parts of the file that are for them",
    ))?;
    if length > most {
        return Err(ArchiveError::Damaged("a part of it is longer than any is"));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// What was compressed, if it was; no more than `most` bytes.
fn unpacked(bytes: Vec<u8>, coding: Coding, most: u64) -> Result<Vec<u8>, ArchiveError> {
    match coding {
        Coding::None => Ok(bytes),
        Coding::Gzip => {
            let mut all = Vec::new();
            let read = MultiGzDecoder::new(&*bytes).take(most + 1).read_to_end(&mut all);
            match read {
                Ok(length) if length as u64 <= most => Ok(all),
                Ok(_) => Err(ArchiveError::Damaged("a part of it is longer than any is")),
                Err(_) => Err(ArchiveError::Damaged("a part of it cannot be decompressed")),
            }
        }
    }
}
