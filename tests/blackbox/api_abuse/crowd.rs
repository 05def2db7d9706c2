//! Many clients that want nothing, or do not say what.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use crate::support::SOON;

/// Connections, in the order in which they were opened.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    streams: Vec<(usize, TcpStream)>,
    opened: usize,
}

impl Crowd {
    /// Opens `count` more connections and begins a request on each with
    /// `bytes`. Those that the server closed are let go, so that a test needs
    /// no more open files than the usual 1,024.
    pub(super) fn join(&mut self, api: &str, count: usize, bytes: &[u8]) {
        let address = api.strip_prefix("http://").unwrap();
        for _ in 0..count {
            if self.opened.is_multiple_of(50) {
                self.let_go();
            }
            let mut stream = TcpStream::connect(address).unwrap();
            // A connection that goes away at once is no concern here.
            let _ = stream.write_all(bytes);
            self.streams.push((self.opened, stream));
            self.opened += 1;
        }
    }

    /// The places in the crowd of those that the server has not closed.
    pub(super) fn still_there(&mut self) -> Vec<usize> {
        self.let_go();
        self.streams.iter().map(|(place, _)| *place).collect()
    }

    /// Goes on with the request of the newest connection; gives the answer.
    pub(super) fn newest_asks(&mut self, bytes: &[u8]) -> String {
        let (_, stream) = self.streams.last_mut().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn let_go(&mut self) {
        self.streams.retain(|(_, stream)| {
            stream.set_nonblocking(true).unwrap();
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false).unwrap();
            peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
    }
}
