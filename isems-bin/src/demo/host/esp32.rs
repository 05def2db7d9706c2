//! The web server of an ESP32 node: HTTP/1.0, no length, no newline at the end,
//! and a page instead of an error for every path that it does not know.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{LastLines, Living};

/// Where ESP32 nodes keep their lines.
pub(super) const LOG_PATH: &str = "/csv.log";
/// The firmware reads no more of a request.
const REQUEST_LIMIT: usize = 4_096;
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD: &str = "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n";
const INDEX: &str = "<html><a href=\"csv.log\">CSV-Log</a><br><br>\
    <h1>Independent Solar Energy Mesh</h1></html>";

/// Answers until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    lines: Arc<Living<LastLines>>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles: the next attempt may find one.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let lines = Arc::clone(&lines);
        connections.spawn(async move {
            // A client that goes away or hangs is none of the node's business.
            let _: Result<io::Result<()>, _> = timeout(PATIENCE, answer(stream, &lines)).await;
        });
    }
    connections.shutdown().await;
}

async fn answer(mut stream: TcpStream, lines: &Living<LastLines>) -> io::Result<()> {
    let mut request = Vec::new();
    while !ends_head(&request) && request.len() < REQUEST_LIMIT {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let mut answer = HEAD.to_owned();
    if asks_for_log(&request) {
        answer.push_str(&lines.look(|lines, _| lines.text()));
    } else {
        answer.push_str(INDEX);
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn ends_head(request: &[u8]) -> bool {
    request.windows(4).any(|window| window == b"\r\n\r\n")
}

/// The firmware looks for the word `csv` in the first line.
fn asks_for_log(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.windows(3).any(|window| window == b"csv")
}
