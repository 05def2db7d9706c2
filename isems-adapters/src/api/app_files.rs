//! The files of a built isems-app, so that no other web server is needed.

mod content_type;
mod file_body;
mod path;

use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Response,
    header::{
        CACHE_CONTROL, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        LAST_MODIFIED,
    },
};

use self::file_body::FileBody;
use super::{
    accept,
    body::Body,
    etag,
    respond::{self, Problem},
    server::ApiError,
};

/// What a path that the app itself makes sense of is answered with.
const INDEX: &str = "index.html";

/// The folder of a built isems-app.
#[derive(Clone, Debug)]
pub(super) struct AppFiles {
    folder: PathBuf,
}

impl AppFiles {
    /// # Errors
    /// If the folder's `index.html` cannot be read.
    pub(super) fn open(folder: &Path) -> Result<Self, ApiError> {
        let files = Self { folder: folder.to_owned() };
        match find(&files.folder, Path::new(INDEX)) {
            Ok(_) => Ok(files),
            Err(cause) => Err(ApiError::AppDir { folder: files.folder, cause }),
        }
    }

    /// The file at a target's path; for paths that name none, but a place
    /// within the app, its page.
    pub(super) async fn answer(&self, target: &str, headers: &HeaderMap) -> Response<Body> {
        let path = match path::within_folder(target) {
            Some(path) => path,
            // No file, but perhaps a place: a node may be called `.roof`.
            None if accept::wants_html(headers) => INDEX.into(),
            None => return Problem::NotFound.response(headers),
        };
        let is_place = path.extension().is_none() || accept::wants_html(headers);
        let folder = self.folder.clone();
        let searched = tokio::task::spawn_blocking(move || {
            let found = find(&folder, &path).map(|found| (found, path));
            match found {
                Err(_) if is_place => {
                    find(&folder, Path::new(INDEX)).map(|found| (found, INDEX.into()))
                }
                found => found,
            }
        });
        match searched.await {
            Ok(Ok(((file, metadata), path))) => respond_with(file, &metadata, &path, headers),
            Ok(Err(error)) => {
                tracing::debug!(%error, ?target, "no file of the app");
                Problem::NotFound.response(headers)
            }
            Err(_) => Problem::Broken.response(headers),
        }
    }
}

/// Opens a regular file that lies in `folder`, also after links are followed.
/// Blocks.
fn find(folder: &Path, path: &Path) -> io::Result<(File, Metadata)> {
    let not_ours = |what| io::Error::new(io::ErrorKind::NotFound, what);
    let folder = folder.canonicalize()?;
    let path = folder.join(path).canonicalize()?;
    if !path.starts_with(&folder) {
        return Err(not_ours("a link leads out of the folder"));
    }
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !path.metadata()?.is_file() {
        return Err(not_ours("not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_ours("not a regular file"));
    }
    Ok((file, metadata))
}

fn respond_with(
    file: File,
    metadata: &Metadata,
    path: &Path,
    headers: &HeaderMap,
) -> Response<Body> {
    let body = FileBody::new(file, metadata.len()).boxed_unsync();
    let mut response = respond::with_type(content_type::of(path), body);
    if content_type::names_its_content(path) {
        let cache = "public, max-age=31536000, immutable";
        respond::set(&mut response, CACHE_CONTROL, cache);
    }
    let Ok(modified) = metadata.modified() else {
        return response;
    };
    let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", age.as_nanos(), metadata.len());
    let known = if headers.contains_key(IF_NONE_MATCH) {
        etag::client_has(headers, &tag)
    } else {
        date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| age.as_secs() <= since)
    };
    let date = httpdate::fmt_http_date(modified);
    for (name, value) in [(ETAG, tag), (LAST_MODIFIED, date)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    if known { respond::not_modified(response) } else { response }
}

/// A header's date in Unix seconds.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    let time = httpdate::parse_http_date(text).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}
