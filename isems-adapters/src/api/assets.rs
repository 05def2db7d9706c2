//! Answers with the files of the collector's own page.

use std::sync::Arc;

use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, LOCATION,
        REFERRER_POLICY, VARY,
    },
};

use super::{
    accept,
    body::{self, Body},
    client::Client,
    etag,
    map_tiles::{MapTiles, Tile},
    page,
    respond::{self, Problem, not_modified, set},
    turns::{Kind, Phase, Turns},
};

/// Where the page is while an app has `/`.
const ASIDE: &str = "/dashboard";

/// Bytes of a tile, mostly.
const USUAL_TILE: usize = 64 * 1024;

/// What there is of the page at a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A file.
    File(&'static page::Asset),
    /// What its map is drawn on.
    Map,
    /// A tile of its map.
    Tile(Tile),
    /// Links of the page are relative to its folder, which it knows by its name:
    /// it has no other.
    OtherName,
}

/// What there is at a request's path; `aside`: an app has `/`.
pub(super) fn at(path: &str, aside: bool) -> Option<Place> {
    let below = if aside { path.strip_prefix(ASIDE)? } else { path };
    if aside && matches!(below, "" | "/index.html") {
        return Some(Place::OtherName);
    }
    let path = below.strip_prefix('/')?;
    match path.strip_prefix("tiles/") {
        Some(tile) => Tile::at(tile).map(Place::Tile),
        None if path == "map.json" => Some(Place::Map),
        None => page::asset(path).map(Place::File),
    }
}

/// What is there: files compressed if the client takes that, `304` if it has
/// it.
pub(super) async fn answer(
    place: Place,
    headers: &HeaderMap,
    tiles: &MapTiles,
    turns: &Turns,
    client: &Arc<Client>,
) -> Response<Body> {
    match place {
        Place::File(asset) => file(asset, headers, tiles),
        Place::Map => respond::json(tiles.description().into(), headers),
        Place::Tile(at) => {
            let tile = tile(at, tiles, turns, client).await;
            tile.unwrap_or_else(|problem| problem.response(headers))
        }
        Place::OtherName => {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            set(&mut response, LOCATION, "/dashboard/");
            response
        }
    }
}

/// The tile, or that there is none, which is no error: maps end somewhere, and
/// browsers' consoles would show one.
async fn tile(
    at: Tile,
    tiles: &MapTiles,
    turns: &Turns,
    client: &Arc<Client>,
) -> Result<Response<Body>, Problem> {
    let read = || async {
        let reader = tiles.clone();
        Ok::<_, Problem>(match turns.blocking(move || reader.read(at)).await? {
            Ok(Some(tile)) => (tile, Some(Ok(()))),
            Ok(None) => (Vec::new(), None),
            Err(error) => (Vec::new(), Some(Err(error))),
        })
    };
    let (tile, found) = turns.make(Kind::File, Phase::New, USUAL_TILE, client, read).await?;
    Ok(match found {
        Some(Ok(())) => {
            let mut response = respond::with_type(tiles.media_type(), body::full(tile));
            set(&mut response, CACHE_CONTROL, "max-age=86400");
            response
        }
        Some(Err(_)) => {
            let text = "This tile cannot be read. The collector's log says why\n";
            let mut response = respond::with_type("text/plain; charset=utf-8", body::full(text));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
        None => {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
    })
}

fn file(asset: &'static page::Asset, headers: &HeaderMap, tiles: &MapTiles) -> Response<Body> {
    let gzip = !asset.gzip.is_empty() && accept::takes_gzip(headers);
    let content = if gzip { &asset.gzip } else { asset.identity };
    let mut response = respond::with_type(asset.content_type, body::full(content));
    let tag = etag::of_coding(&asset.etag, gzip);
    let has = etag::client_has(headers, &tag);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    if !asset.gzip.is_empty() {
        set(&mut response, VARY, "Accept-Encoding");
    }
    if asset.content_type.starts_with("text/html") {
        if let Ok(policy) = HeaderValue::try_from(tiles.policy()) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        set(&mut response, REFERRER_POLICY, tiles.referrer_policy());
    }
    if has {
        return not_modified(response);
    }
    if gzip {
        set(&mut response, CONTENT_ENCODING, "gzip");
    }
    response
}
