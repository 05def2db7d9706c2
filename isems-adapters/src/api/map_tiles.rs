//! What the map of the collector's page is drawn on.

mod archive;
mod folder;

use std::{path::Path, str::FromStr};

use serde_json::{Map, Value, json};

pub use self::{
    archive::{ArchiveError, TileArchive},
    folder::TileFolder,
};

/// The background of the map on the collector's page (`ISEMS_MAP_TILES`).
#[derive(Clone, Debug, Default)]
pub enum MapTiles {
    /// A plain grid of degrees: no tiles, and no host but the collector is
    /// asked for anything.
    #[default]
    Grid,
    /// The tiles of OpenStreetMap, which browsers fetch from its servers.
    OpenStreetMap,
    /// The tiles of a folder.
    Folder(TileFolder),
    /// The tiles of a `PMTiles` archive.
    Archive(TileArchive),
}

/// A text that names no tiles.
#[derive(Debug, thiserror::Error)]
pub enum MapTilesError {
    /// The folder cannot be read.
    #[error("cannot be read as a folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The folder is not one of tiles.
    #[error("is a folder without tiles: they would be named ZOOM/X/Y.png, as in 12/2200/1343.png")]
    NoTiles,
    /// It is a file, though it is not named as an archive.
    #[error("is a file that is not named *.pmtiles: rename it if it is a PMTiles archive")]
    File,
    /// The archive is none that the page can draw.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
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

/// Where the page finds ours, from its own folder.
const OURS: &str = "tiles/{z}/{x}/{y}.png";

/// Deeper than any map goes.
const DEEPEST: u8 = 22;

/// Larger than any tile is, in bytes.
const LARGEST: u64 = 1024 * 1024;

impl FromStr for MapTiles {
    type Err = MapTilesError;

    /// `osm`, or the path of a `PMTiles` archive or of a folder of tiles.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "osm" {
            return Ok(Self::OpenStreetMap);
        }
        let path = Path::new(text);
        let archive = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("pmtiles"));
        if archive && !path.is_dir() {
            return Ok(Self::Archive(TileArchive::open(path)?));
        }
        if path.is_file() {
            return Err(MapTilesError::File);
        }
        TileFolder::open(path).map(Self::Folder)
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
                "tiles": OURS,
                "minZoom": folder.zooms().start(),
                "maxZoom": folder.zooms().end(),
            }),
            Self::Archive(archive) => of_archive(archive),
        };
        description.to_string()
    }

    /// What the page may load and from where (`Content-Security-Policy`).
    pub(super) fn policy(&self) -> String {
        let elsewhere = match self {
            Self::OpenStreetMap => format!(" {OPEN_STREET_MAP}"),
            Self::Grid | Self::Folder(_) | Self::Archive(_) => String::new(),
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
            Self::Grid | Self::Folder(_) | Self::Archive(_) => "no-referrer",
        }
    }

    /// The media type of the tiles that are read here.
    pub(super) fn media_type(&self) -> &'static str {
        match self {
            Self::Archive(archive) => archive.media_type(),
            Self::Grid | Self::OpenStreetMap | Self::Folder(_) => "image/png",
        }
    }

    /// A tile; `None` if there is none here. Blocks.
    pub(super) fn read(&self, tile: Tile) -> Result<Option<Vec<u8>>, ArchiveError> {
        match self {
            Self::Grid | Self::OpenStreetMap => Ok(None),
            Self::Folder(folder) => Ok(folder.read(tile)),
            Self::Archive(archive) => archive.read(tile),
        }
    }
}

/// What an archive says of itself, as far as it says it.
fn of_archive(archive: &TileArchive) -> Value {
    let mut description = Map::new();
    description.insert("tiles".to_owned(), OURS.into());
    description.insert("minZoom".to_owned(), (*archive.zooms().start()).into());
    description.insert("maxZoom".to_owned(), (*archive.zooms().end()).into());
    if let Some(bounds) = archive.bounds() {
        description.insert("bounds".to_owned(), json!(bounds));
    }
    if let Some(attribution) = archive.attribution() {
        description.insert("attribution".to_owned(), attribution.into());
    }
    description.into()
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
    use std::fs;

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
        let read = |zoom, x, y| tiles.read(Tile { zoom, x, y }).unwrap();
        assert_eq!(read(11, 3, 4).as_deref(), Some(&b"png"[..]));
        assert_eq!(read(11, 4, 4), None);
        assert_eq!(read(9, 1, 0), None);
    }

    #[test]
    fn what_names_no_tiles_is_refused() {
        let empty = folder_with(&["readme.txt"]);
        for (path, says) in [
            ("/does/not/exist", "cannot be read as a folder"),
            (empty.path().to_str().unwrap(), "without tiles"),
            (empty.path().join("readme.txt").to_str().unwrap(), "rename it"),
            ("/does/not/exist.pmtiles", "cannot be read: "),
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
