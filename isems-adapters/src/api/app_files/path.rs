//! From a request's path to a path within a folder.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// The relative path that a target names, percent-decoded once; `/` names
/// `index.html`. `None` for everything that could lead out of the folder or to
/// what is hidden in it: `..`, names that begin with a dot, NUL, backslashes,
/// separators in disguise, bytes that are not UTF-8.
pub(super) fn within_folder(target: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for segment in target.split('/').filter(|segment| !segment.is_empty()) {
        let segment = percent_decode_str(segment).decode_utf8().ok()?;
        if segment.starts_with('.') || segment.contains(['/', '\\', '\0']) {
            return None;
        }
        path.push(&*segment);
    }
    if path.as_os_str().is_empty() {
        path.push(super::INDEX);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_a_path_within_the_folder() {
        for (target, path) in [
            ("/", "index.html"),
            ("//", "index.html"),
            ("/js/app.js", "js/app.js"),
            ("//js//app.js/", "js/app.js"),
            ("/a%20b.png", "a b.png"),
            ("/Stra%C3%9Fe", "Straße"),
            ("/100%", "100%"),
            ("/%252e%252e/x", "%2e%2e/x"),
            ("/a..b", "a..b"),
        ] {
            assert_eq!(within_folder(target), Some(path.into()), "{target}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder_or_to_hidden_files() {
        for target in [
            "/..",
            "/../secret",
            "/js/../../secret",
            "/%2e%2e/secret",
            "/.%2E/secret",
            "/..%2fsecret",
            "/%2fetc%2fpasswd",
            "/..\\secret",
            "/..%5csecret",
            "/a%00.js",
            "/.env",
            "/.git/config",
            "/js/.hidden",
            "/.",
            "/%FF",
        ] {
            assert_eq!(within_folder(target), None, "{target}");
        }
    }
}
