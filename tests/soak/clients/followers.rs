//! Clients that follow events, break off and come back: each time they hear
//! first what they missed.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Client,
    exchange::{self, Pace, begin, is_only_waiting, take},
};
use crate::collector::Life;

const PATH: &str = "/api/v1/events";

/// A client hears something at least so often, if only a sign of life (which
/// comes every 15 s).
const SILENCE: Duration = Duration::from_secs(30);

/// What a client has heard so far.
#[derive(Debug, Default)]
struct Heard {
    /// What it comes back with; 0: tell me of all.
    last: u64,
    /// The newest measurement of each node.
    newest: BTreeMap<String, u64>,
}

impl Heard {
    /// Takes in a line of the stream; says what is wrong with it.
    fn line(&mut self, line: &str) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{why} after {}: {line:?}", self.last));
        match line.trim_end_matches('\n').split_once(": ") {
            // The last one counts, as with browsers. What was told just before the
            // stream began may be told again, with its lower id.
            Some(("id", id)) => match id.parse() {
                Ok(id) => self.last = id,
                Err(_) => return wrong("an id that is no number"),
            },
            Some(("data", json)) => {
                let Ok(node) = serde_json::from_str::<Value>(json) else {
                    return wrong("no JSON");
                };
                match (node["id"].as_str(), node["measurementId"].as_u64()) {
                    (Some(id), Some(newest)) => self.newest.insert(id.to_owned(), newest),
                    // Nothing is ever removed.
                    _ => return wrong("no node"),
                };
            }
            Some(("event", "node") | ("retry", _)) => {}
            _ if line == "\n" || line == ":\n" => {}
            _ => return wrong("an unknown line"),
        }
        Ok(())
    }
}

impl Client {
    pub(super) fn follows(mut self) {
        let mut heard = Heard::default();
        while !self.is_enough() {
            thread::sleep(self.rng.duration((Duration::ZERO, Duration::from_secs(3))));
            let Some(life) = self.presence.now() else { continue };
            let limit = self.rng.duration((Duration::from_secs(1), Duration::from_secs(12)));
            let came_back = self.catches_up(life, &mut heard);
            let followed = came_back.and_then(|()| self.follows_for(life, limit, &mut heard));
            if let Err(what) = followed
                && self.presence.is_still(life)
            {
                self.counters.find(format!("{PATH}: {what}"));
            }
        }
        let Some(life) = self.presence.now() else { return };
        match self.catches_up(life, &mut heard) {
            Ok(()) => self.counters.count("followers of events that know all in the end"),
            Err(what) => self.counters.find(format!("{PATH}: {what}")),
        }
    }

    fn follows_for(&self, life: Life, limit: Duration, heard: &mut Heard) -> Result<(), String> {
        let more = format!("Accept: text/event-stream\r\nLast-Event-ID: {}\r\n", heard.last);
        let stream = begin(life.api, "GET", PATH, &more)?;
        let mut events = Events::of(stream)?;
        let began = Instant::now();
        let mut last_sign = Instant::now();
        while began.elapsed() < limit && !self.is_enough() {
            match events.line()? {
                Some(text) => {
                    last_sign = Instant::now();
                    heard.line(&text)?;
                    if text.starts_with("data: ") {
                        self.counters.count("events heard");
                    }
                }
                None if last_sign.elapsed() > SILENCE => return Err("nothing is heard".into()),
                None => {}
            }
        }
        self.counters.count("followers of events that broke off");
        Ok(())
    }

    /// Hears what it missed, and compares with what there is.
    fn catches_up(&self, life: Life, heard: &mut Heard) -> Result<(), String> {
        let last = format!("Last-Event-ID: {}\r\n", heard.last);
        let missed = take(life.api, "GET", PATH, &last, Pace::AtOnce)?;
        for line in String::from_utf8_lossy(&missed.body).split_inclusive('\n') {
            heard.line(line)?;
        }
        let nodes = take(life.api, "GET", "/api/v1/nodes", "", Pace::AtOnce)?;
        let nodes: Value =
            serde_json::from_slice(&nodes.body).map_err(|error| error.to_string())?;
        for node in nodes["nodes"].as_array().ok_or_else(|| nodes.to_string())? {
            let name = node["id"].as_str().unwrap_or_default();
            let newest = node["measurementId"].as_u64();
            let known = heard.newest.get(name).copied();
            // What has a higher id came since.
            if known != newest && newest.is_none_or(|newest| newest <= heard.last) {
                let last = heard.last;
                return Err(format!("up to {last} it heard {known:?} of {name}, not {newest:?}"));
            }
        }
        self.counters.count("followers of events that came back and missed nothing");
        Ok(())
    }
}

/// The lines of a stream, out of their chunks.
struct Events {
    stream: BufReader<TcpStream>,
    /// Bytes of a line or chunk that is not whole yet.
    raw: Vec<u8>,
    text: Vec<u8>,
}

impl Events {
    /// Takes the head of the answer.
    fn of(stream: TcpStream) -> Result<Self, String> {
        let mut events = Self { stream: BufReader::new(stream), raw: Vec::new(), text: Vec::new() };
        let text = |error: std::io::Error| error.to_string();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if events.stream.read_line(&mut head).map_err(text)? == 0 {
                return Err(format!("no answer: {head:?}"));
            }
        }
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("was answered {head:?}"));
        }
        let short = Some(Duration::from_millis(200));
        events.stream.get_ref().set_read_timeout(short).map_err(text)?;
        Ok(events)
    }

    /// The next line with its end; `None` if none comes just now.
    fn line(&mut self) -> Result<Option<String>, String> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line = self.text.drain(..=end).collect();
                return String::from_utf8(line).map(Some).map_err(|error| error.to_string());
            }
            match exchange::take_chunk(&mut self.raw)? {
                Some(chunk) if chunk.is_empty() => return Err("the events end".into()),
                Some(chunk) => self.text.extend(chunk),
                None => match self.stream.fill_buf() {
                    Ok([]) => return Err("the connection ends".into()),
                    Ok(bytes) => {
                        let length = bytes.len();
                        self.raw.extend_from_slice(bytes);
                        self.stream.consume(length);
                    }
                    Err(error) if is_only_waiting(&error) => return Ok(None),
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}
