//! A node's web server that says exactly the bytes it is told, and remembers
//! what it was asked.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Barrier, Semaphore},
    task::AbortHandle,
};

pub(crate) const LOG: &str = "/ISEMS/ffopenmppt.log";
pub(crate) const OLD_LOG: &str = "/ISEMS/ffopenmppt.log.gz";

/// What uhttpd says of a file that is not there.
const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nConnection: Keep-Alive\r\n\
    Transfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n\
    12\r\n<h1>Not Found</h1>\r\n0\r\n\r\n";

/// One thing that the server does on a connection.
#[derive(Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    /// The same bytes again and again, with a rest after each.
    Repeat(Vec<u8>, Duration),
    Rest(Duration),
    /// Waits for a permit.
    Gate(Arc<Semaphore>),
    /// Waits until so many connections wait.
    Meet(Arc<Barrier>),
    /// Says nothing until the client goes, then adds a permit.
    UntilClientLeaves(Arc<Semaphore>),
    /// Ends the connection by a reset instead of an orderly end.
    Reset,
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Asked(String),
    /// Just before the last act.
    Answered(String),
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Vec<Act>>>,
    once: Mutex<HashMap<String, Vec<Act>>>,
    heads: Mutex<Vec<String>>,
    events: Mutex<Vec<Event>>,
    open: Mutex<(usize, usize)>,
}

pub(crate) struct FakeNode {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl FakeNode {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Self { address, shared, task: task.abort_handle() }
    }

    /// A node that answers so for its log.
    pub(crate) async fn with_log(answer: impl Into<Answer>) -> Self {
        let node = Self::start().await;
        node.answer(LOG, answer);
        node
    }

    /// From now on, `path` is answered so. Other paths get uhttpd's 404.
    pub(crate) fn answer(&self, path: &str, answer: impl Into<Answer>) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), answer.into().0);
    }

    /// The next request for `path` is answered so, whatever holds for others.
    pub(crate) fn answer_once(&self, path: &str, answer: impl Into<Answer>) {
        let mut once = self.shared.once.lock().unwrap();
        once.insert(path.to_owned(), answer.into().0);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests().iter().map(|head| path_of(head)).collect()
    }

    pub(crate) fn forget_requests(&self) {
        self.shared.heads.lock().unwrap().clear();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.shared.events.lock().unwrap().clone()
    }

    /// The most connections that were open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.shared.open.lock().unwrap().1
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a path is answered with.
pub(crate) struct Answer(Vec<Act>);

impl From<Vec<u8>> for Answer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(vec![Act::Send(bytes)])
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl From<Vec<Act>> for Answer {
    fn from(acts: Vec<Act>) -> Self {
        Self(acts)
    }
}

fn path_of(head: &str) -> String {
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(head) = read_head(&mut stream).await else {
        return;
    };
    let path = path_of(&head);
    shared.heads.lock().unwrap().push(head);
    shared.events.lock().unwrap().push(Event::Asked(path.clone()));
    {
        let mut open = shared.open.lock().unwrap();
        open.0 += 1;
        open.1 = open.1.max(open.0);
    }
    let once = shared.once.lock().unwrap().remove(&path);
    let answer = once.or_else(|| shared.answers.lock().unwrap().get(&path).cloned());
    let acts = answer.unwrap_or_else(|| vec![Act::Send(MISSING.to_vec())]);
    let last = acts.len() - 1;
    for (index, act) in acts.into_iter().enumerate() {
        if index == last {
            // Before the client can know that it has the whole answer.
            shared.open.lock().unwrap().0 -= 1;
            shared.events.lock().unwrap().push(Event::Answered(path.clone()));
        }
        if matches!(act, Act::Reset) {
            stream.set_zero_linger().unwrap();
            return;
        }
        if perform(act, &mut stream).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
    }
    String::from_utf8(head).ok()
}

async fn perform(act: Act, stream: &mut TcpStream) -> std::io::Result<()> {
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).await?,
        Act::Repeat(bytes, rest) => loop {
            stream.write_all(&bytes).await?;
            tokio::time::sleep(rest).await;
        },
        Act::Rest(time) => tokio::time::sleep(time).await,
        Act::Gate(gate) => gate.acquire().await.unwrap().forget(),
        Act::Meet(barrier) => {
            barrier.wait().await;
        }
        Act::UntilClientLeaves(gone) => {
            let _ = stream.read(&mut [0]).await;
            gone.add_permits(1);
        }
        Act::Reset => unreachable!("ends the connection instead"),
    }
    Ok(())
}
