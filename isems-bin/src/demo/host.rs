//! Nodes on the loopback interface: each has a web server of its own, and lives
//! on whenever somebody looks at it.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use isems_core::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    controller::Board,
    fleet,
    node::{Event, Node},
    router_log::{File, RouterLog},
};

mod esp32;
mod uhttpd;

/// The whole fleet, listening.
#[derive(Debug)]
pub(super) struct Hosts {
    /// One for each node.
    pub(super) entries: Vec<Entry>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where a node is found, and what to know of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its node id.
    pub(super) name: &'static str,
    /// One sentence about it.
    pub(super) story: &'static str,
    /// Its web server.
    pub(super) address: SocketAddr,
    /// The path of its log.
    pub(super) path: &'static str,
}

impl Entry {
    /// The address of its log.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

impl Hosts {
    /// Lets every node live through its history and opens its web server on a
    /// free port of `127.0.0.1`.
    ///
    /// # Errors
    /// The system gave no port.
    pub(super) async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let mut entries = Vec::new();
        for (persona, node) in fleet::fleet(clock.now()) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let path = match persona.board {
                Board::Router => {
                    let files =
                        Arc::new(Living::new(node, Arc::clone(&clock), RouterLog::default()));
                    tasks.spawn(uhttpd::serve(listener, files, stop.clone()));
                    uhttpd::LOG_PATH
                }
                Board::Esp32 => {
                    let lines =
                        Arc::new(Living::new(node, Arc::clone(&clock), LastLines::default()));
                    tasks.spawn(esp32::serve(listener, lines, stop.clone()));
                    esp32::LOG_PATH
                }
            };
            entries.push(Entry { name: persona.name, story: persona.story, address, path });
        }
        tasks.close();
        Ok(Self { entries, tasks, stop })
    }

    /// Switches the fleet off and waits until every socket is closed.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// What keeps the lines of a node.
trait Memory {
    fn record(&mut self, event: Event);
}

impl Memory for RouterLog {
    fn record(&mut self, event: Event) {
        Self::record(self, event);
    }
}

/// The memory of an ESP32: five lines.
#[derive(Debug, Default)]
struct LastLines(VecDeque<String>);

impl LastLines {
    const KEPT: usize = 5;

    /// The lines with line ends between them and none at the end.
    fn text(&self) -> String {
        let lines: Vec<&str> = self.0.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

impl Memory for LastLines {
    fn record(&mut self, event: Event) {
        match event {
            Event::Booted => self.0.clear(),
            Event::Measured { line, .. } => {
                if self.0.len() == Self::KEPT {
                    self.0.pop_front();
                }
                self.0.push_back(line);
            }
        }
    }
}

/// A node with its memory: lives on until now before it lets anyone look.
struct Living<M> {
    inner: Mutex<(Node, M)>,
    clock: Arc<dyn Clock>,
}

impl<M: Memory> Living<M> {
    fn new(node: Node, clock: Arc<dyn Clock>, memory: M) -> Self {
        let living = Self { inner: Mutex::new((node, memory)), clock };
        living.look(|_, _| ());
        living
    }

    /// What `look` sees in the memory, and the node's own clock.
    fn look<T>(&self, look: impl FnOnce(&M, Timestamp) -> T) -> T {
        let now = self.clock.now();
        // A panic in the simulation leaves at worst a line out.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (node, memory) = &mut *inner;
        for event in node.advance(now) {
            memory.record(event);
        }
        look(memory, now)
    }
}

impl Living<RouterLog> {
    fn log(&self) -> (Option<File>, Timestamp) {
        self.look(|log, now| (log.current(), now))
    }

    fn archive(&self) -> (Option<File>, Timestamp) {
        self.look(|log, now| (log.rotated(), now))
    }
}

#[cfg(test)]
mod tests;
