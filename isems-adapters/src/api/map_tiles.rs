//! What the map of the collector's page is drawn on.

use std::{
    fs, io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_json::json;

/// The background of the map on the collector's page (`ISEMS_MAP_TILES`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MapTiles {
    /// A plain grid of degrees: no tiles, and no host but the collector is
    /// asked for anything.
    #[default]
    Grid,
    /// The tiles of OpenStreetMap, which browsers fetch from its servers.
    OpenStreetMap,
    /// The tiles of a folder.
    Folder(TileFolder),
}

/// A folder of map tiles, `ZOOM/X/Y.png` in it (Web Mercator, 256 pixels a
/// side).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileFolder {
    path: PathBuf,
    zooms: RangeInclusive<u8>,
}

/// A text that names no tiles.
#[derive(Debug, thiserror::Error)]
pub enum MapTilesError {
    /// The folder cannot be read.
    #[error("cannot be read as a folder: {0}")]
    Folder(#[from] io::Error),
    /// The folder is not one of tiles.
    #[error("is a folder without tiles: they would be named ZOOM/X/Y.png, as in 12/2200/1343.png")]
    NoTiles,
}

/// One tile: zoom, column from the west, row from the north.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    zoom: u8,
    x: u32,
    y: u32,
}

/// Where browsers find OpenStreetMap's tiles.
const OPEN_STREET_MAP: &str = "https://tile.openstreetmap.org";

/// Deeper than any map goes.
const DEEPEST: u8 = 22;

/// Larger than any tile is.
const LARGEST: u64 = 1024 * 1024;

impl FromStr for MapTiles {
    type Err = MapTilesError;

    /// `osm`, or the path of a folder of tiles.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "osm" {
            return Ok(Self::OpenStreetMap);
        }
        TileFolder::open(Path::new(text)).map(Self::Folder)
    }
}

impl MapTiles {
    /// What the page must know to draw its map.
    pub(super) fn description(&self) -> String {
        let description = match self {
            Self::Grid => json!({ "tiles": null }),
            Self::OpenStreetMap => json!({
                "tiles": format!("{OPEN_STREET_MAP}/{{z}}/{{x}}/{{y}}.png"),
                "minZoom": 0,
                "maxZoom": 19,
                "openStreetMap": true,
            }),
            Self::Folder(folder) => json!({
                "tiles": "tiles/{z}/{x}/{y}.png",
                "minZoom": folder.zooms.start(),
                "maxZoom": folder.zooms.end(),
            }),
        };
        description.to_string()
    }

    /// What the page may load and from where (`Content-Security-Policy`).
    pub(super) fn policy(&self) -> String {
        let elsewhere = match self {
            Self::OpenStreetMap => format!(" {OPEN_STREET_MAP}"),
            Self::Grid | Self::Folder(_) => String::new(),
        };
        format!(
            "default-src 'self'; img-src 'self'{elsewhere}; object-src 'none'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self'"
        )
    }

    /// What other hosts learn of the page (`Referrer-Policy`). OpenStreetMap
    /// wants to know who uses its tiles.
    pub(super) const fn referrer_policy(&self) -> &'static str {
        match self {
            Self::OpenStreetMap => "strict-origin-when-cross-origin",
            Self::Grid | Self::Folder(_) => "no-referrer",
        }
    }

    /// A tile of the folder; `None` if there is none. Blocks.
    pub(super) fn read(&self, tile: Tile) -> Option<Vec<u8>> {
        let Self::Folder(folder) = self else { return None };
        let Tile { zoom, x, y } = tile;
        let path = folder.path.join(format!("{zoom}/{x}/{y}.png"));
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let metadata = path.metadata().ok()?;
        let fits = metadata.is_file() && metadata.len() <= LARGEST;
        fits.then(|| fs::read(path).ok()).flatten()
    }
}

impl TileFolder {
    fn open(path: &Path) -> Result<Self, MapTilesError> {
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
}

impl Tile {
    /// The tile of a path such as `12/2200/1343.png`.
    pub(super) fn at(path: &str) -> Option<Self> {
        let (zoom, rest) = path.strip_suffix(".png")?.split_once('/')?;
        let (x, y) = rest.split_once('/')?;
        let zoom = self::zoom(zoom)?;
        let within = |text| number(text).filter(|place| *place < 1 << zoom);
        Some(Self { zoom, x: within(x)?, y: within(y)? })
    }
}

fn zoom(text: &str) -> Option<u8> {
    u8::try_from(number(text)?).ok().filter(|zoom| *zoom <= DEEPEST)
}

/// A number as tiles are named: digits, and no zero before others.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(tiles: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for tile in tiles {
            let path = folder.path().join(tile);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "png").unwrap();
        }
        folder
    }

    #[test]
    fn only_tiles_have_the_path_of_one() {
        assert_eq!(Tile::at("0/0/0.png"), Some(Tile { zoom: 0, x: 0, y: 0 }));
        assert_eq!(Tile::at("12/2200/1343.png"), Some(Tile { zoom: 12, x: 2200, y: 1343 }));
        for path in [
            "",
            "0/0/0",
            "0/0/0.jpg",
            "0/0.png",
            "0/0/0/0.png",
            "1/2/0.png",
            "1/0/2.png",
            "23/0/0.png",
            "../0/0.png",
            "1/../0.png",
            "1/00/0.png",
            "1/+1/0.png",
            "1/-1/0.png",
        ] {
            assert_eq!(Tile::at(path), None, "{path}");
        }
    }

    #[test]
    fn a_folder_of_tiles_knows_its_zooms_and_gives_its_tiles() {
        let folder = folder_with(&["9/1/2.png", "11/3/4.png", "readme.txt", "fonts/a.ttf"]);
        let tiles: MapTiles = folder.path().to_str().unwrap().parse().unwrap();
        let description = tiles.description();
        assert!(description.contains(r#""minZoom":9"#), "{description}");
        assert!(description.contains(r#""maxZoom":11"#), "{description}");
        assert_eq!(tiles.read(Tile { zoom: 11, x: 3, y: 4 }).as_deref(), Some(&b"png"[..]));
        assert_eq!(tiles.read(Tile { zoom: 11, x: 4, y: 4 }), None);
        assert_eq!(tiles.read(Tile { zoom: 9, x: 1, y: 0 }), None);
    }

    #[test]
    fn what_names_no_tiles_is_refused() {
        let empty = folder_with(&["readme.txt"]);
        for (path, says) in [
            ("/does/not/exist", "cannot be read as a folder"),
            (empty.path().to_str().unwrap(), "without tiles"),
        ] {
            let error = path.parse::<MapTiles>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn only_open_street_map_is_loaded_from_elsewhere() {
        let folder = folder_with(&["0/0/0.png"]);
        let folder = folder.path().to_str().unwrap().parse().unwrap();
        for tiles in [MapTiles::Grid, folder] {
            assert!(!tiles.policy().contains("://"), "{tiles:?}");
            assert!(!tiles.description().contains("://"), "{tiles:?}");
        }
        let tiles: MapTiles = "osm".parse().unwrap();
        assert!(tiles.policy().contains("img-src 'self' https://tile.openstreetmap.org;"));
    }
}
