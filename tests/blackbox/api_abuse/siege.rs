//! A minute of clients at their worst, all at once, while a node goes on
//! to report.

use std::{
    io::Write as _,
    net::TcpStream,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::{Isems, Node, get, log};

/// What the siege came to.
#[derive(Debug)]
pub(super) struct Siege {
    /// How long clients could send a request's headers, one each half second.
    pub(super) slow_headers: Vec<Duration>,
    /// How many bytes of an endless request body were taken.
    pub(super) endless_bodies: Vec<usize>,
    /// How long clients that read nothing kept their connections.
    pub(super) taken_by_readers: Duration,
    /// From the moment at which a node had a new line until it was stored.
    pub(super) stored_after: Vec<Duration>,
    /// When a normal request was made, how long it took, and its status.
    pub(super) normal: Vec<(Duration, Duration, u16)>,
    /// The most memory, in MiB.
    pub(super) memory: u64,
}

/// Clients that ask for some megabytes each and read nothing: what the system
/// does not hold of it is more than all the memory that there may be.
const READERS: usize = 100;

/// Clients that ask for years of hours, in few buckets and in many.
const HISTORIANS: usize = 8;

/// Hours that were rolled up of the node: five years.
const HOURS: usize = 43_800;

/// How long it may last.
const LIMIT: Duration = Duration::from_secs(100);

/// Lines of the node before the siege.
const LINES: usize = 3_660;

impl Siege {
    /// The siege, which happens once.
    pub(super) fn get() -> &'static Self {
        static SIEGE: OnceLock<Siege> = OnceLock::new();
        SIEGE.get_or_init(lay_siege)
    }
}

fn lay_siege() -> Siege {
    let node = Node::with_log(log("elektra-dach"));
    let isems = Isems::new()
        .nodes([&node])
        .set("ISEMS_POLL_INTERVAL", "1s")
        .set("ISEMS_COMMIT_INTERVAL", "0s")
        .open_files(1_024);
    isems.run(&["update-data"]).expect(0);
    isems.database().roll_up_hours_before(HOURS);
    let serving = isems.serve();
    isems.database().wait_for_rows(LINES);
    let api = serving.api();
    let address = api.strip_prefix("http://").unwrap().to_owned();
    assert_eq!(get(&format!("{api}/measurements/latest?all=true")).status, 200);
    let before = serving.open_files();

    let begin = Instant::now();
    let readers: Vec<TcpStream> =
        (0..READERS).map(|_| ask_much_and_read_nothing(&address)).collect();
    let historians: Vec<TcpStream> =
        (0..HISTORIANS).map(|i| ask_for_years(&address, i % 2 == 0)).collect();
    let headers: Vec<_> = (0..5).map(|_| send_headers_slowly(&address)).collect();
    let bodies: Vec<_> = (0..5).map(|_| send_a_body_without_end(&address)).collect();
    let over = Arc::new(AtomicBool::new(false));
    let (asking, told_over) = (api.clone(), Arc::clone(&over));
    let normal = thread::spawn(move || ask_now_and_then(&asking, begin, &told_over));

    let stored_after = (1..=15)
        .map(|news| {
            thread::sleep(Duration::from_secs(1));
            node.set_log(with_news(news));
            let told = Instant::now();
            isems.database().wait_for_rows(LINES + news);
            told.elapsed()
        })
        .collect();
    let all = |threads: Vec<JoinHandle<usize>>| threads.into_iter().map(|t| t.join().unwrap());
    let endless_bodies = all(bodies).collect();
    let slow_headers = headers.into_iter().map(|thread| thread.join().unwrap()).collect();
    // Those who read nothing do not see the end of their connection; but the
    // server has closed its side.
    while serving.open_files() > before + 2 {
        assert!(begin.elapsed() < LIMIT, "{} files are open", serving.open_files());
        thread::sleep(Duration::from_millis(100));
    }
    let taken_by_readers = begin.elapsed();
    drop((readers, historians));
    over.store(true, Ordering::Relaxed);
    let normal = normal.join().unwrap();
    let memory = serving.peak_memory();
    serving.stop().expect(0);
    Siege { slow_headers, endless_bodies, taken_by_readers, stored_after, normal, memory }
}

/// The log with so many lines more.
fn with_news(count: usize) -> Vec<u8> {
    let mut log = log("elektra-dach");
    let last = String::from_utf8(log.clone()).unwrap();
    let last = last.lines().last().unwrap();
    let time = last.split(';').nth(2).unwrap();
    for minute in 1..=count {
        let next = time.parse::<usize>().unwrap() + 61 * minute;
        log.extend(format!("{}\n", last.replace(time, &next.to_string())).bytes());
    }
    log
}

/// The client's side holds next to nothing of the answers, the server's less
/// than three of them.
fn ask_much_and_read_nothing(address: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(address.parse().unwrap()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    let request = "GET /measurements/Elektra-Dach/latest HTTP/1.1\r\nHost: isems\r\n\r\n";
    stream.write_all(request.repeat(4).as_bytes()).unwrap();
    stream
}

/// Asks for the node's history since 1970 by the year, or for close to as many
/// hours as an answer can have, and reads nothing.
fn ask_for_years(address: &str, by_the_year: bool) -> TcpStream {
    let query = if by_the_year { "from=0&step=31536000" } else { "from=1707500000&step=3600" };
    let target = format!("/api/v1/nodes/Elektra-Dach/history?{query}&to=1743386287");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: isems\r\n\r\n").unwrap();
    stream
}

/// Gives the time until it is refused.
fn send_headers_slowly(address: &str) -> JoinHandle<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    thread::spawn(move || {
        let begin = Instant::now();
        let mut sent = stream.write_all(b"GET /measurements/latest HTTP/1.1\r\n");
        while sent.is_ok() && begin.elapsed() < LIMIT {
            thread::sleep(Duration::from_millis(500));
            sent = stream.write_all(b"X-Y: z\r\n");
        }
        begin.elapsed()
    })
}

/// Gives the bytes until it is refused.
fn send_a_body_without_end(address: &str) -> JoinHandle<usize> {
    let mut stream = TcpStream::connect(address).unwrap();
    thread::spawn(move || {
        let head = b"POST /measurements/latest HTTP/1.1\r\nHost: isems\r\n\
                     Content-Length: 100000000000\r\n\r\n";
        let (begin, mut bytes) = (Instant::now(), 0);
        let mut sent = stream.write_all(head);
        while sent.is_ok() && begin.elapsed() < LIMIT {
            sent = stream.write_all(&vec![b'x'; 65_536]);
            bytes += 65_536;
        }
        bytes
    })
}

fn ask_now_and_then(
    api: &str,
    begin: Instant,
    over: &AtomicBool,
) -> Vec<(Duration, Duration, u16)> {
    let mut all = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = get(&format!("{api}/measurements/latest?all=true"));
        all.push((asked - begin, asked.elapsed(), answer.status));
        thread::sleep(Duration::from_millis(200));
    }
    all
}
