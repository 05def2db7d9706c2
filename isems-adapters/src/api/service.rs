//! Answers one request.

use std::sync::Arc;

use hyper::{HeaderMap, Method, Request, Response, body::Bytes};
use isems_core::{Clock, NodeId, Query, RepoError, StoredMeasurement};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    app_files::AppFiles,
    body::{self, Body},
    episode::Episode,
    respond::{self, Problem},
    route::Route,
    settings::{ApiLimits, ApiSettings},
    sources_view, view,
};

/// Everything that an answer is made of.
pub(super) struct Service {
    settings: ApiSettings,
    query: Query,
    clock: Arc<dyn Clock>,
    app: Option<AppFiles>,
    /// Turns to read from the repository.
    reads: Semaphore,
    /// Room for answers that are on their way.
    room: Arc<Semaphore>,
    trouble: Trouble,
}

/// Reading one thing may fail while another can be read.
#[derive(Default)]
struct Trouble {
    latest: Episode,
    recent: Episode,
    sources: Episode,
    overload: Episode,
}

impl Service {
    pub(super) fn new(
        settings: ApiSettings,
        query: Query,
        clock: Arc<dyn Clock>,
        app: Option<AppFiles>,
    ) -> Self {
        let room = room_of(settings.limits.answer_bytes);
        Self {
            reads: Semaphore::new(settings.limits.concurrent_reads.max(1)),
            room: Arc::new(Semaphore::new(room as usize)),
            settings,
            query,
            clock,
            app,
            trouble: Trouble::default(),
        }
    }

    pub(super) fn limits(&self) -> &ApiLimits {
        &self.settings.limits
    }

    /// The answer to a request whose body does not matter.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let (method, uri) = (request.method(), request.uri());
        let route = Route::of(uri.path(), uri.query());
        let headers = request.headers();
        let mut response = match *method {
            Method::GET | Method::HEAD => self.read(&route, uri.path(), headers).await,
            Method::OPTIONS if self.knows(&route, uri.path()) => respond::options(),
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
            Route::Latest(_) | Route::Recent(_) | Route::Sources => true,
            Route::Unknown { .. } => false,
            Route::Elsewhere => self.app.is_some() || path == "/" || path == "*",
        }
    }

    async fn read(&self, route: &Route, path: &str, headers: &HeaderMap) -> Response<Body> {
        let read = match route {
            Route::Latest(_) | Route::Recent(_) | Route::Sources => self.json(route).await,
            Route::Unknown { .. } => Err(Problem::NotFound),
            Route::Elsewhere => match &self.app {
                Some(app) => return app.answer(path, headers).await,
                None if path == "/" => return respond::welcome(),
                None => Err(Problem::NotFound),
            },
        };
        match read {
            Ok(json) => respond::json(json, headers),
            Err(problem) => problem.response(headers),
        }
    }

    /// The JSON of an API route, within the time that a request may take.
    async fn json(&self, route: &Route) -> Result<Bytes, Problem> {
        let in_turn = async {
            // Neither semaphore is ever closed.
            let _turn = self.reads.acquire().await.map_err(|_| Problem::Broken)?;
            let json = self.encoded(route).await?;
            let most = room_of(self.limits().answer_bytes);
            let bytes = u32::try_from(json.len()).unwrap_or(u32::MAX).min(most);
            let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
            let room = room.map_err(|_| Problem::Broken)?;
            Ok(body::holding(json, room))
        };
        let Ok(answer) = timeout(self.limits().request_time, in_turn).await else {
            if self.trouble.overload.begins() {
                let limit = self.limits().request_time.as_secs_f32();
                tracing::warn!(
                    limit,
                    "an API answer was not ready within its time limit (seconds)"
                );
            }
            return Err(Problem::Unavailable);
        };
        self.trouble.overload.ends();
        answer
    }

    async fn encoded(&self, route: &Route) -> Result<Vec<u8>, Problem> {
        let trouble = &self.trouble;
        let zone = &self.settings.zone;
        let now = self.clock.now();
        let json = match route {
            Route::Latest(nodes) => {
                let rows = self.query.latest(*nodes, now).await;
                view::measurements(&told(&trouble.latest, rows)?, zone)
            }
            Route::Recent(name) => {
                let rows = self.recent(name.as_deref()).await;
                view::measurements(&told(&trouble.recent, rows)?, zone)
            }
            Route::Sources => {
                let sources = self.query.sources().await;
                sources_view::sources(&told(&trouble.sources, sources)?, zone, now)
            }
            Route::Unknown { .. } | Route::Elsewhere => return Err(Problem::NotFound),
        };
        json.map_err(|error| {
            tracing::error!(%error, "measurements could not be written as JSON");
            Problem::Broken
        })
    }

    /// A name that no node can have is that of an unknown node: nothing there.
    async fn recent(&self, name: Option<&str>) -> Result<Vec<StoredMeasurement>, RepoError> {
        match name.map(NodeId::new) {
            Some(Ok(node)) => self.query.recent(&node).await,
            Some(Err(_)) | None => Ok(Vec::new()),
        }
    }
}

/// Room in bytes as a semaphore can count it.
fn room_of(bytes: usize) -> u32 {
    const MOST: u32 = 1 << 28; // Fits `Semaphore::MAX_PERMITS` on 32-bit machines.
    u32::try_from(bytes).unwrap_or(MOST).clamp(1, MOST)
}

/// Logs how reading goes, when that changes, and what to tell the client.
fn told<T>(episode: &Episode, read: Result<T, RepoError>) -> Result<T, Problem> {
    let error = match read {
        Ok(rows) => {
            if episode.ends() {
                tracing::info!("the API can read the measurement store again");
            }
            return Ok(rows);
        }
        Err(error) => error,
    };
    if episode.begins() {
        tracing::error!(%error, "the API cannot read the measurement store");
    }
    Err(match error {
        RepoError::Corrupt { .. } | RepoError::Foreign { .. } => Problem::Broken,
        _ => Problem::Unavailable,
    })
}
