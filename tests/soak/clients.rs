//! Clients of the API: those that ask and must be answered whenever the process
//! runs, those that take exports and follow events and must miss nothing, those
//! that read slowly, and those that only hold a connection.

mod exchange;
mod exports;
mod followers;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use self::exchange::{LIMIT, ask, is_only_waiting};
use crate::{
    collector::{Life, Presence},
    counters::{Counters, lock},
    fleet::ARCHIVE,
    rng::Rng,
};

const ASKING: usize = 2;
const EXPORTING: usize = 2;
const FOLLOWING: usize = 2;
const READING_SLOWLY: usize = 6;
/// Connections that are held open, half of them in the middle of a request.
const IDLE: usize = 120;

/// All clients.
pub(crate) struct Clients {
    enough: Arc<AtomicBool>,
    worst: Arc<Mutex<Duration>>,
    threads: Vec<JoinHandle<()>>,
}

/// What each client has to know.
#[derive(Clone)]
struct Client {
    presence: Arc<Presence>,
    counters: Arc<Counters>,
    enough: Arc<AtomicBool>,
    worst: Arc<Mutex<Duration>>,
    /// The node with a history has been read: from then on it is there.
    archive_is_known: Arc<AtomicBool>,
    rng: Rng,
}

impl Clients {
    pub(crate) fn begin(seed: u64, presence: &Arc<Presence>, counters: &Arc<Counters>) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let worst = Arc::new(Mutex::new(Duration::ZERO));
        let archive_is_known = Arc::new(AtomicBool::new(false));
        let client = |actor: String| Client {
            presence: Arc::clone(presence),
            counters: Arc::clone(counters),
            enough: Arc::clone(&enough),
            worst: Arc::clone(&worst),
            archive_is_known: Arc::clone(&archive_is_known),
            rng: Rng::new(seed, &actor),
        };
        let asking = (0..ASKING).map(|i| {
            let client = client(format!("client {i}"));
            thread::spawn(move || client.asks())
        });
        let exporting = (0..EXPORTING).map(|i| {
            let client = client(format!("export {i}"));
            thread::spawn(move || client.exports())
        });
        let following = (0..FOLLOWING).map(|i| {
            let client = client(format!("follower {i}"));
            thread::spawn(move || client.follows())
        });
        let slow = (0..READING_SLOWLY).map(|i| {
            let client = client(format!("slow reader {i}"));
            thread::spawn(move || client.reads_slowly())
        });
        let idle = client("idle".to_owned());
        let idle = [thread::spawn(move || idle.holds_connections())];
        let threads = asking.chain(exporting).chain(following).chain(slow).chain(idle).collect();
        Self { enough, worst, threads }
    }

    /// Ends them; gives the longest time that a request took.
    pub(crate) fn end(self, counters: &Counters) -> Duration {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if thread.join().is_err() {
                counters.find("a client panicked".into());
            }
        }
        *lock(&self.worst)
    }
}

impl Client {
    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }

    /// Whether the node with a history has been read; asked before a request of
    /// it, which may be answered with 404 until then.
    fn is_known(&self) -> bool {
        self.archive_is_known.load(Ordering::Relaxed)
    }

    fn note_known(&self) {
        self.archive_is_known.store(true, Ordering::Relaxed);
    }

    fn asks(mut self) {
        let pause = (Duration::from_millis(30), Duration::from_millis(150));
        while !self.is_enough() {
            thread::sleep(self.rng.duration(pause));
            if let Some(life) = self.presence.now() {
                self.asks_once(life);
            }
        }
    }

    fn asks_once(&mut self, life: Life) {
        let archive = format!("/measurements/{ARCHIVE}/latest");
        let node = format!("/api/v1/nodes/{ARCHIVE}");
        let history = history();
        let (method, path, expected) = match self.rng.below(18) {
            0..4 => ("GET", "/api/measurements/latest", 200),
            4..6 => ("GET", "/measurements/latest?all=true", 200),
            6 => ("GET", "/measurements/ESP-1/latest", 200),
            7 => ("GET", archive.as_str(), 200),
            8 => ("GET", "/sources", 200),
            9 => ("HEAD", "/measurements/latest", 200),
            10 => ("DELETE", "/measurements/latest", 405),
            11..13 => ("GET", "/api/v1/nodes", 200),
            13 => ("GET", "/api/v1/latest?active=true", 200),
            14 => ("GET", node.as_str(), 200),
            15 => ("GET", history.as_str(), 200),
            16 => ("GET", "/api/v1/nodes?misspelt=1", 400),
            _ => ("GET", "/api/..%2f..%2fetc/passwd", 404),
        };
        let may_be_unknown = path.starts_with(&node) && !self.is_known();
        match ask(life.api, method, path) {
            Ok((status, took)) if status == expected => {
                self.counters.count("API requests answered");
                if path.starts_with(&node) {
                    self.note_known();
                }
                let mut worst = lock(&self.worst);
                *worst = worst.max(took);
            }
            Ok((404, _)) if may_be_unknown => {}
            Ok((status, _)) => {
                self.counters.find(format!("{method} {path} was answered {status}"));
            }
            // It may have ended meanwhile.
            Err(_) if !self.presence.is_still(life) => {
                self.counters.count("API requests while the process ended");
            }
            Err(what) => self.counters.find(format!("{method} {path} failed: {what}")),
        }
    }

    /// Asks for more than the buffers between hold, and takes it in small pieces
    /// for longer than it is waited for.
    fn reads_slowly(self) {
        while !self.is_enough() {
            thread::sleep(Duration::from_millis(200));
            let Some(life) = self.presence.now() else { continue };
            let wait = || !self.is_enough() && self.presence.is_still(life);
            match exchange::read_slowly(life.api, &format!("/measurements/{ARCHIVE}/latest"), wait)
            {
                Some(true) => self.counters.count("slow readers cut off"),
                Some(false) => self.counters.count("slow readers served"),
                None => {}
            }
        }
    }

    /// Holds connections on which nothing happens; opens new ones for those
    /// that are dropped.
    fn holds_connections(self) {
        let mut held: Vec<TcpStream> = Vec::new();
        while !self.is_enough() {
            thread::sleep(Duration::from_millis(500));
            let before = held.len();
            held.retain(|stream| !is_closed(stream));
            for _ in held.len()..before {
                self.counters.count("idle connections dropped");
            }
            let Some(life) = self.presence.now() else { continue };
            for number in held.len()..IDLE {
                let Ok(mut stream) = TcpStream::connect_timeout(&life.api, LIMIT) else { break };
                if number % 2 == 0 && stream.write_all(b"GET /measurements/la").is_err() {
                    break;
                }
                if stream.set_nonblocking(true).is_ok() {
                    held.push(stream);
                }
            }
        }
    }
}

/// A chart of all that there is of the node with a history.
fn history() -> String {
    format!("/api/v1/nodes/{ARCHIVE}/history?from=2016-01-01T00:00:00Z&step=86400")
}

fn is_closed(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        // Perhaps it says why it closes.
        Ok(length) => length == 0,
        Err(error) => !is_only_waiting(&error),
    }
}
