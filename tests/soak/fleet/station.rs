//! An ESP32: measures, keeps its last lines, and publishes them in batches that
//! overlap; or telemetry, one message for each measurement.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    Weather,
    clock::{Kind, NodeClock},
    ledger::Ledger,
    post::Post,
    sample::Sample,
};
use crate::{counters::Counters, rng::Rng};

/// So many lines an ESP32 keeps.
const KEPT: usize = 5;

/// For how long the last message is tried when all is over.
const LAST_TRIES: Duration = Duration::from_secs(30);

/// What a station publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Batches of lines.
    Lines(Kind),
    /// Batches of lines, and the newest once more as telemetry.
    Both,
    /// Telemetry.
    Telemetry,
}

/// A station, which lives in a thread of its own.
pub(super) struct Station {
    pub(super) name: String,
    pub(super) says: Says,
    pub(super) broker: SocketAddr,
    pub(super) rng: Rng,
    pub(super) ledger: Arc<Ledger>,
    pub(super) counters: Arc<Counters>,
    pub(super) weather: Arc<Weather>,
}

/// A message with the numbers of its measurements.
#[derive(Clone, Debug)]
struct Message {
    topic: String,
    payload: String,
    numbers: Vec<usize>,
    accepted: bool,
}

/// What a station has in memory.
struct Memory {
    clock: NodeClock,
    lines: VecDeque<(usize, i64)>,
    unpublished: usize,
    previous: Option<Message>,
    /// The uptime at which a message was last accepted.
    accepted_at: u64,
}

impl Memory {
    const fn with(clock: NodeClock) -> Self {
        Self { clock, lines: VecDeque::new(), unpublished: 0, previous: None, accepted_at: 0 }
    }
}

impl Station {
    /// Measures each second until it is enough.
    pub(super) fn live(mut self) {
        let mut memory = Memory::with(NodeClock::running(self.kind()));
        let mut post = None;
        let mut next = Instant::now() + self.rng.duration((Duration::ZERO, Duration::from_secs(1)));
        while self.weather.nodes_measure.load(Ordering::Relaxed) {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next = (next + Duration::from_secs(1)).max(Instant::now());
            let storm = self.weather.storm.load(Ordering::Relaxed);
            if storm && self.may_restart(&memory) && self.rng.percent(3) {
                self.counters.count("ESP32 restarts");
                memory = Memory::with(NodeClock::start(self.kind(), &mut self.rng));
                post = None;
                self.say_that_nothing_was_measured(&mut post);
            }
            self.measure(&mut memory);
            let batch = self.rng.range(KEPT - 1, KEPT);
            if memory.unpublished >= batch || self.says == Says::Telemetry {
                self.publish(&mut post, &mut memory, storm);
            }
        }
        let deadline = Instant::now() + LAST_TRIES;
        while memory.unpublished > 0 && Instant::now() < deadline {
            self.publish(&mut post, &mut memory, false);
            thread::sleep(Duration::from_millis(100));
        }
        if memory.unpublished > 0 {
            self.counters.find(format!("{}: the broker takes nothing any more", self.name));
        }
    }

    const fn kind(&self) -> Kind {
        match self.says {
            Says::Lines(kind) => kind,
            Says::Both | Says::Telemetry => Kind::Right,
        }
    }

    /// By the clock rule, a start shortly after another can look like the same
    /// to whom knows only what was published.
    fn may_restart(&self, memory: &Memory) -> bool {
        memory.accepted_at >= super::router::LEAST_UPTIME && self.says != Says::Telemetry
    }

    /// The firmware's first message after a start, now and then.
    fn say_that_nothing_was_measured(&mut self, post: &mut Option<Post>) {
        if self.rng.percent(50) {
            let payload = format!("{};1;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0", self.name);
            // Whether it is accepted makes no difference.
            if self.send(post, &format!("/isems/{}/csvlog", self.name), &payload).is_ok() {
                self.counters.count("boot placeholders");
            }
        }
    }

    fn measure(&self, memory: &mut Memory) {
        let reported = (self.says != Says::Telemetry).then(|| memory.clock.next_line());
        let number = self.ledger.measure(&self.name, reported);
        memory.lines.push_back((number, reported.unwrap_or_default()));
        memory.unpublished += 1;
        if memory.lines.len() > KEPT {
            memory.lines.pop_front();
        }
    }

    fn publish(&mut self, post: &mut Option<Post>, memory: &mut Memory, storm: bool) {
        let mut message = self.message(memory);
        self.deliver(post, &mut message);
        if !message.accepted && self.says != Says::Telemetry && self.rng.percent(50) {
            // It may have been accepted all the same: the link may have broken
            // only then.
            self.counters.count("messages published again for want of an acknowledgement");
            self.deliver(post, &mut message);
        }
        if message.accepted {
            memory.unpublished = 0;
            memory.accepted_at = memory.clock.uptime();
            if self.says == Says::Both {
                self.repeat_as_telemetry(post, memory);
            }
            let again = match &memory.previous {
                _ if !storm || !self.rng.percent(10) => None,
                Some(previous) if self.says != Says::Telemetry && self.rng.percent(50) => {
                    Some(previous.clone())
                }
                _ => Some(message.clone()),
            };
            if let Some(mut again) = again {
                self.counters.count("messages published twice");
                self.deliver(post, &mut again);
            }
        } else if self.says == Says::Telemetry {
            // A later repetition could not be told from a new measurement.
            memory.unpublished = 0;
        }
        memory.previous = Some(message);
    }

    fn message(&self, memory: &Memory) -> Message {
        let name = &self.name;
        if self.says == Says::Telemetry {
            let number = memory.lines.back().unwrap().0;
            return Message {
                topic: format!("/isems/{name}/data.json"),
                payload: Sample::of(name, number).telemetry(),
                numbers: vec![number],
                accepted: false,
            };
        }
        let lines: Vec<String> = memory
            .lines
            .iter()
            .map(|(number, reported)| Sample::of(name, *number).line(name, *reported))
            .collect();
        Message {
            topic: format!("/isems/{name}/csvlog"),
            payload: lines.join("\n"),
            numbers: memory.lines.iter().map(|(number, _)| *number).collect(),
            accepted: false,
        }
    }

    /// What a line tells already is not stored once more.
    fn repeat_as_telemetry(&self, post: &mut Option<Post>, memory: &Memory) {
        let number = memory.lines.back().unwrap().0;
        let payload = Sample::of(&self.name, number).repeated_telemetry();
        if self.send(post, &format!("/isems/{}/data.json", self.name), &payload).is_ok() {
            self.counters.count("telemetry that repeats a line");
        }
    }

    fn deliver(&self, post: &mut Option<Post>, message: &mut Message) {
        if self.send(post, &message.topic, &message.payload).is_err() {
            return;
        }
        self.counters.count("messages accepted by the broker");
        if !message.accepted {
            message.accepted = true;
            if self.says == Says::Lines(Kind::Uptime) {
                self.ledger.owe_in_order(&self.name, &message.numbers);
            } else {
                self.ledger.owe(&self.name, message.numbers.iter().copied());
            }
        }
    }

    fn send(&self, post: &mut Option<Post>, topic: &str, payload: &str) -> io::Result<()> {
        let mut connected = match post.take() {
            Some(post) => post,
            None => Post::connect(self.broker, &self.name)?,
        };
        connected.publish(topic, payload)?;
        *post = Some(connected);
        Ok(())
    }
}
