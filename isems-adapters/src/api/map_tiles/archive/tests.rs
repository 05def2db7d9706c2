use std::fs;

use proptest::prelude::*;

use super::{
    writer::{Entry, Writer, file_of, serialised},
    *,
};

/// Written by another program.
const FOREIGN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/map/mitteleuropa.pmtiles");

/// The highest number as directories have it.
const HIGHEST: [u8; 10] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];

const fn tile(zoom: u8, x: u32, y: u32) -> Tile {
    Tile { zoom, x, y }
}

/// Every tile of the zooms up to 3.
fn all() -> impl Iterator<Item = Tile> {
    let of = |zoom: u8| (0..1_u32 << zoom).flat_map(move |x| (0..1 << zoom).map(move |y| (x, y)));
    (0..=3).flat_map(move |zoom| of(zoom).map(move |(x, y)| tile(zoom, x, y)))
}

/// Three levels of directories: each tile has its own picture.
fn deep() -> Writer {
    let tiles = all().map(|tile| (tile, format!("{tile:?}").into_bytes())).collect();
    Writer { tiles, fan: 5, zooms: (0, 3), ..Writer::default() }
}

fn refusal(bytes: &[u8]) -> String {
    let (path, _folder) = file_of(bytes);
    TileArchive::open(&path).unwrap_err().to_string()
}

#[test]
fn tiles_are_numbered_along_the_curve_of_the_format() {
    for (tile, id) in [
        (tile(0, 0, 0), 0),
        (tile(1, 0, 0), 1),
        (tile(1, 0, 1), 2),
        (tile(1, 1, 1), 3),
        (tile(1, 1, 0), 4),
        (tile(2, 0, 0), 5),
        (tile(12, 3423, 1763), 19_078_479),
    ] {
        assert_eq!(directory::id(tile), id, "{tile:?}");
    }
}

#[test]
fn every_tile_of_a_zoom_has_a_number_of_its_own() {
    let mut ids: Vec<_> = all().map(directory::id).collect();
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(0..85), "{ids:?}");
}

