//! API v1, everything below `/api/v1/`; `v1/openapi.json` describes it.

mod events;
mod export;
mod history;
mod node_view;
mod paging;
mod params;
mod problem;
mod target;
mod time_text;

use std::sync::Arc;

use hyper::{
    HeaderMap, Method, Response, Uri,
    header::{CONTENT_ENCODING, ETAG, HeaderValue, VARY},
};
use isems_core::{
    ActivityRule, Clock, HistoryRange, MeasurementReader, NodeId, RepoError, SourceSummary,
    StoredMeasurement, Timestamp,
};
use jiff::tz::TimeZone;

pub(super) use self::target::Target;
use self::{
    events::Events,
    export::Exports,
    paging::{Asked, Page},
    params::Parameters,
    problem::Fault,
};
use super::{
    accept,
    body::{self, Body},
    client::Client,
    etag, gzip,
    respond::{self, Problem},
    service::USUAL_PRESENT,
    settings::ApiSettings,
    sources_view,
    trouble::{Reading, Trouble},
    turns::{Kind, Phase, Turns},
    view,
};

/// The document with the version of this program.
const OPENAPI: &str = include_str!("v1/openapi.json");

/// What stands in the document for the version.
const VERSION: &str = "0.0.0-version";

/// Everything that answers of API v1 are made of.
pub(super) struct V1 {
    reader: Arc<dyn MeasurementReader>,
    activity: ActivityRule,
    clock: Arc<dyn Clock>,
    zone: TimeZone,
    turns: Arc<Turns>,
    events: Events,
    exports: Exports,
    trouble: Arc<Trouble>,
}

impl V1 {
    pub(super) fn new(
        settings: &ApiSettings,
        reader: Arc<dyn MeasurementReader>,
        activity: ActivityRule,
        clock: Arc<dyn Clock>,
        shared: (Arc<Turns>, Arc<Trouble>),
    ) -> Self {
        let zone = settings.zone.clone();
        let events = Events::new(settings, &reader, activity, &clock, &shared);
        let exports = Exports::new(&settings.limits, &reader, &zone, &shared);
        let (turns, trouble) = shared;
        Self { reader, activity, clock, zone, turns, events, exports, trouble }
    }

    /// Ends what has no end of its own.
    pub(super) fn end_events(&self) {
        self.events.end();
    }

    /// Whether the repository can be read.
    pub(super) async fn readiness(&self) -> Result<(), Problem> {
        let sources = async { self.trouble.told(Reading::Sources, self.reader.sources().await) };
        self.turns.read(Kind::Present, Phase::New, sources).await.map(drop)
    }

    /// The answer for a target; `None`: there is no such thing.
    pub(super) async fn answer(
        &self,
        target: Option<&Target>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        client: &Arc<Client>,
    ) -> Response<Body> {
        let answer = match (target, method) {
            (Some(target), &Method::GET | &Method::HEAD) => {
                self.read(target, method, uri.query(), headers, client).await
            }
            (Some(_), &Method::OPTIONS) => Ok(respond::options()),
            (Some(_), _) => Err(Problem::Method.into()),
            (None, _) => Err(Problem::NotFound.into()),
        };
        answer.unwrap_or_else(|fault| fault.response(uri.path()))
    }

    async fn read(
        &self,
        target: &Target,
        method: &Method,
        query: Option<&str>,
        headers: &HeaderMap,
        client: &Arc<Client>,
    ) -> Result<Response<Body>, Fault> {
        let parameters = Parameters::of(query, target.parameters())?;
        let now = self.clock.now();
        let (parameters, id) = (&parameters, target.node());
        let present = (Kind::Present, USUAL_PRESENT);
        match target {
            Target::Nodes => {
                self.whole(headers, client, present, || self.nodes(parameters, now)).await
            }
            Target::Node(_) => self.whole(headers, client, present, || self.node(id, now)).await,
            Target::History(_) => {
                let asked = &history::Asked::of(parameters, now)?;
                let past = (Kind::Past, asked.room());
                self.whole(headers, client, past, || self.history(id, asked)).await
            }
            Target::Export(_, format) => {
                let node = named(id)?;
                let range = history::range(parameters)?;
                let gzip = accept::takes_gzip(headers);
                self.exports.answer(node, range, *format, gzip, client).await
            }
            Target::Latest => {
                self.whole(headers, client, present, || self.latest(parameters, now)).await
            }
            Target::Sources => {
                self.whole(headers, client, present, || self.sources(parameters, now)).await
            }
            Target::Events => {
                let follow = method == Method::GET && accept::follows_events(headers);
                self.events.answer(headers, follow, client).await
            }
            Target::OpenApi => {
                let text = || OPENAPI.replace(VERSION, env!("CARGO_PKG_VERSION")).into_bytes();
                self.whole(headers, client, present, || async { Ok(text()) }).await
            }
        }
    }

