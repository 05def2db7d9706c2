//! The files of a built isems-app, so that no other web server is needed.

mod content_type;
mod file_body;
mod path;

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
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
    body::{self, Body},
    client::Client,
    etag,
    respond::{self, Problem},
    scarce::Scarce,
    server::ApiError,
    settings::ApiLimits,
    turns::{Kind, Phase, Turns},
};

/// What a path that the app itself makes sense of is answered with.
const INDEX: &str = "index.html";

/// Files of so many bytes are read whole and closed before they are sent; larger
/// ones stay open meanwhile.
const SMALL: u64 = 256 * 1024;

/// The folder of a built isems-app. Its files cost what answers of the API cost:
/// small ones room, large ones a place.
#[derive(Debug)]
pub(super) struct AppFiles {
    folder: Arc<Path>,
    places: Scarce,
}

impl AppFiles {
    /// # Errors
    /// If the folder's `index.html` cannot be read.
    pub(super) fn open(folder: &Path, limits: &ApiLimits) -> Result<Self, ApiError> {
        match find(folder, Path::new(INDEX)) {
            Ok(_) => Ok(Self {
                folder: folder.into(),
                places: Scarce::new(limits.files, limits.patience),
            }),
            Err(cause) => Err(ApiError::AppDir { folder: folder.to_owned(), cause }),
        }
    }

    /// The file at a target's path; for paths that name none, but a place
    /// within the app, its page.
    pub(super) async fn answer(
        &self,
        target: &str,
        headers: &HeaderMap,
        turns: &Arc<Turns>,
        client: &Arc<Client>,
    ) -> Response<Body> {
        let answer = self.file(target, headers, turns, client).await;
        answer.unwrap_or_else(|problem| problem.response(headers))
    }

    async fn file(
        &self,
        target: &str,
        headers: &HeaderMap,
        turns: &Arc<Turns>,
        client: &Arc<Client>,
    ) -> Result<Response<Body>, Problem> {
        let path = match path::within_folder(target) {
            Some(path) => path,
            // No file, but perhaps a place: a node may be called `.roof`.
            None if accept::wants_html(headers) => INDEX.into(),
            None => return Err(Problem::NotFound),
        };
        let is_place = path.extension().is_none() || accept::wants_html(headers);
        let folder = Arc::clone(&self.folder);
        // It is opened again once it may be: who waits has nothing open.
        let search = move || match find(&folder, &path) {
            Err(_) if is_place => find(&folder, Path::new(INDEX)).map(|(_, of)| (of, INDEX.into())),
            found => found.map(|(_, of)| (of, path)),
        };
        let found = turns.within(Phase::New, turns.blocking(search)).await??;
        let (of, path): (_, PathBuf) = found.map_err(|error| not_there(&error, target))?;
        if client_has(&of, headers) {
            return Ok(respond::not_modified(described(body::empty(), &of, &path)));
        }
        let (body, of) = if of.len() <= SMALL {
            self.whole(&path, &of, turns, client).await?
        } else {
            self.in_pieces(&path, turns, client).await?
        };
        Ok(described(body, &of, &path))
    }

    /// All of a file, which is closed by then.
    async fn whole(
        &self,
        path: &Path,
        of: &Metadata,
        turns: &Turns,
        client: &Arc<Client>,
    ) -> Result<(Body, Metadata), Problem> {
        let read = || async {
            let (folder, file) = (Arc::clone(&self.folder), path.to_owned());
            let read = turns.blocking(move || read_small(&folder, &file)).await?;
            read.map_err(|error| not_there(&error, path))
        };
        let usual = usize::try_from(of.len()).unwrap_or(usize::MAX);
        let (bytes, of) = turns.make(Kind::File, Phase::New, usual, client, read).await?;
        Ok((body::full(bytes), of))
    }

    /// A file that is read as it is taken.
    async fn in_pieces(
        &self,
        path: &Path,
        turns: &Arc<Turns>,
        client: &Arc<Client>,
    ) -> Result<(Body, Metadata), Problem> {
        let place = turns.within(Phase::New, self.places.share(1, client)).await??;
        let (folder, file) = (Arc::clone(&self.folder), path.to_owned());
        let open = turns.blocking(move || find(&folder, &file));
        let opened = turns.within(Phase::New, open).await??;
        let (file, of) = opened.map_err(|error| not_there(&error, path))?;
        let body = FileBody::new(file, of.len(), place, Arc::clone(turns));
        Ok((body.boxed_unsync(), of))
    }
}

fn not_there(error: &io::Error, what: impl std::fmt::Debug) -> Problem {
    tracing::debug!(%error, ?what, "no file of the app");
    Problem::NotFound
}

/// Reads a file that was small a moment ago. Blocks.
fn read_small(folder: &Path, path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let (file, of) = find(folder, path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(of.len().min(SMALL)).unwrap_or(0));
    file.take(SMALL + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == of.len() {
        Ok((bytes, of))
    } else {
        Err(io::Error::other("the file is being written"))
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

/// The answer with a file's content.
fn described(body: Body, of: &Metadata, path: &Path) -> Response<Body> {
    let mut response = respond::with_type(content_type::of(path), body);
    if content_type::names_its_content(path) {
        let cache = "public, max-age=31536000, immutable";
        respond::set(&mut response, CACHE_CONTROL, cache);
    }
    if let Ok(modified) = of.modified() {
        let date = httpdate::fmt_http_date(modified);
        for (name, value) in [(ETAG, tag(of, modified)), (LAST_MODIFIED, date)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

fn client_has(of: &Metadata, headers: &HeaderMap) -> bool {
    of.modified().is_ok_and(|modified| {
        if headers.contains_key(IF_NONE_MATCH) {
            etag::client_has(headers, &tag(of, modified))
        } else {
            date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| age(modified).as_secs() <= since)
        }
    })
}

fn tag(of: &Metadata, modified: SystemTime) -> String {
    format!("\"{:x}-{:x}\"", age(modified).as_nanos(), of.len())
}

fn age(modified: SystemTime) -> Duration {
    modified.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A header's date in Unix seconds.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    let time = httpdate::parse_http_date(text).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}
