//! An ESP32 that serves its last lines as a page: HTTP/1.0 without a length and
//! without a newline at the end. It cannot be told what was read of it, so that
//! only what it serves at the end is owed.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{
    ledger::{Ledger, unix_now},
    sample::Sample,
};
use crate::counters::lock;

const KEPT: usize = 5;

#[derive(Debug)]
pub(super) struct EspPage {
    name: String,
    ledger: Arc<Ledger>,
    lines: Mutex<VecDeque<(usize, i64)>>,
}

impl EspPage {
    pub(super) fn new(name: &str, ledger: &Arc<Ledger>) -> Self {
        Self {
            name: name.to_owned(),
            ledger: Arc::clone(ledger),
            lines: Mutex::new(VecDeque::new()),
        }
    }

    pub(super) fn tick(&self) {
        let mut lines = lock(&self.lines);
        let reported = unix_now().max(lines.back().map_or(0, |(_, last)| last + 1));
        let number = self.ledger.measure(&self.name, Some(reported));
        lines.push_back((number, reported));
        if lines.len() > KEPT {
            lines.pop_front();
        }
    }

    pub(super) fn owe_what_is_served(&self) {
        self.ledger.owe(&self.name, lock(&self.lines).iter().map(|(number, _)| *number));
    }

    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        // A request this short comes in one piece on the loopback interface.
        let length = stream.read(&mut [0; 4096]).ok()?;
        let lines: Vec<String> = lock(&self.lines)
            .iter()
            .map(|(number, reported)| Sample::of(&self.name, *number).line(&self.name, *reported))
            .collect();
        let head = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n";
        let text = format!("{head}{}", lines.join("\n"));
        (length > 0).then(|| stream.write_all(text.as_bytes()).ok())?
    }
}

/// Serves it for the rest of the process; gives its address.
pub(super) fn serve(page: &Arc<EspPage>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let page = Arc::clone(page);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let page = Arc::clone(&page);
            thread::spawn(move || page.answer(stream));
        }
    });
    address
}
