//! The map of the page on a file of tiles, by the real binary.

use std::fs::{self, OpenOptions};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Isems, fixture, get};

/// A map at a path of its own, changed by `change`.
fn map(change: impl FnOnce(&mut Vec<u8>)) -> (TempDir, String) {
    let folder = tempfile::Builder::new().prefix("isems-map-").tempdir().unwrap();
    let path = folder.path().join("map.pmtiles");
    let mut bytes = fixture("map/mitteleuropa.pmtiles");
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn the_page_is_told_what_an_archive_says_and_gets_its_tiles() {
    let (_folder, path) = map(|_| ());
    let serving = Isems::new().set("ISEMS_MAP_TILES", &path).serve();
    let at = |path: &str| get(&format!("{}{path}", serving.api()));
    assert_eq!(
        at("/map.json").json(),
        json!({
            "tiles": "tiles/{z}/{x}/{y}.png",
            "minZoom": 0,
            "maxZoom": 3,
            "bounds": [0.0, 40.979_898, 45.0, 66.513_260_3],
            "attribution": "© Surveyors & Sons",
        })
    );
    let tile = at("/tiles/3/4/2.png");
    assert_eq!((tile.status, tile.header("content-type")), (200, Some("image/png")));
    assert!(tile.body.starts_with(b"\x89PNG"), "{:?}", tile.body);
    // Maps end somewhere.
    assert_eq!([at("/tiles/3/4/3.png").status, at("/tiles/4/8/5.png").status], [204, 204]);
    assert_eq!(at("/tiles/3/8/0.png").status, 404);
}

#[test]
fn check_config_refuses_a_map_that_cannot_be_drawn_and_says_what_to_do() {
    for (change, says) in [
        ((|map| map[99] = 1) as fn(&mut Vec<u8>), "make an archive of PNG, JPEG or WebP tiles"),
        (|map| map[7] = 2, "only version 3 can be read: convert it"),
        (|map| map.truncate(map.len() - 1), "is 577 bytes long and should be 578: copy it"),
        (|map| map[130] ^= 0xFF, "is damaged"),
        (|map| map.clear(), "is no PMTiles archive"),
    ] {
        let (_folder, path) = map(change);
        let told = Isems::new().set("ISEMS_MAP_TILES", &path).run(&["check-config"]).expect(64);
        assert!(told.stderr.contains(&format!("ISEMS_MAP_TILES={path:?}: ")), "{told:#?}");
        assert!(told.stderr.contains(says), "{says}: {told:#?}");
    }
}

#[test]
fn a_map_that_breaks_while_it_is_served_is_an_error_for_each_tile_and_told_once() {
    let (_folder, path) = map(|_| ());
    let serving = Isems::new().set("ISEMS_MAP_TILES", &path).serve();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(200).unwrap();
    for _ in 0..3 {
        let answer = get(&format!("{}/tiles/3/4/2.png", serving.api()));
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("log says why"), "{}", answer.text());
    }
    assert_eq!(get(&format!("{}/healthz", serving.api())).status, 200);
    let told = serving.stop().expect(0);
    assert_eq!(told.stderr.matches("a map tile cannot be read").count(), 1, "{told:#?}");
    assert!(told.stderr.contains(&path), "{told:#?}");
}
