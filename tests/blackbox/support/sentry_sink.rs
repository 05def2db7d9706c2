//! A place that takes what is sent to Sentry.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::eventually;

/// Listens on the loopback interface and keeps every envelope.
#[derive(Debug)]
pub(crate) struct SentrySink {
    address: SocketAddr,
    envelopes: Arc<Mutex<Vec<Envelope>>>,
}

/// One request to Sentry.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// Request line and headers.
    pub(crate) head: String,
    /// The envelope: lines of JSON.
    pub(crate) body: String,
}

impl SentrySink {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let envelopes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&envelopes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || keep_requests(stream, &kept));
            }
        });
        Self { address, envelopes }
    }

    /// The value of `SENTRY_DSN`.
    pub(crate) fn dsn(&self) -> String {
        format!("http://publickey@{}/42", self.address)
    }

    /// All envelopes so far.
    pub(crate) fn envelopes(&self) -> Vec<Envelope> {
        self.envelopes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first envelope that contains `part`.
    pub(crate) fn wait_for(&self, part: &str) -> Envelope {
        eventually(&format!("an envelope with {part:?}"), || {
            self.envelopes().into_iter().find(|e| e.body.contains(part))
        })
    }
}

impl Envelope {
    /// The event in it.
    pub(crate) fn event(&self) -> serde_json::Value {
        self.body
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|value| value.get("platform").is_some())
            .unwrap_or_else(|| panic!("no event in {}", self.body))
    }
}

fn keep_requests(stream: TcpStream, kept: &Mutex<Vec<Envelope>>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            })
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8_lossy(&body).into_owned();
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(Envelope { head, body });
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").ok()?;
    }
}
