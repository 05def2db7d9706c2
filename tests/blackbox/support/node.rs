//! A node's web server: answers like uhttpd, from memory.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Where routers serve their log.
const LOG: &str = "/ISEMS/ffopenmppt.log";

/// A node on the loopback interface; gone when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<HashMap<String, File>>,
    requests: Mutex<Vec<String>>,
    gone: AtomicBool,
}

#[derive(Clone, Debug)]
enum File {
    /// Served with the headers of uhttpd.
    Content(Vec<u8>),
    /// Sent as it is, headers and all.
    Raw(Vec<u8>),
}

impl Node {
    /// A router that serves `log`, and 404 for everything else.
    pub(crate) fn with_log(log: impl Into<Vec<u8>>) -> Self {
        let node = Self::empty();
        node.set_log(log);
        node
    }

    /// A router just after its start: 404 for everything.
    pub(crate) fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.gone.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let shared = Arc::clone(&for_thread);
                // A client that hangs or goes away is no concern of the test.
                thread::spawn(move || shared.answer(stream));
            }
        });
        Self { address, shared }
    }

    /// `ADDRESS:PORT`, as in `ISEMS_ROUTER_IPS`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The source as the collector names it.
    pub(crate) fn source(&self) -> String {
        format!("http://{}{LOG}", self.address)
    }

    /// The log is this from now on.
    pub(crate) fn set_log(&self, log: impl Into<Vec<u8>>) {
        self.set_file(LOG, log);
    }

    /// The file at `path` is this from now on.
    pub(crate) fn set_file(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.set(path, File::Content(content.into()));
    }

    /// A request for `path` is answered with these bytes, headers and all.
    pub(crate) fn set_raw(&self, path: &str, answer: impl Into<Vec<u8>>) {
        self.set(path, File::Raw(answer.into()));
    }

    /// A request for `path` is answered with 404 from now on.
    pub(crate) fn remove(&self, path: &str) {
        lock(&self.shared.files).remove(path);
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    fn set(&self, path: &str, file: File) {
        lock(&self.shared.files).insert(path.to_owned(), file);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let head = read_head(&stream)?;
        let path = head.split(' ').nth(1)?.to_owned();
        let file = lock(&self.files).get(&path).cloned();
        lock(&self.requests).push(head.clone());
        let answer = match file {
            Some(File::Raw(answer)) => answer,
            Some(File::Content(content)) => with_headers(&content, &head),
            None => b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\
                      Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nNot Found"
                .to_vec(),
        };
        stream.write_all(&answer).ok()
    }
}

fn read_head(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// As uhttpd: strong `ETag`, 304 if it is known. Without `Date`: the tests'
/// logs are older than any clock here.
fn with_headers(content: &[u8], request: &str) -> Vec<u8> {
    let sum = content.iter().fold(content.len() as u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    let etag = format!("\"{sum:x}\"");
    let is_known = request
        .lines()
        .any(|line| line.to_lowercase().starts_with("if-none-match:") && line.contains(&etag));
    if is_known {
        return format!("HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: {etag}\r\n\r\n")
            .into_bytes();
    }
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: {etag}\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n",
        content.len()
    )
    .into_bytes();
    answer.extend_from_slice(content);
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
