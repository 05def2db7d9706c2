//! From the bytes of a delivery to the lines of each node.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{
    Delivery, Format, Identity, NodeId, Reported, Sample, SourceKind, Timestamp,
    wire::{
        Reading, RejectReason, Rejected, csv_log, csv_topic_names, status_json, telemetry_json,
    },
};

/// A log names one node, or the few behind a gateway. Each name has to be looked
/// up: of a log that names thousands, the further ones are rejected.
const MOST_NODES: usize = 1_000;

/// What a delivery holds, before anything is looked up.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The lines of each node, in the order of the payload.
    pub(super) logs: Vec<(NodeId, Vec<LogLine>)>,
    /// Where the lines of a node are in `logs`.
    places: BTreeMap<NodeId, usize>,
    /// A telemetry message.
    pub(super) telemetry: Option<Message>,
    /// Examples of what could not be used.
    pub(super) rejected: Vec<Rejected>,
    /// All that could not be used, by reason.
    pub(super) rejected_by_reason: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub(super) struct LogLine {
    pub(super) reported: Timestamp,
    pub(super) sample: Sample,
    /// The last line of the known prefix: it only says what the new lines
    /// continue.
    pub(super) context: bool,
}

impl LogLine {
    /// Its identity if it belongs to a run with this offset.
    pub(super) fn under(&self, offset: i64) -> Identity {
        (self.reported.plus(offset), Reported::Time(self.reported))
    }
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) node: NodeId,
    pub(super) sample: Sample,
    pub(super) fingerprint: i64,
}

impl Parsed {
    /// Reads a delivery beyond its known prefix.
    pub(super) fn of(delivery: &Delivery) -> Self {
        Self::beyond(delivery, delivery.known_prefix.min(delivery.payload.len()))
    }

    /// Reads all of a delivery.
    pub(super) fn whole(delivery: &Delivery) -> Self {
        Self::beyond(delivery, 0)
    }

    /// What stands for the known prefix: it is stored if this is.
    pub(super) fn context(&self) -> Option<(&NodeId, &[LogLine])> {
        let (node, lines) = self.logs.first()?;
        lines.first().filter(|line| line.context).map(|_| (node, &lines[..1]))
    }

    fn beyond(delivery: &Delivery, prefix: usize) -> Self {
        let mut parsed = Self::default();
        match delivery.format {
            Format::CsvLog => parsed.read_log(delivery, prefix),
            Format::TelemetryJson => parsed.read_telemetry(delivery),
            Format::StatusJson => match status_json::parse(&delivery.payload) {
                Ok(reading) => parsed.add(reading, false),
                Err(reason) => parsed.reject(1, reason, &delivery.payload),
            },
        }
        parsed
    }

    /// What a polled node answered in place of a log. Garbage behind lines that
    /// are known is no such thing, nor is what somebody published.
    pub(super) fn failure(&self, delivery: &Delivery) -> Option<String> {
        let is_answer = delivery.kind == SourceKind::Http && delivery.known_prefix == 0;
        let mut rejected = self.rejected.iter().filter(|_| is_answer);
        let found = rejected.find(|of| of.reason == RejectReason::NotALog)?;
        Some(format!("{}: {}", found.reason, found.excerpt))
    }

    /// The nodes with lines that are not only context.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        let logs = self.logs.iter().filter(|(_, lines)| lines.iter().any(|line| !line.context));
        logs.map(|(node, _)| node)
            .chain(self.telemetry.iter().map(|message| &message.node))
            .cloned()
            .collect()
    }

    fn read_log(&mut self, delivery: &Delivery, prefix: usize) {
        let (prefix, news) = delivery.payload.split_at(prefix);
        if let Some(context) = last_reading(prefix) {
            self.add(context, true);
        }
        let mut foreign = None;
        let log = csv_log::parse_each(news, delivery.framing, |reading| match &delivery.topic {
            _ if foreign.is_some() => {}
            Some(topic) if !csv_topic_names(topic, &reading.node) => {
                foreign = Some(format!("{topic}: {}", csv_log::format_line(&reading)));
            }
            _ => self.add(reading, false),
        });
        if let Some(excerpt) = foreign {
            // Who speaks for another is not believed in the rest either.
            *self = Self::default();
            self.reject(0, RejectReason::NodeMismatch, excerpt.as_bytes());
            return;
        }
        let room = csv_log::Log::EXAMPLES.saturating_sub(self.rejected.len());
        self.rejected.extend(log.rejected.into_iter().take(room));
        for (reason, count) in log.rejected_by_reason {
            *self.rejected_by_reason.entry(reason).or_default() += count;
        }
    }

    fn read_telemetry(&mut self, delivery: &Delivery) {
        let read = || -> Result<Message, RejectReason> {
            Ok(Message {
                node: NodeId::new(delivery.node.as_deref().unwrap_or_default())?,
                sample: telemetry_json::parse(&delivery.payload)?,
                fingerprint: telemetry_json::fingerprint(&delivery.payload),
            })
        };
        match read() {
            // There is no time in it, and that of a retained message is unknown.
            Ok(_) if delivery.retained => self.reject(1, RejectReason::Retained, &delivery.payload),
            Ok(message) => self.telemetry = Some(message),
            Err(reason) => self.reject(1, reason, &delivery.payload),
        }
    }

    fn add(&mut self, reading: Reading, context: bool) {
        let line = LogLine { reported: reading.reported, sample: reading.sample, context };
        match self.places.entry(reading.node) {
            Entry::Occupied(place) => self.logs[*place.get()].1.push(line),
            Entry::Vacant(place) if self.logs.len() < MOST_NODES => {
                self.logs.push((place.key().clone(), vec![line]));
                place.insert(self.logs.len() - 1);
            }
            Entry::Vacant(place) => {
                let node = place.into_key();
                self.reject(0, RejectReason::TooManyNodes, node.as_str().as_bytes());
            }
        }
    }

    fn reject(&mut self, line: usize, reason: RejectReason, bytes: &[u8]) {
        *self.rejected_by_reason.entry(reason.key()).or_default() += 1;
        if self.rejected.len() < csv_log::Log::EXAMPLES {
            self.rejected.push(Rejected::new(line, reason, bytes));
        }
    }
}

/// The last line of a prefix that is a reading; a few that are not are passed
/// over.
fn last_reading(prefix: &[u8]) -> Option<Reading> {
    const PASSED_OVER: usize = 20;
    let lines = prefix.rsplit(|&b| b == b'\n').take(PASSED_OVER);
    lines.into_iter().find_map(|line| match csv_log::parse_line(line) {
        Ok(csv_log::Line::Reading(reading)) => Some(reading),
        _ => None,
    })
}
