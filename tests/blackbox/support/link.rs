//! A link to a broker that can lose what goes one way.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::Broker;

/// Passes on what comes, both ways, until told otherwise.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    loses: AtomicBool,
    gone: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Link {
    pub(crate) fn to(broker: &Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (for_thread, broker) = (Arc::clone(&shared), broker.address());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if for_thread.gone.load(Ordering::Relaxed) {
                    return;
                }
                // A broker that is away is no concern of the link.
                let Ok(broker) = TcpStream::connect(&broker) else { continue };
                for_thread.join(&client, &broker);
            }
        });
        Self { address, shared }
    }

    /// `ADDRESS:PORT`, as in `MQTT_SERVER`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on nothing that the collector says arrives, though it cannot
    /// notice.
    pub(crate) fn lose_what_the_collector_says(&self) {
        self.shared.loses.store(true, Ordering::Relaxed);
    }

    /// Breaks all connections; new ones lose nothing.
    pub(crate) fn break_and_mend(&self) {
        self.shared.cut();
        self.shared.loses.store(false, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        self.shared.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: &TcpStream, broker: &TcpStream) {
        let both = |stream: &TcpStream| stream.try_clone().unwrap();
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend([both(client), both(broker)]);
        for (from, to, is_collector) in [(client, broker, true), (broker, client, false)] {
            let (shared, from, to) = (Arc::clone(self), both(from), both(to));
            thread::spawn(move || shared.pass_on(from, to, is_collector));
        }
    }

    /// Until one side ends; then the other ends too.
    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, is_collector: bool) {
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut some) {
            if is_collector && self.loses.load(Ordering::Relaxed) {
                continue;
            }
            if to.write_all(&some[..length]).is_err() {
                break;
            }
        }
        // They may have ended already.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
