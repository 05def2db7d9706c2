//! What is known of the sources, as JSON.

use isems_core::{NodeId, SourceSummary, Tally, Timestamp, time::DAY};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeMap;

use super::iso_time::IsoTime;

#[derive(Serialize)]
struct Document<'a, M> {
    sources: Vec<Source<'a>>,
    #[serde(flatten)]
    more: M,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    id: &'a str,
    kind: &'static str,
    last_success: Option<IsoTime<'a>>,
    last_error: Option<&'a str>,
    last_error_at: Option<IsoTime<'a>>,
    stored: u64,
    duplicate: u64,
    conflict: u64,
    expired: u64,
    rejected: &'a BTreeMap<String, u64>,
    retimed: u64,
    clock_offset_seconds: Option<i64>,
    bytes_today: u64,
    nodes: BTreeMap<&'a str, Counts<'a>>,
}

#[derive(Serialize)]
struct Counts<'a> {
    stored: u64,
    duplicate: u64,
    conflict: u64,
    expired: u64,
    rejected: &'a BTreeMap<String, u64>,
    retimed: u64,
}

/// `{"sources":[…]}` in the given order, with times in `zone`. "Today" is the
/// UTC day of `now`. With the keys of `more` (`()`: none).
pub(super) fn sources(
    sources: &[SourceSummary],
    zone: &TimeZone,
    now: Timestamp,
    more: impl Serialize,
) -> Result<Vec<u8>, serde_json::Error> {
    let today = now.plus(-now.as_unix().rem_euclid(DAY));
    let view = |source| view(source, zone, today);
    let sources = sources.iter().map(view).collect();
    serde_json::to_vec(&Document { sources, more })
}

fn view<'a>(source: &'a SourceSummary, zone: &'a TimeZone, today: Timestamp) -> Source<'a> {
    let iso = |time| IsoTime { time, zone };
    let error = source.last_error.as_ref();
    Source {
        id: source.source.as_str(),
        kind: source.kind.as_str(),
        last_success: source.last_success.map(iso),
        last_error: error.map(|(_, what)| what.as_str()),
        last_error_at: error.map(|(at, _)| iso(*at)),
        stored: source.tally.stored,
        duplicate: source.tally.duplicate,
        conflict: source.tally.conflict,
        expired: source.tally.expired,
        rejected: &source.tally.rejected,
        retimed: source.tally.retimed,
        clock_offset_seconds: source.clock_offset,
        bytes_today: if source.day == today { source.bytes_on_day } else { 0 },
        nodes: source.nodes.iter().map(counts).collect(),
    }
}

fn counts<'a>((node, tally): (&'a NodeId, &'a Tally)) -> (&'a str, Counts<'a>) {
    let Tally { stored, duplicate, conflict, expired, retimed, rejected } = tally;
    let counts = Counts {
        stored: *stored,
        duplicate: *duplicate,
        conflict: *conflict,
        expired: *expired,
        rejected,
        retimed: *retimed,
    };
    (node.as_str(), counts)
}
