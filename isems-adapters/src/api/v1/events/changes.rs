//! What changed since somebody was told, and how that is written.

use std::{collections::BTreeMap, io::Write};

use isems_core::{
    ActivityRule, Check, NodeId, RowId, StoredMeasurement, Timestamp, checks, time::DAY,
};
use jiff::tz::TimeZone;

use crate::api::v1::node_view;

/// How long a client whose connection broke waits before it comes again.
const RETRY_MILLISECONDS: u32 = 5_000;

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
    /// What a client gets first, and what it knows then: the nodes that have
    /// newer measurements than `last`, those that fell silent within the last
    /// day (which is no measurement), and the present id to resume from.
    pub(super) fn beginning(
        &self,
        newest: &[StoredMeasurement],
        last: Option<RowId>,
    ) -> serde_json::Result<(Vec<u8>, Known)> {
        let high = newest.iter().map(|row| row.id).max().unwrap_or(0);
        let mut text = format!("retry: {RETRY_MILLISECONDS}\n\n").into_bytes();
        if let Some(last) = last {
            // An id that was never given is one of another database.
            let mut resumed = if last > high { 0 } else { last };
            let unseen = |row: &&StoredMeasurement| row.id > resumed || self.fell_silent(row);
            self.write(newest.iter().filter(unseen).collect(), &mut resumed, &mut text)?;
        }
        // An event without data is none, but its id counts.
        text.extend_from_slice(format!("id: {high}\n\n").as_bytes());
        let nodes = newest.iter().map(|row| (row.measurement.node.clone(), self.seen(row)));
        Ok((text, Known { nodes: nodes.collect(), high }))
    }

    /// The events for all that is other than `known`, which is brought up to
    /// date.
    pub(super) fn changes(
        &self,
        newest: &[StoredMeasurement],
        known: &mut Known,
    ) -> serde_json::Result<Vec<u8>> {
        let mut nodes = BTreeMap::new();
        let mut changed = Vec::new();
        for row in newest {
            let seen = self.seen(row);
            if known.nodes.get(&row.measurement.node) != Some(&seen) {
                changed.push(row);
            }
            nodes.insert(row.measurement.node.clone(), seen);
        }
        let mut text = Vec::new();
        self.write(changed, &mut known.high, &mut text)?;
        known.nodes = nodes;
        Ok(text)
    }

    fn seen(&self, row: &StoredMeasurement) -> Seen {
        Seen {
            newest: row.id,
            active: self.activity.is_active(row.measurement.observed, self.now),
            checks: checks(&row.measurement, self.now),
        }
    }

    fn fell_silent(&self, row: &StoredMeasurement) -> bool {
        let age = self.now.since(row.measurement.observed);
        age > DAY && age <= 2 * DAY
    }

    /// Writes events, lowest id first: a client that is cut off in between has
    /// seen everything up to the id that it resumes from.
    fn write(
        &self,
        mut rows: Vec<&StoredMeasurement>,
        high: &mut RowId,
        text: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        rows.sort_unstable_by_key(|row| row.id);
        for row in rows {
            *high = row.id.max(*high);
            // JSON holds no line ends, so it is one line of data.
            let node = node_view::node(row, self.now, self.activity, self.zone)?;
            write!(text, "event: node\nid: {high}\ndata: ").map_err(serde_json::Error::io)?;
            text.extend_from_slice(&node);
            text.extend_from_slice(b"\n\n");
        }
        Ok(())
    }
}
