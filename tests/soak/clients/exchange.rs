//! What clients say, and what comes back.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// A request that takes longer has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// How an answer is taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    AtOnce,
    /// Steadily, in pieces, so that it takes seconds.
    Slowly,
}

/// Asks; gives the status of a whole answer and how long it took.
pub(super) fn ask(api: SocketAddr, method: &str, path: &str) -> Result<(u16, Duration), String> {
    let began = Instant::now();
    let Answer { status, body } = take(api, method, path, "", Pace::AtOnce)?;
    let took = began.elapsed();
    if took > LIMIT {
        return Err(format!("it took {took:?}"));
    }
    if status == 200
        && method != "HEAD"
        && let Err(error) = serde_json::from_slice::<serde_json::Value>(&body)
    {
        return Err(format!("no JSON: {error}"));
    }
    Ok((status, took))
}

/// Asks, with further lines of the head; gives the answer if it is whole.
pub(super) fn take(
    api: SocketAddr,
    method: &str,
    path: &str,
    more: &str,
    pace: Pace,
) -> Result<Answer, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = begin(api, method, path, &format!("Connection: close\r\n{more}"))?;
    let mut answer = Vec::new();
    match pace {
        Pace::AtOnce => {
            stream.read_to_end(&mut answer).map_err(text)?;
        }
        Pace::Slowly => {
            let mut some = [0; 8 * 1024];
            loop {
                match stream.read(&mut some).map_err(text)? {
                    0 => break,
                    length => answer.extend(&some[..length]),
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    whole(&answer, method)
}

/// Sends a request; what comes back is still to be read.
pub(super) fn begin(
    api: SocketAddr,
    method: &str,
    path: &str,
    more: &str,
) -> Result<TcpStream, String> {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {api}\r\n{more}\r\n");
    let begin = || {
        let mut stream = TcpStream::connect_timeout(&api, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    };
    begin().map_err(|error: std::io::Error| error.to_string())
}

/// An answer, if all came that its head promises.
fn whole(answer: &[u8], method: &str) -> Result<Answer, String> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no answer")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head}"))?;
    let header = |name: &str| {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
        head.lines().find_map(value)
    };
    let body = &answer[end + 4..];
    let length = header("content-length").and_then(|length| length.trim().parse().ok());
    let body = if method == "HEAD" {
        Vec::new()
    } else if header("transfer-encoding").is_some() {
        without_chunks(body).ok_or_else(|| format!("it broke off after {} bytes", body.len()))?
    } else if length.is_some_and(|length: usize| length != body.len()) {
        return Err(format!("{} of {length:?} bytes came", body.len()));
    } else {
        body.to_vec()
    };
    Ok(Answer { status, body })
}

/// What chunks hold; `None` if the last of them is not there.
fn without_chunks(body: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut all) = (body.to_vec(), Vec::new());
    loop {
        match take_chunk(&mut rest).ok()?? {
            chunk if chunk.is_empty() => return Some(all),
            chunk => all.extend(chunk),
        }
    }
}

/// The first chunk once it is whole; the last of all is empty.
pub(super) fn take_chunk(from: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let Some(end) = from.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
    let size = String::from_utf8_lossy(&from[..end]).into_owned();
    let length = usize::from_str_radix(&size, 16).map_err(|_| format!("a chunk of {size:?}"))?;
    let (begin, end) = (end + 2, end + 2 + length);
    if from.len() < end + 2 {
        return Ok(None);
    }
    let chunk = from[begin..end].to_vec();
    from.drain(..end + 2);
    Ok(Some(chunk))
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