    /// A JSON answer that is made whole, in turn and within the limits; of which
    /// kind, and how many bytes it takes mostly.
    async fn whole<F: Future<Output = Result<Vec<u8>, Fault>>>(
        &self,
        headers: &HeaderMap,
        client: &Arc<Client>,
        (kind, usual): (Kind, usize),
        make: impl Fn() -> F,
    ) -> Result<Response<Body>, Fault> {
        let packed = || async {
            let json = make().await?;
            let small = if accept::takes_gzip(headers) { gzip::of(&json).await } else { None };
            let gzip = small.is_some();
            let tag = etag::of_coding(&etag::of_body(&json), gzip);
            Ok::<_, Fault>((small.unwrap_or(json), (tag, gzip)))
        };
        let (bytes, (tag, gzip)) = self.turns.make(kind, Phase::New, usual, client, packed).await?;
        let has = etag::client_has(headers, &tag);
        let mut response = respond::with_type("application/json", body::full(bytes));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        respond::set(&mut response, VARY, "Accept-Encoding");
        if has {
            return Ok(respond::not_modified(response));
        }
        if gzip {
            respond::set(&mut response, CONTENT_ENCODING, "gzip");
        }
        Ok(response)
    }

    async fn nodes(&self, parameters: &Parameters, now: Timestamp) -> Result<Vec<u8>, Fault> {
        let page = self.selected(parameters, now).await?;
        Ok(node_view::nodes(&page, now, self.activity, &self.zone)?)
    }

    async fn latest(&self, parameters: &Parameters, now: Timestamp) -> Result<Vec<u8>, Fault> {
        let page = self.selected(parameters, now).await?;
        Ok(view::measurements(&page.rows, &self.zone, page.next(node_of))?)
    }

    /// The newest measurement of each node that `active` selects: of the active
    /// ones, of the others, or of all; in pages.
    async fn selected(
        &self,
        parameters: &Parameters,
        now: Timestamp,
    ) -> Result<Page<StoredMeasurement>, Fault> {
        let asked = Asked::of(parameters)?;
        let rows = match parameters.boolean("active")? {
            Some(false) => self.inactive(&asked, now).await,
            active => {
                let since = active.map(|_| self.activity.active_since(now));
                self.reader.latest_page(asked.after(), asked.most(), since).await
            }
        };
        Ok(asked.first_of(self.trouble.told(Reading::Newest, rows)?))
    }

    /// So many as are asked for of those that are not active.
    async fn inactive(
        &self,
        asked: &Asked,
        now: Timestamp,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        let mut rows = Vec::new();
        let mut see = |row: StoredMeasurement| {
            if rows.len() < asked.most()
                && node_of(&row) > asked.after()
                && !self.activity.is_active(row.measurement.observed, now)
            {
                rows.push(row);
            }
        };
        self.reader.each_latest(None, &mut see).await?;
        Ok(rows)
    }

    async fn node(&self, id: Option<&str>, now: Timestamp) -> Result<Vec<u8>, Fault> {
        let newest = self.newest(&named(id)?).await?;
        Ok(node_view::node(&newest, now, self.activity, &self.zone)?)
    }

    async fn history(&self, id: Option<&str>, asked: &history::Asked) -> Result<Vec<u8>, Fault> {
        let node = named(id)?;
        self.newest(&node).await?;
        let pruned_until = self.reader.pruned_until(&node).await;
        let pruned_until = self.trouble.told(Reading::History, pruned_until)?;
        let asked = asked.clone().of_what_is_left(pruned_until);
        let (range, step) = (asked.whole_buckets()?, asked.step);
        let buckets = self.reader.buckets(&node, range, step).await;
        let buckets = self.trouble.told(Reading::History, buckets)?;
        Ok(history::json(&node, &asked, &buckets, &self.zone)?)
    }

    async fn sources(&self, parameters: &Parameters, now: Timestamp) -> Result<Vec<u8>, Fault> {
        let asked = Asked::of(parameters)?;
        let sources = self.trouble.told(Reading::Sources, self.reader.sources().await)?;
        let page = asked.page(sources, source_of);
        Ok(sources_view::sources(&page.rows, &self.zone, now, page.next(source_of))?)
    }

    /// A node's newest measurement; without one it is unknown.
    async fn newest(&self, node: &NodeId) -> Result<StoredMeasurement, Fault> {
        let rows = self.reader.history(node, HistoryRange::ALL, 1).await;
        let newest = self.trouble.told(Reading::Node, rows)?.pop();
        newest.ok_or_else(Fault::unknown_node)
    }
}

fn node_of(row: &StoredMeasurement) -> &str {
    row.measurement.node.as_str()
}

fn source_of(summary: &SourceSummary) -> &str {
    summary.source.as_str()
}

/// A name that no node can have is that of an unknown node.
fn named(id: Option<&str>) -> Result<NodeId, Fault> {
    let node = id.and_then(|id| NodeId::new(id).ok());
    node.ok_or_else(Fault::unknown_node)
}