#[test]
fn an_archive_of_another_program_is_read_with_all_that_it_says() {
    let archive = TileArchive::open(Path::new(FOREIGN)).unwrap();
    assert_eq!(*archive.zooms(), 0..=3);
    assert_eq!(archive.bounds(), Some([0.0, 40.979_898, 45.0, 66.513_260_3]));
    assert_eq!(archive.attribution(), Some("© Surveyors & Sons"));
    assert_eq!(archive.media_type(), "image/png");
    let has: Vec<_> = all().filter(|tile| archive.read(*tile).unwrap().is_some()).collect();
    assert_eq!(has, [tile(0, 0, 0), tile(1, 1, 0), tile(2, 2, 1), tile(3, 4, 2)]);
    assert!(archive.read(tile(3, 4, 2)).unwrap().unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_tile_is_found_through_several_levels_of_directories() {
    for gzip in [true, false] {
        let (path, _folder) = Writer { gzip, ..deep() }.file();
        let archive = TileArchive::open(&path).unwrap();
        for tile in all() {
            let read = archive.read(tile).unwrap();
            assert_eq!(read, Some(format!("{tile:?}").into_bytes()), "{tile:?}");
        }
    }
}

#[test]
fn what_is_not_told_is_not_made_up() {
    let (path, _folder) = Writer { zooms: (2, 40), ..Writer::default() }.file();
    let archive = TileArchive::open(&path).unwrap();
    assert_eq!(archive.bounds(), None);
    assert_eq!(archive.attribution(), None);
    assert_eq!(*archive.zooms(), 2..=22, "no deeper than tiles can be asked for");
}

#[test]
fn a_file_replaced_at_its_path_stays_the_one_that_was_opened() {
    let (path, folder) = deep().file();
    let archive = TileArchive::open(&path).unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "another map").unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(archive.read(tile(3, 7, 7)).unwrap().is_some());
}

#[test]
fn what_the_page_cannot_draw_is_refused_with_what_to_do() {
    let good = deep().bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let mut endless = with(15, 0xFF);
    endless[23] = 0xFF;
    for (bytes, says) in [
        (vec![], "is no PMTiles archive"),
        (b"SQLite format 3\0".to_vec(), "is no PMTiles archive"),
        (with(7, 2), "version 2, and only version 3 can be read: convert it"),
        (with(97, 3), "only none (1) and gzip (2)"),
        (with(98, 4), "only none (1) and gzip (2)"),
        (with(99, 1), "vector tiles, and the page draws pictures only"),
        (with(99, 9), "kind 9"),
        (with(100, 4), "tiles of no zoom"),
        (good[..100].to_vec(), "is 100 bytes long and should be"),
        (good[..good.len() - 1].to_vec(), "copy it once more"),
        (endless, "no end"),
        (with(23, 0x7F), "copy it once more"),
        (with(140, good[140] ^ 0xFF), "cannot be decompressed"),
        (Writer { metadata: "map".to_owned(), ..deep() }.bytes(), "metadata are no JSON"),
    ] {
        let told = refusal(&bytes);
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn a_directory_that_ends_too_early_or_has_no_place_for_a_tile_is_damaged() {
    let plain = Writer { gzip: false, ..Writer::default() };
    let mut huge = HIGHEST;
    huge[9] = 2;
    for root in [
        // More entries than there are; the highest number of them.
        &[9, 0, 1, 1, 1][..],
        &HIGHEST,
        // Two numbers of tiles that are too much together.
        &[&[2][..], &HIGHEST, &[1, 1, 1, 1, 1, 1, 1]].concat(),
        // A number that is too large, one without end.
        &[&[1][..], &huge, &[1, 1, 1]].concat(),
        &[1, 0xFF],
        // Nothing is before the first; a tile of no length.
        &[1, 0, 1, 1, 0],
        &[1, 0, 1, 0, 1],
    ] {
        let told = refusal(&plain.archive(root, &[], b"tile"));
        assert!(told.contains("a directory cannot be understood"), "{root:?}: {told}");
    }
}

/// What reading tile 0/0/0 says if the archive has these entries in its root,
/// and these leaves.
fn told_by_reading(root: &[Entry], leaves: &[u8]) -> String {
    let plain = Writer { gzip: false, ..Writer::default() };
    let (path, _folder) = file_of(&plain.archive(&serialised(root), leaves, b"tile"));
    TileArchive::open(&path).unwrap().read(tile(0, 0, 0)).unwrap_err().to_string()
}

#[test]
fn a_tile_outside_of_its_part_of_the_file_is_not_read() {
    for (offset, length) in [(0, 5), (4, 1), (u64::MAX - 1, 1), (1, u64::MAX)] {
        let told = told_by_reading(&[(0, offset, length, 1)], &[]);
        assert!(told.contains("outside of the parts"), "{offset}, {length}: {told}");
    }
}

#[test]
fn directories_that_lead_back_to_themselves_end() {
    let again: &[Entry] = &[(0, 0, 5, 0)];
    let leaf = serialised(again);
    assert_eq!(leaf.len(), 5);
    assert!(told_by_reading(again, &leaf).contains("have no end"));
}

#[test]
fn what_is_larger_than_any_is_not_read_into_memory() {
    let writer = Writer::default();
    let mut bomb = writer.packed(&vec![0; 2 * usize::try_from(UNPACKED).unwrap()]);
    // Nobody comes to where it is broken.
    bomb.truncate(bomb.len() - 8);
    assert!(refusal(&writer.archive(&bomb, &[], &[])).contains("longer than any is"));
    let large = vec![0; usize::try_from(LARGEST).unwrap() + 1];
    let (path, _folder) =
        Writer { tiles: vec![(tile(0, 0, 0), large)], ..Writer::default() }.file();
    let told = TileArchive::open(&path).unwrap().read(tile(0, 0, 0)).unwrap_err().to_string();
    assert!(told.contains("longer than any is"), "{told}");
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_nothing_else(
        pictures in prop::collection::btree_map(0_usize..85, 0_u8..3, 0..60),
        fan in 3_usize..9,
        gzip: bool,
    ) {
        let every: Vec<_> = all().collect();
        let tiles = pictures.iter().map(|(at, picture)| (every[*at], vec![*picture; 9])).collect();
        let (path, _folder) = Writer { tiles, fan, gzip, ..Writer::default() }.file();
        let archive = TileArchive::open(&path).unwrap();
        for (at, tile) in every.iter().enumerate() {
            let wrote = pictures.get(&at).map(|picture| vec![*picture; 9]);
            prop_assert_eq!(archive.read(*tile).unwrap(), wrote, "{:?}", tile);
        }
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_as_far_as_it_can_be_without_a_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
        gzip: bool,
    ) {
        let mut bytes = Writer { gzip, ..deep() }.bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (path, _folder) = file_of(&bytes);
        if let Ok(archive) = TileArchive::open(&path) {
            for tile in all() {
                let _ = archive.read(tile);
            }
        }
    }

    #[test]
    fn any_directory_is_searched_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..99),
        id: u64,
    ) {
        let _ = Directory::new(bytes).find(id);
    }
}
