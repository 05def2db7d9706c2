//! Messages that keep coming while something happens to the collector.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Broker, Message, Told, of_a_fleet, told_by};

/// A fleet that publishes until it is told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Load {
    /// So many messages come at once.
    const BURST: usize = 25;

    /// Publishes bursts with `pause` between them, at least `least` messages in
    /// all.
    pub(crate) fn start(broker: &Broker, least: usize, pause: Duration) -> Self {
        let mut publisher = broker.publisher();
        let enough = Arc::new(AtomicBool::new(false));
        let told_enough = Arc::clone(&enough);
        let thread = thread::spawn(move || {
            let mut next = 0;
            while next < least || !told_enough.load(Ordering::Relaxed) {
                let burst: Vec<Message> = (next..next + Self::BURST).map(of_a_fleet).collect();
                publisher.publish(&burst);
                next += Self::BURST;
                thread::sleep(pause);
            }
            next
        });
        Self { enough, thread }
    }

    /// Ends it; gives what it told.
    pub(crate) fn end(self) -> Vec<Told> {
        self.enough.store(true, Ordering::Relaxed);
        let accepted = self.thread.join().unwrap();
        let messages: Vec<Message> = (0..accepted).map(of_a_fleet).collect();
        told_by(&messages).into_iter().collect()
    }
}
