//! A folder of map tiles.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{LARGEST, MapTilesError, Tile, zoom};

/// A folder of map tiles, `ZOOM/X/Y.png` in it (Web Mercator, 256 pixels a
/// side).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileFolder {
    path: PathBuf,
    zooms: RangeInclusive<u8>,
}

impl TileFolder {
    pub(super) fn open(path: &Path) -> Result<Self, MapTilesError> {
        let mut zooms = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let zoom = entry.file_name().to_str().and_then(zoom);
            zooms.extend(zoom.filter(|_| entry.path().is_dir()));
        }
        let ends = zooms.iter().min().zip(zooms.iter().max());
        let (first, last) = ends.ok_or(MapTilesError::NoTiles)?;
        Ok(Self { path: path.to_owned(), zooms: *first..=*last })
    }

    pub(super) const fn zooms(&self) -> &RangeInclusive<u8> {
        &self.zooms
    }

    /// A tile of the folder; `None` if there is none. Blocks.
    pub(super) fn read(&self, tile: Tile) -> Option<Vec<u8>> {
        let Tile { zoom, x, y } = tile;
        let path = self.path.join(format!("{zoom}/{x}/{y}.png"));
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let metadata = path.metadata().ok()?;
        let fits = metadata.is_file() && metadata.len() <= LARGEST;
        fits.then(|| fs::read(path).ok()).flatten()
    }
}
