//! What changed since somebody was told, and how that is written.

use std::collections::BTreeMap;

use isems_core::{ActivityRule, Check, NodeId, RowId, StoredMeasurement, Timestamp, checks};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::lowest::Lowest;
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
    /// How often was looked at all nodes since.
    looks: u64,
}

/// What a client's picture of a node depends on.
#[derive(Debug)]
struct Seen {
    newest: RowId,
    state: State,
    /// The last look that found it there.
    look: u64,
}

/// What time alone changes.
#[derive(Debug, PartialEq, Eq)]
struct State {
    active: bool,
    checks: Vec<Check>,
}

/// A look at all nodes, one by one. It keeps no more of them than can be told
/// of at once.
#[derive(Debug)]
pub(super) struct Look {
    highest: RowId,
    changed: Lowest,
}

impl Look {
    /// Begins to look for what is other than `known`.
    pub(super) fn begin(known: &mut Known) -> Self {
        known.looks += 1;
        Self { highest: 0, changed: Lowest::of(MOST + 1) }
    }
}

/// What is told depends on when and by which rules.
pub(super) struct Told<'a> {
    pub(super) activity: ActivityRule,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
}

impl Told<'_> {
    /// Those who are told from now on know this.
    pub(super) fn note(&self, row: &StoredMeasurement, known: &mut Known) {
        known.high = known.high.max(row.id);
        let seen = Seen { newest: row.id, state: self.state(row, self.now), look: known.looks };
        known.nodes.insert(row.measurement.node.clone(), seen);
    }

    /// Sees how a node is.
    pub(super) fn see(&self, row: StoredMeasurement, known: &mut Known, look: &mut Look) {
        look.highest = look.highest.max(row.id);
        if let Some(seen) = known.nodes.get_mut(&row.measurement.node) {
            seen.look = known.looks;
            if seen.newest == row.id && seen.state == self.state(&row, self.now) {
                return;
            }
        }
        look.changed.add(row);
    }

    /// The events for what a look found other than `known`, which is brought up
    /// to date.
    pub(super) fn changes(&self, look: Look, known: &mut Known) -> serde_json::Result<Vec<u8>> {
        let high = look.highest;
        let (changed, is_all) = look.changed.first(MOST);
        let is_lower = high < known.high;
        if is_lower {
            // Nodes were removed, or the database is another one. Who comes
            // back with an id must not miss what has lower ones.
            known.high = changed.first().map_or(high, |row| high.min(row.id - 1));
        }
        let mut text = Vec::new();
        let looks = known.looks;
        let gone: Vec<_> = known.nodes.extract_if(.., |_, seen| seen.look != looks).collect();
        for (id, _) in gone {
            write_gone(&id, known.high, &mut text)?;
        }
        self.write(&changed, &mut known.high, &mut text)?;
        if is_lower && is_all && known.high < high {
            known.high = high;
            write_id(high, &mut text);
        }
        for row in changed {
            let seen = Seen { newest: row.id, state: self.state(&row, self.now), look: looks };
            known.nodes.insert(row.measurement.node, seen);
        }
        Ok(text)
    }

    /// Whether time alone made a node's state another than it was `then`.
    pub(super) fn is_altered(&self, row: &StoredMeasurement, then: Timestamp) -> bool {
        self.state(row, then) != self.state(row, self.now)
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
        rows: &[StoredMeasurement],
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
