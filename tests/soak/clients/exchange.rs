//! What clients say, and what comes back.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// A request that takes longer has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Asks; gives the status of a whole answer and how long it took.
pub(super) fn ask(api: SocketAddr, method: &str, path: &str) -> Result<(u16, Duration), String> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&api, LIMIT).map_err(|error| error.to_string())?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n");
    let mut exchange = || {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error: std::io::Error| error.to_string())?;
    let took = began.elapsed();
    if took > LIMIT {
        return Err(format!("it took {took:?}"));
    }
    Ok((status_of(&answer, method)?, took))
}

/// The status of an answer that is whole and, if it should be, JSON.
fn status_of(answer: &[u8], method: &str) -> Result<u16, String> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no answer")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head}"))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let body = &answer[end + 4..];
    if method == "HEAD" {
        return Ok(status);
    }
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(format!("{} of {length:?} bytes came", body.len()));
    }
    if status == 200
        && let Err(error) = serde_json::from_slice::<serde_json::Value>(body)
    {
        return Err(format!("no JSON: {error}"));
    }
    Ok(status)
}

/// Asks for something long many times at once and takes it in small pieces, as
/// long as `wait` says and no longer than a minute; then says whether it was
/// cut off before all came.
pub(super) fn read_slowly(
    api: SocketAddr,
    path: &str,
    mut wait: impl FnMut() -> bool,
) -> Option<bool> {
    const ANSWERS: usize = 24;
    const SLOWLY_FOR: Duration = Duration::from_mins(1);
    const BEGIN: &[u8] = b"HTTP/1.1 200 OK";
    let mut stream = TcpStream::connect_timeout(&api, LIMIT).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {api}\r\n\r\n");
    stream.write_all(request.repeat(ANSWERS).as_bytes()).ok()?;
    let deadline = Instant::now() + SLOWLY_FOR;
    let mut answer = Vec::new();
    let mut some = [0; 256];
    while Instant::now() < deadline {
        if !wait() {
            return None;
        }
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(length) => {
                answer.extend(&some[..length]);
                thread::sleep(Duration::from_secs(1));
            }
            Err(error) if is_only_waiting(&error) => {}
            Err(_) => break,
        }
    }
    // The rest of what was sent before the cut. A reset loses it.
    let _ = stream.read_to_end(&mut answer);
    let answers = answer.windows(BEGIN.len()).filter(|part| *part == BEGIN).count();
    wait().then_some(answers < ANSWERS)
}

pub(super) fn is_only_waiting(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
