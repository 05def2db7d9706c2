//! A node that does not keep to the rules: each answer is a script.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How an answer goes on after its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// In good order.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing more comes, and the connection stays.
    Hang,
    /// These bytes come again and again, as fast as they are taken.
    Repeat(Vec<u8>),
    /// A byte now and then.
    Drip,
}

/// A node on the loopback interface that answers each path by a script, and
/// everything else by 404; gone when dropped.
#[derive(Debug)]
pub(crate) struct RoughNode {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    scripts: HashMap<&'static str, (Vec<u8>, Then)>,
    asked: Mutex<Vec<String>>,
    gone: AtomicBool,
}

impl RoughNode {
    /// A node that answers a request for its log so.
    pub(crate) fn with_log(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        Self::new([("/ISEMS/ffopenmppt.log", answer.into(), then)])
    }

    /// A node that answers these paths so.
    pub(crate) fn new(scripts: impl IntoIterator<Item = (&'static str, Vec<u8>, Then)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scripts = scripts.into_iter().map(|(path, answer, then)| (path, (answer, then)));
        let shared = Arc::new(Shared {
            scripts: scripts.collect(),
            asked: Mutex::default(),
            gone: AtomicBool::default(),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if for_thread.gone.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                // A client that hangs up is no concern of the test.
                thread::spawn(move || shared.answer(stream));
            }
        });
        Self { address, shared }
    }

    /// `ADDRESS:PORT`, as in `ISEMS_ROUTER_IPS`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RoughNode {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let line = read_until(&mut stream, b"\r\n")?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        let not_found =
            (b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n".to_vec(), Then::Close);
        let (answer, then) = self.scripts.get(path.as_str()).unwrap_or(&not_found);
        if matches!(then, Then::Reset) {
            // What was sent and is not read makes the system reset the
            // connection at its end.
            return stream.write_all(answer);
        }
        read_until(&mut stream, b"\r\n\r\n")?;
        stream.write_all(answer)?;
        match then {
            Then::Close | Then::Reset => Ok(()),
            Then::Hang => self.while_here(|| Ok(())),
            Then::Drip => self.while_here(|| stream.write_all(b"x")),
            Then::Repeat(bytes) => loop {
                stream.write_all(bytes)?;
            },
        }
    }

    fn while_here(&self, mut act: impl FnMut() -> std::io::Result<()>) -> std::io::Result<()> {
        while !self.gone.load(Ordering::Relaxed) {
            act()?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Reads no byte beyond `end`.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> std::io::Result<String> {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end) {
        stream.read_exact(&mut byte)?;
        read.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}
