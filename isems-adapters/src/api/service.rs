//! Answers one request.

use std::sync::Arc;

use hyper::{HeaderMap, Method, Request, Response, body::Bytes};
use isems_core::{
    ActivityRule, Clock, MeasurementReader, NodeId, Nodes, Query, RepoError, StoredMeasurement,
};

use super::{
    app_files::AppFiles,
    assets,
    body::Body,
    client::Client,
    draft::Draft,
    respond::{self, Problem},
    route::Route,
    settings::{ApiLimits, ApiSettings, CorsOrigin},
    sources_view,
    trouble::{Reading, Trouble},
    turns::{Kind, Phase, Turns},
    v1::V1,
    view,
};

/// Bytes of the recent measurements of a node, mostly: a day of them.
const USUAL_HISTORY: usize = 1024 * 1024;

/// Bytes of the newest measurements, mostly: those of some hundred nodes.
pub(super) const USUAL_PRESENT: usize = 256 * 1024;

/// Everything that an answer is made of.
pub(super) struct Service {
    settings: ApiSettings,
    query: Query,
    clock: Arc<dyn Clock>,
    app: Option<AppFiles>,
    turns: Arc<Turns>,
    v1: V1,
    trouble: Arc<Trouble>,
}

impl Service {
    pub(super) fn new(
        settings: ApiSettings,
        reader: Arc<dyn MeasurementReader>,
        activity: ActivityRule,
        clock: Arc<dyn Clock>,
        app: Option<AppFiles>,
    ) -> Self {
        let turns = Arc::new(Turns::new(&settings.limits));
        let query = Query::new(Arc::clone(&reader), activity);
        let trouble = Arc::new(Trouble::default());
        let shared = (Arc::clone(&turns), Arc::clone(&trouble));
        let v1 = V1::new(&settings, reader, activity, Arc::clone(&clock), shared);
        Self { settings, query, clock, app, turns, v1, trouble }
    }

    pub(super) fn limits(&self) -> &ApiLimits {
        &self.settings.limits
    }

    pub(super) fn cors_origin(&self) -> &CorsOrigin {
        &self.settings.cors_origin
    }

    /// Ends the answers that have no end of their own.
    pub(super) fn end_events(&self) {
        self.v1.end_events();
    }

    /// The answer to a request whose body does not matter.
    pub(super) async fn answer<B>(
        &self,
        request: &Request<B>,
        client: &Arc<Client>,
    ) -> Response<Body> {
        let (method, uri) = (request.method(), request.uri());
        let route = Route::of(uri.path(), uri.query());
        let headers = request.headers();
        let mut response = match (&route, method) {
            (Route::V1(target), _) => {
                self.v1.answer(target.as_ref(), method, uri, headers, client).await
            }
            (_, &Method::GET | &Method::HEAD) => {
                self.read(&route, uri.path(), headers, client).await
            }
            (_, &Method::OPTIONS) if self.knows(&route, uri.path()) => respond::options(),
            _ if self.knows(&route, uri.path()) => Problem::Method.response(headers),
            _ => Problem::NotFound.response(headers),
        };
        if route.is_shared() {
            respond::share(&mut response, method, &self.settings.cors_origin);
        }
        if method == Method::HEAD {
            response = respond::head(response);
        }
        response
    }

    /// Whether there is something to read, as far as can be told by the path.
    fn knows(&self, route: &Route, path: &str) -> bool {
        match route {
            Route::Latest(_) | Route::Recent(_) | Route::Sources | Route::Health | Route::Ready => {
                true
            }
            Route::Unknown { .. } | Route::V1(_) => false,
            Route::Elsewhere => {
                path == "*" || self.app.is_some() || assets::at(path, false).is_some()
            }
        }
    }

    async fn read(
        &self,
        route: &Route,
        path: &str,
        headers: &HeaderMap,
        client: &Arc<Client>,
    ) -> Response<Body> {
        let read = match route {
            Route::Latest(_) | Route::Recent(_) | Route::Sources => self.json(route, client).await,
            Route::Health => return respond::plain("ok"),
            Route::Ready => match self.v1.readiness().await {
                Ok(()) => return respond::plain("ready"),
                Err(problem) => Err(problem),
            },
            Route::Unknown { .. } | Route::V1(_) => Err(Problem::NotFound),
            Route::Elsewhere => match (assets::at(path, self.app.is_some()), &self.app) {
                (Some(place), _) => {
                    let tiles = &self.settings.map_tiles;
                    return assets::answer(place, headers, tiles, &self.turns, client).await;
                }
                (None, Some(app)) => return app.answer(path, headers, &self.turns, client).await,
                (None, None) => Err(Problem::NotFound),
            },
        };
        match read {
            Ok(json) => respond::json(json, headers),
            Err(problem) => problem.response(headers),
        }
    }

    /// The JSON of a route, within the time that a request may take.
    async fn json(&self, route: &Route, client: &Arc<Client>) -> Result<Bytes, Problem> {
        if let Route::Latest(nodes) = route {
            let write = |draft| self.latest(*nodes, draft);
            return self.turns.write(Kind::Present, Phase::New, USUAL_PRESENT, client, write).await;
        }
        let (kind, usual) = match route {
            Route::Recent(_) => (Kind::Past, USUAL_HISTORY),
            _ => (Kind::Present, USUAL_PRESENT),
        };
        let make = || async { self.encoded(route).await.map(|json| (json, ())) };
        let (json, ()) = self.turns.make(kind, Phase::New, usual, client, make).await?;
        Ok(json)
    }

    async fn encoded(&self, route: &Route) -> Result<Vec<u8>, Problem> {
        let trouble = &self.trouble;
        let zone = &self.settings.zone;
        let now = self.clock.now();
        let json = match route {
            Route::Recent(name) => {
                let rows = self.recent(name.as_deref()).await;
                view::measurements(&trouble.told(Reading::History, rows)?, zone, ())
            }
            Route::Sources => {
                let sources = self.query.sources().await;
                sources_view::sources(&trouble.told(Reading::Sources, sources)?, zone, now, ())
            }
            _ => return Err(Problem::NotFound),
        };
        json.map_err(|error| Problem::unwritable(&error))
    }

    /// Writes the newest measurements of nodes, of which there may be very many.
    async fn latest(&self, nodes: Nodes, draft: Draft) -> Result<Draft, Problem> {
        let mut json = view::Writer::new(draft, &self.settings.zone);
        let read = self.query.each_latest(nodes, self.clock.now(), &mut |row| json.row(&row)).await;
        self.trouble.told(Reading::Newest, read)?;
        json.end().map_err(|error| Problem::unwritable(&error))
    }

    /// A name that no node can have is that of an unknown node: nothing there.
    async fn recent(&self, name: Option<&str>) -> Result<Vec<StoredMeasurement>, RepoError> {
        match name.map(NodeId::new) {
            Some(Ok(node)) => self.query.recent(&node).await,
            Some(Err(_)) | None => Ok(Vec::new()),
        }
    }
}
