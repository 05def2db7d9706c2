//! What a file's name says of its content.

use std::path::Path;

/// The media type by the extension, of the kinds that a built web app holds.
pub(super) fn of(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|text| text.to_str());
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Whether a build tool put a hash of the content into the name, so that the
/// content behind it never changes: a part of at least eight hex digits, not
/// all of them letters (`deadbeef`) or decimal (a date).
pub(super) fn names_its_content(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_hash = |part: &str| {
        part.len() >= 8
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let parts = name.unwrap_or_default().split(['.', '-', '_']);
    !of(path).starts_with("text/html") && parts.into_iter().any(is_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_hash_stands_for_one_content_for_ever() {
        for (name, hashed) in [
            ("js/app.3f2a1b7c.js", true),
            ("static/js/2.0c1e5d7f.chunk.js.map", true),
            ("fonts/icons-0123456789abcdef.woff2", true),
            ("js/app.js", false),
            ("service-worker.js", false),
            ("photo-20240131.jpg", false),
            ("deadbeef.js", false),
            ("page.3f2a1b7c.html", false),
        ] {
            assert_eq!(names_its_content(Path::new(name)), hashed, "{name}");
        }
    }
}
