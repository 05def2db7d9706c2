//! The files of the collector's own page, embedded in the program.
//!
//! `assets` answers with them: at `/`, or at `/dashboard/` while another app
//! has that place. They are what a browser runs: nothing builds them, nothing
//! comes from elsewhere.

use std::{io::Write as _, sync::LazyLock};

use flate2::{Compression, write::GzEncoder};

use super::etag;

/// One file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    /// Relative to where the page is mounted, without a slash at the beginning:
    /// `index.html`, `js/app.js`.
    pub(super) path: &'static str,
    /// Its media type, with the charset if it is text.
    pub(super) content_type: &'static str,
    /// A strong entity tag, quotes included, that changes with the content.
    pub(super) etag: String,
    /// The content.
    pub(super) identity: &'static [u8],
    /// The content compressed with gzip; empty if that is not worth it.
    pub(super) gzip: Vec<u8>,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// The file that stands for the page itself.
const INDEX: &str = "index.html";

/// Path, media type and content of each file.
macro_rules! files {
    ($($path:literal: $kind:ident),* $(,)?) => {
        [$(($path, $kind, include_bytes!(concat!("page/", $path)).as_slice())),*]
    };
}

const FILES: &[(&str, &str, &[u8])] = &files![
    "index.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "js/app.js": JS,
    "js/chart.js": JS,
    "js/describe.js": JS,
    "js/dom.js": JS,
    "js/early.js": JS,
    "js/i18n.js": JS,
    "js/map.js": JS,
    "js/mercator.js": JS,
    "js/node.js": JS,
    "js/overview.js": JS,
    "js/sources.js": JS,
    "js/sparkline.js": JS,
    "js/store.js": JS,
    "js/stream.js": JS,
    "js/texts.de.js": JS,
    "js/texts.en.js": JS,
    "vendor/uplot.LICENSE": TEXT,
    "vendor/uplot.min.css": CSS,
    "vendor/uplot.min.js": JS,
];

/// Compressed when the first browser comes.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |&(path, content_type, identity)| Asset {
        path,
        content_type,
        etag: etag::of_body(identity),
        identity,
        gzip: compressed(identity),
    };
    FILES.iter().map(asset).collect()
});

/// As small as it gets: it is done once, and links may be slow.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail; if it did, the file would go plain.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.ok().filter(|small| small.len() < bytes.len()).unwrap_or_default()
}

/// The file at a path relative to the page's place; the empty path names the
/// page itself.
pub(super) fn asset(path: &str) -> Option<&'static Asset> {
    let path = if path.is_empty() { INDEX } else { path };
    ASSETS.iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_page_is_small_enough_for_a_slow_link() {
        let size = |asset: &Asset| match asset.gzip.len() {
            0 => asset.identity.len(),
            small => small,
        };
        let all: usize = ASSETS.iter().map(size).sum();
        assert!(all <= 150_000, "{all} bytes");
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/page");
        let mut waiting = vec![folder.clone()];
        let mut there = Vec::new();
        while let Some(place) = waiting.pop() {
            for entry in fs::read_dir(place).unwrap().map(Result::unwrap) {
                match entry.path() {
                    path if path.is_dir() => waiting.push(path),
                    path => {
                        let path = path.strip_prefix(&folder).unwrap().to_str().unwrap();
                        there.push(path.replace('\\', "/"));
                    }
                }
            }
        }
        let mut listed: Vec<_> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        there.sort();
        listed.sort();
        assert_eq!(there, listed);
    }

    #[test]
    fn nothing_of_the_page_is_loaded_from_elsewhere() {
        // A namespace, and the library's own address in a comment.
        let known = ["http://www.w3.org/", "https://github.com/leeoniya/uPlot"];
        for asset in ASSETS.iter().filter(|asset| asset.content_type != TEXT) {
            let text = std::str::from_utf8(asset.identity).unwrap().to_owned();
            let rest = known.iter().fold(text, |text, address| text.replace(address, ""));
            assert!(!rest.contains("://"), "{}", asset.path);
        }
    }
}
