//! All measurements of a node as a file, in constant memory.

mod format;

use std::{io, sync::Arc};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Response,
    body::{Bytes, Frame},
    header::{CONTENT_DISPOSITION, CONTENT_ENCODING, HeaderValue, VARY},
};
use isems_core::{HistoryRange, MeasurementReader, NodeId, Pages, StoredMeasurement};
use jiff::tz::TimeZone;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) use self::format::Format;
use self::format::Writer;
use super::problem::Fault;
use crate::api::{
    body::Body,
    client::Client,
    respond::{self, Problem},
    scarce::{Scarce, Share},
    settings::ApiLimits,
    trouble::{Reading, Trouble},
    turns::{Kind, Phase, Turns},
};

/// Where exports are made, a few at a time.
pub(super) struct Exports {
    reader: Arc<dyn MeasurementReader>,
    zone: TimeZone,
    turns: Arc<Turns>,
    places: Scarce,
    trouble: Arc<Trouble>,
}

impl Exports {
    pub(super) fn new(
        limits: &ApiLimits,
        reader: &Arc<dyn MeasurementReader>,
        zone: &TimeZone,
        (turns, trouble): &(Arc<Turns>, Arc<Trouble>),
    ) -> Self {
        Self {
            reader: Arc::clone(reader),
            zone: zone.clone(),
            turns: Arc::clone(turns),
            places: Scarce::new(limits.exports, limits.patience),
            trouble: Arc::clone(trouble),
        }
    }

    /// The measurements of a node within `range`, newest first. Nothing is sent
    /// before the first page was read.
    pub(super) async fn answer(
        &self,
        node: NodeId,
        range: HistoryRange,
        format: Format,
        gzip: bool,
        client: &Arc<Client>,
    ) -> Result<Response<Body>, Fault> {
        let place = self.turns.within(Phase::New, self.places.share(1, client)).await??;
        let name = file_name(&node, format);
        let mut export = Export {
            reader: Arc::clone(&self.reader),
            turns: Arc::clone(&self.turns),
            trouble: Arc::clone(&self.trouble),
            writer: Some(Writer::new(format, gzip, self.zone.clone())),
            node,
            pages: Pages::of(range),
            first: None,
            _place: place,
        };
        export.first = Some(export.page(Phase::New).await?);
        if export.first == Some(None) && !export.is_known().await? {
            return Err(Fault::unknown_node());
        }
        let body = StreamBody::new(stream::try_unfold(export, Export::next));
        let mut response = respond::with_type(format.content_type(), body.boxed_unsync());
        if let Ok(name) = HeaderValue::try_from(name) {
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
        }
        respond::set(&mut response, VARY, "Accept-Encoding");
        if gzip {
            respond::set(&mut response, CONTENT_ENCODING, "gzip");
        }
        Ok(response)
    }
}

type Page = Option<Vec<StoredMeasurement>>;

/// One export under way: at most one page of it is in memory.
struct Export {
    reader: Arc<dyn MeasurementReader>,
    turns: Arc<Turns>,
    trouble: Arc<Trouble>,
    /// `None` once the end was written.
    writer: Option<Writer>,
    node: NodeId,
    pages: Pages,
    /// The first page, read ahead.
    first: Option<Page>,
    _place: Share,
}

impl Export {
    async fn page(&mut self, phase: Phase) -> Result<Page, Problem> {
        let Self { reader, turns, trouble, node, pages, .. } = self;
        let page = async { trouble.told(Reading::History, pages.next(&**reader, node).await) };
        turns.read(Kind::Past, phase, page).await
    }

    async fn is_known(&self) -> Result<bool, Problem> {
        let any = self.reader.history(&self.node, HistoryRange::ALL, 1);
        let any = async { self.trouble.told(Reading::Node, any.await) };
        let any = self.turns.read(Kind::Past, Phase::New, any).await?;
        Ok(!any.is_empty())
    }

    /// The next piece; `None` after the last.
    async fn next(mut self) -> io::Result<Option<(Frame<Bytes>, Self)>> {
        while let Some(mut writer) = self.writer.take() {
            let page = if let Some(page) = self.first.take() {
                page
            } else {
                // The client sees the connection break, which is not the end of a file.
                let page = self.page(Phase::UnderWay).await;
                page.map_err(|problem| io::Error::other(problem.text()))?
            };
            let piece = match page {
                Some(rows) => {
                    let piece = writer.piece(&rows)?;
                    self.writer = Some(writer);
                    piece
                }
                None => writer.end()?,
            };
            if !piece.is_empty() {
                return Ok(Some((Frame::data(piece.into()), self)));
            }
        }
        Ok(None)
    }
}

/// The file's name for old clients in ASCII, for others as it is.
fn file_name(node: &NodeId, format: Format) -> String {
    let name = format!("{node}.{}", format.extension());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(&name, NON_ALPHANUMERIC);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use isems_core::{Batch, MeasurementRepo, MemoryRepo, SourcePart, testing::measurement};

    use super::*;

    #[test]
    fn a_file_is_named_by_its_node_also_for_old_clients() {
        for (node, header) in [
            ("Dach", r#"attachment; filename="Dach.csv"; filename*=UTF-8''Dach%2Ecsv"#),
            ("a/\"ü", r#"attachment; filename="a___.csv"; filename*=UTF-8''a%2F%22%C3%BC%2Ecsv"#),
        ] {
            assert_eq!(file_name(&NodeId::new(node).unwrap(), Format::Csv), header);
        }
    }

    async fn exports_of_one_row() -> Exports {
        let repo = MemoryRepo::default();
        let rows = vec![measurement("a", 1_000, 12.0)];
        let parts = vec![SourcePart { update: None, rows }];
        repo.store(&Batch { parts, ..Batch::default() }).await.unwrap();
        let limits = ApiLimits::default();
        let shared = (Arc::new(Turns::new(&limits)), Arc::default());
        let reader: Arc<dyn MeasurementReader> = Arc::new(repo);
        Exports::new(&limits, &reader, &TimeZone::UTC, &shared)
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_half_of_the_exports_and_leaves_the_rest_to_others() {
        for (peers, places) in [
            (vec!["10.0.0.1".to_owned(); 9], 4),
            ((0..9).map(|host| format!("10.0.0.{host}")).collect(), 8),
            (vec!["127.0.0.1".to_owned(); 9], 8),
        ] {
            let (exports, mut under_way) = (exports_of_one_row().await, Vec::new());
            for peer in &peers {
                let client = Arc::new(Client::at(peer.parse().unwrap(), &ApiLimits::default()));
                let node = NodeId::new("a").unwrap();
                let export =
                    exports.answer(node, HistoryRange::ALL, Format::Csv, false, &client).await;
                under_way.extend(export);
            }
            assert_eq!(under_way.len(), places, "{peers:?}");
        }
    }
}
