//! What changed since somebody was told, and how that is written.

use std::collections::{BTreeMap, HashSet};

use isems_core::{ActivityRule, Check, NodeId, RowId, StoredMeasurement, Timestamp, checks};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::api::v1::node_view;

/// So many changes are told at once; further ones the next time. What waits for
/// those who follow is bounded.
const MOST: usize = 1_000;

/// What clients were told.
#[derive(Debug, Default)]
pub(super) struct Known {
    nodes: BTreeMap<NodeId, Seen>,
    /// The highest id that was told.
    high: RowId,
}

/// What a client's picture of a node depends on.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    newest: RowId,
    state: State,
}

/// What time alone changes.
#[derive(Debug, PartialEq, Eq)]
struct State {
    active: bool,
    checks: Vec<Check>,
}

/// What is told depends on when and by which rules.
pub(super) struct Told<'a> {
    pub(super) activity: ActivityRule,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
}

impl Told<'_> {
    /// What those know who are told from now on.
    pub(super) fn known(&self, newest: &[StoredMeasurement]) -> Known {
        let nodes = newest.iter().map(|row| (row.measurement.node.clone(), self.seen(row)));
        Known { nodes: nodes.collect(), high: highest(newest) }
    }

    /// The events for what is other than `known`, which is brought up to date.
    pub(super) fn changes(
        &self,
        newest: &[StoredMeasurement],
        known: &mut Known,
    ) -> serde_json::Result<Vec<u8>> {
        let is_told = |row: &&StoredMeasurement| {
            known.nodes.get(&row.measurement.node) == Some(&self.seen(row))
        };
        let mut changed: Vec<_> = newest.iter().filter(|row| !is_told(row)).collect();
        changed.sort_unstable_by_key(|row| row.id);
        let is_all = changed.len() <= MOST;
        changed.truncate(MOST);
        let high = highest(newest);
        let is_lower = high < known.high;
        if is_lower {
            // Nodes were removed, or the database is another one. Who comes
            // back with an id must not miss what has lower ones.
            known.high = changed.first().map_or(high, |row| high.min(row.id - 1));
        }
        let mut text = Vec::new();
        let nodes: HashSet<_> = newest.iter().map(|row| &row.measurement.node).collect();
        let gone: Vec<_> = known.nodes.extract_if(.., |id, _| !nodes.contains(id)).collect();
        for (id, _) in gone {
            write_gone(&id, known.high, &mut text)?;
        }
        self.write(&changed, &mut known.high, &mut text)?;
        if is_lower && is_all && known.high < high {
            known.high = high;
            write_id(high, &mut text);
        }
        for row in changed {
            known.nodes.insert(row.measurement.node.clone(), self.seen(row));
        }
        Ok(text)
    }

    /// Whether time alone made a node's state another than it was `then`.
    pub(super) fn is_altered(&self, row: &StoredMeasurement, then: Timestamp) -> bool {
        self.state(row, then) != self.state(row, self.now)
    }

    fn seen(&self, row: &StoredMeasurement) -> Seen {
        Seen { newest: row.id, state: self.state(row, self.now) }
    }

    fn state(&self, row: &StoredMeasurement, at: Timestamp) -> State {
        State {
            active: self.activity.is_active(row.measurement.observed, at),
            checks: checks(&row.measurement, at),
        }
    }

    /// Writes events of rows with rising ids: a client that is cut off in
    /// between has seen everything up to the id that it resumes from.
    pub(super) fn write(
        &self,
        rows: &[&StoredMeasurement],
        high: &mut RowId,
        text: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        for row in rows {
            *high = row.id.max(*high);
            let node = node_view::node(row, self.now, self.activity, self.zone)?;
            write_event("node", *high, &node, text);
        }
        Ok(())
    }
}

/// The highest id of all.
pub(super) fn highest(newest: &[StoredMeasurement]) -> RowId {
    newest.iter().map(|row| row.id).max().unwrap_or(0)
}

/// An id alone: an event without data is none, but its id counts.
pub(super) fn write_id(id: RowId, text: &mut Vec<u8>) {
    text.extend_from_slice(format!("id: {id}\n\n").as_bytes());
}

fn write_gone(id: &NodeId, high: RowId, text: &mut Vec<u8>) -> serde_json::Result<()> {
    #[derive(Serialize)]
    struct Gone<'a> {
        id: &'a str,
    }
    let gone = serde_json::to_vec(&Gone { id: id.as_str() })?;
    write_event("gone", high, &gone, text);
    Ok(())
}

/// JSON holds no line ends, so it is one line of data.
fn write_event(name: &str, id: RowId, json: &[u8], text: &mut Vec<u8>) {
    text.extend_from_slice(format!("event: {name}\nid: {id}\ndata: ").as_bytes());
    text.extend_from_slice(json);
    text.extend_from_slice(b"\n\n");
}
