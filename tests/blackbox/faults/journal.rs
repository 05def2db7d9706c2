//! What reached the disk and the broker, in the order in which it did.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::support::Message;

/// The journal of `preload.c`.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    events: Vec<Event>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes were written to a file.
    Written { file: String, bytes: u64 },
    /// A file was synced; the copy holds what it held.
    Synced { file: String, copy: PathBuf },
    /// The folder was synced.
    FolderSynced,
    /// A message is acknowledged to the broker.
    Acknowledged(Message),
}

/// What the database's files are after a power cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remains {
    pub(crate) database: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
    /// How many messages were acknowledged before the cut.
    pub(crate) acknowledged: usize,
}

impl Journal {
    pub(super) fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("journal")).unwrap_or_default();
        let mut traffic = Traffic::default();
        let mut events = Vec::new();
        // A last line may still be on its way.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap();
            let mut word = || words.next().unwrap_or_default().to_owned();
            match kind {
                "w" => events.push(Event::Written { file: word(), bytes: word().parse().unwrap() }),
                "s" => {
                    let (file, number) = (word(), word());
                    let copy = folder.join(format!("{number}.{file}"));
                    events.push(Event::Synced { file, copy });
                }
                "d" => events.push(Event::FolderSynced),
                "i" => traffic.comes(&from_hex(&word())),
                "o" => events.extend(traffic.goes(&from_hex(&word())).map(Event::Acknowledged)),
                other => panic!("{other:?} in the journal"),
            }
        }
        Self { folder: folder.to_owned(), events }
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The messages that were acknowledged, in their order.
    pub(crate) fn acknowledged(&self) -> Vec<Message> {
        let message = |event: &Event| match event {
            Event::Acknowledged(message) => Some(message.clone()),
            _ => None,
        };
        self.events.iter().filter_map(message).collect()
    }

    /// How often a file was synced.
    pub(crate) fn syncs(&self, of: &str) -> usize {
        let is = |event: &&Event| matches!(event, Event::Synced { file, .. } if file == of);
        self.events.iter().filter(is).count()
    }

    /// Bytes that were written to a file.
    pub(crate) fn bytes(&self, of: &str) -> u64 {
        let bytes = |event: &Event| match event {
            Event::Written { file, bytes } if file == of => *bytes,
            _ => 0,
        };
        self.events.iter().map(bytes).sum()
    }

    /// What is left if the power goes at the last moment before each sync, and
    /// at the end.
    pub(crate) fn cuts(&self) -> Vec<Remains> {
        let mut cuts = Vec::new();
        let mut now = Remains::default();
        for event in &self.events {
            match event {
                Event::Synced { file, copy } => {
                    cuts.push(now.clone());
                    match file.as_str() {
                        "db" => now.database = Some(copy.clone()),
                        "wal" => now.log = Some(copy.clone()),
                        _ => {}
                    }
                }
                Event::Acknowledged(_) => now.acknowledged += 1,
                Event::FolderSynced | Event::Written { .. } => {}
            }
        }
        cuts.push(now);
        cuts
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Kept for whoever looks into a failure; the folder vanishes anyway.
        if std::thread::panicking() {
            eprintln!("the journal was in {}", self.folder.display());
        }
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// One MQTT 5 connection after another.
#[derive(Debug, Default)]
struct Traffic {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    in_flight: BTreeMap<u16, Message>,
}

impl Traffic {
    fn comes(&mut self, bytes: &[u8]) {
        self.incoming.extend(bytes);
        while let Some((head, body)) = take_packet(&mut self.incoming) {
            if head >> 4 == 3 {
                let (id, message) = published(&body);
                self.in_flight.insert(id, message);
            }
        }
    }

    fn goes(&mut self, bytes: &[u8]) -> impl Iterator<Item = Message> {
        const CONNECT: u8 = 0x10;
        const PUBACK: u8 = 0x40;
        if bytes[0] == CONNECT {
            *self = Self::default();
        }
        self.outgoing.extend(bytes);
        let mut acknowledged = Vec::new();
        while let Some((head, body)) = take_packet(&mut self.outgoing) {
            if head == PUBACK {
                let id = u16::from_be_bytes([body[0], body[1]]);
                acknowledged.push(self.in_flight.remove(&id).expect("the broker sent it"));
            }
        }
        acknowledged.into_iter()
    }
}

/// The first packet, once it is whole: its first byte and its body.
fn take_packet(stream: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (length, begin) = variable_length(stream.get(1..)?)?;
    let (begin, end) = (1 + begin, 1 + begin + length);
    if stream.len() < end {
        return None;
    }
    let packet: Vec<u8> = stream.drain(..end).collect();
    Some((packet[0], packet[begin..].to_vec()))
}

/// A number of seven bits a byte, and how many bytes it takes.
fn variable_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = 1 + bytes.iter().position(|byte| byte & 128 == 0)?;
    let number = bytes[..end].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 127));
    Some((number, end))
}

/// Identifier, topic and payload of a PUBLISH with quality of service 1.
fn published(body: &[u8]) -> (u16, Message) {
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let id = u16::from_be_bytes([body[topic_end], body[topic_end + 1]]);
    let (properties, length) = variable_length(&body[topic_end + 2..]).unwrap();
    let payload = &body[topic_end + 2 + length + properties..];
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (id, (text(&body[2..topic_end]), text(payload)))
}
