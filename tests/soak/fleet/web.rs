//! A router's web server, like uhttpd, with all that can go wrong.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    Weather,
    router::{Router, State},
};
use crate::counters::{Counters, lock};

/// Of a hundred answers so many are reset while the storm lasts, and so many are
/// bad in another way.
const BAD_ANSWERS: (usize, usize) = (3, 15);

/// The same while no new line comes that would make up for it: the node hangs,
/// or it is the end.
const BAD_LAST_ANSWERS: (usize, usize) = (30, 40);

const OLD_LOG: &str = "/ISEMS/ffopenmppt.log.gz";

/// How long a bad answer may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// An answer: bytes, and how they go out.
struct Answer {
    bytes: Vec<u8>,
    /// So many bytes at once, with pauses.
    drip: Option<usize>,
}

/// Serves a router for the rest of the process; gives its address.
pub(super) fn serve(
    router: &Arc<Router>,
    weather: &Arc<Weather>,
    counters: &Arc<Counters>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (router, weather, counters) =
        (Arc::clone(router), Arc::clone(weather), Arc::clone(counters));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (router, weather, counters) =
                (Arc::clone(&router), Arc::clone(&weather), Arc::clone(&counters));
            // A client that goes away is no concern of the node.
            thread::spawn(move || answer(stream, &router, &weather, &counters));
        }
    });
    address
}

fn answer(
    mut stream: TcpStream,
    router: &Router,
    weather: &Weather,
    counters: &Counters,
) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let (resets, bad) = match weather.storm.load(Ordering::Relaxed) {
        false => (0, 0),
        true if lock(&router.state).hangs => BAD_LAST_ANSWERS,
        true if !weather.nodes_measure.load(Ordering::Relaxed) => BAD_LAST_ANSWERS,
        true => BAD_ANSWERS,
    };
    if lock(&router.state).rng.percent(resets) {
        counters.count("answers reset by the node");
        return reset(&mut stream, router);
    }
    let head = read_head(&mut stream)?;
    let path = head.split(' ').nth(1)?;
    let known = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("if-none-match").then(|| value.trim())
    });
    let answer = {
        let state = &mut *lock(&router.state);
        if let Some(tag) = known {
            router.note_known(state, tag);
        }
        let bad = state.rng.percent(bad);
        match (path == OLD_LOG, bad) {
            (true, _) => old_log(state, known, bad, counters),
            (false, true) => bad_log(state, counters),
            (false, false) => log(state, known),
        }
    };
    send(&mut stream, &answer)
}

/// Sends the beginning of an answer to whatever was asked, and resets the
/// connection, as closing one does whose request was not read.
fn reset(stream: &mut TcpStream, router: &Router) -> Option<()> {
    stream.read_exact(&mut [0]).ok()?;
    let bytes = {
        let state = &mut *lock(&router.state);
        let length = state.log.as_ref().map_or(0, |log| log.text.len());
        let sent = state.rng.below(length + 1);
        with_head(state, length, sent)
    };
    stream.write_all(&bytes).ok()
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    const LIMIT: usize = 8 * 1024;
    let mut head = Vec::new();
    let mut some = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut some).ok().filter(|length| *length > 0)?;
        head.extend(&some[..length]);
        if head.len() > LIMIT {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

fn send(stream: &mut TcpStream, answer: &Answer) -> Option<()> {
    let Some(at_once) = answer.drip else {
        return stream.write_all(&answer.bytes).ok();
    };
    let deadline = Instant::now() + PATIENCE;
    for part in answer.bytes.chunks(at_once) {
        if Instant::now() > deadline {
            return None;
        }
        stream.write_all(part).ok()?;
        thread::sleep(Duration::from_millis(250));
    }
    Some(())
}

fn log(state: &mut State, known: Option<&str>) -> Answer {
    let Some(length) = state.log.as_ref().map(|log| log.text.len()) else {
        return status(state, "404 Not Found");
    };
    let tag = state.tag(length);
    if known == Some(&tag) {
        return not_modified(state, &tag);
    }
    plain(with_head(state, length, length))
}

fn old_log(state: &mut State, known: Option<&str>, bad: bool, counters: &Counters) -> Answer {
    let Some(packed) = state.old.as_ref().map(|old| old.packed.clone()) else {
        return status(state, "404 Not Found");
    };
    let tag = state.old_tag();
    if known == Some(&tag) {
        return not_modified(state, &tag);
    }
    let length = if bad {
        counters.count("old logs that were not complete yet");
        state.rng.below(packed.len())
    } else {
        packed.len()
    };
    // What is served while it is being written has another tag.
    let tag = if bad { format!("\"{length:x}-unfinished\"") } else { tag };
    let mut bytes = head(state, "200 OK", length, Some(&tag));
    bytes.extend(&packed[..length]);
    plain(bytes)
}

/// One of the many ways to fail.
fn bad_log(state: &mut State, counters: &Counters) -> Answer {
    let Some((length, before_last)) = state
        .log
        .as_ref()
        .map(|log| (log.text.len(), log.ends.iter().rev().nth(1).copied().unwrap_or_default()))
    else {
        return status(state, "404 Not Found");
    };
    match state.rng.below(8) {
        0 => {
            counters.count("answers shorter than their length");
            let sent = state.rng.below(length);
            plain(with_head(state, length, sent))
        }
        1 => {
            counters.count("answers whose length cuts the last line");
            let cut = state.rng.range(before_last + 1, length - 1);
            plain(with_head(state, cut, cut))
        }
        2 => {
            counters.count("answers longer than their length");
            plain(with_head(state, before_last, length))
        }
        3 => {
            counters.count("answers 403");
            status(state, "403 Forbidden")
        }
        4 => {
            counters.count("empty answers 200");
            plain(head(state, "200 OK", 0, None))
        }
        5 => {
            counters.count("answers that drip");
            Answer { bytes: with_head(state, length, length), drip: Some(64) }
        }
        6 => {
            counters.count("pages instead of a log");
            let page = b"<html><body>ISEMS</body></html>";
            let mut bytes = head(state, "200 OK", page.len(), None);
            bytes.extend(page);
            plain(bytes)
        }
        _ => {
            counters.count("answers that hang");
            Answer { bytes: vec![b' '; 100], drip: Some(1) }
        }
    }
}

/// The log's first bytes, promised `length` and giving `sent`.
fn with_head(state: &mut State, length: usize, sent: usize) -> Vec<u8> {
    let tag = state.tag(length);
    let mut bytes = head(state, "200 OK", length, Some(&tag));
    bytes.extend(state.log.iter().flat_map(|log| &log.text[..sent]));
    bytes
}

fn head(state: &State, status: &str, length: usize, tag: Option<&str>) -> Vec<u8> {
    let tag = tag.map_or_else(String::new, |tag| format!("ETag: {tag}\r\n"));
    let date = date(state.clock.now());
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nDate: {date}\r\n{tag}\
         Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

fn status(state: &State, status: &str) -> Answer {
    plain(head(state, status, 0, None))
}

fn not_modified(state: &State, tag: &str) -> Answer {
    let date = date(state.clock.now());
    plain(
        format!(
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nDate: {date}\r\nETag: {tag}\r\n\r\n"
        )
        .into_bytes(),
    )
}

const fn plain(bytes: Vec<u8>) -> Answer {
    Answer { bytes, drip: None }
}

fn date(unix: i64) -> String {
    let time = jiff::Timestamp::from_second(unix).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
