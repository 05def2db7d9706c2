//! Waits until the API shows the whole fleet, asking it as any client would.

use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::host::Entry;

/// The first round takes a second or two; then something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// The newest measurement of eight nodes takes some 4 KB.
const ANSWER_LIMIT: u64 = 1 << 20;

/// Returns the names of nodes that the API did not show in time: none, if all
/// is well.
pub(super) async fn wait(api: SocketAddr, fleet: &[Entry]) -> Vec<&'static str> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = timeout(PATIENCE, ask(api)).await;
        let shown = match answer {
            Ok(Ok(answer)) => names(&answer),
            // Not up yet, or busy.
            _ => BTreeSet::new(),
        };
        let missing: Vec<_> =
            fleet.iter().map(|entry| entry.name).filter(|name| !shown.contains(*name)).collect();
        if missing.is_empty() || Instant::now() >= deadline {
            return missing;
        }
        sleep(PAUSE).await;
    }
}

async fn ask(api: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(api).await?;
    let request = format!(
        "GET /measurements/latest?all=true HTTP/1.0\r\nHost: {api}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_LIMIT).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The node ids in an answer of the API; none if it is no such answer.
fn names(answer: &str) -> BTreeSet<String> {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let measurements = body["measurements"].as_array().into_iter().flatten();
    measurements
        .filter_map(|measurement| measurement["nodeId"].as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_answer_and_nothing_else_is_an_error() {
        // (answer, names)
        let table: [(&str, &[&str]); 4] = [
            (
                "HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"measurements\":[{\"nodeId\":\"Süd\"},{\"nodeId\":\"Dach\"}]}",
                &["Dach", "Süd"],
            ),
            ("HTTP/1.0 200 OK\r\n\r\n{\"measurements\":[]}", &[]),
            ("HTTP/1.0 503 Busy\r\n\r\nbusy", &[]),
            ("", &[]),
        ];
        for (answer, expected) in table {
            let names = names(answer);
            assert_eq!(Vec::from_iter(&names), Vec::from_iter(expected), "{answer}");
        }
    }
}
