//! How an answer ends that cannot be finished, for clients to which the end of
//! the connection is the end of the answer (HTTP/1.0; many a proxy speaks it).

use std::{
    io::{self, ErrorKind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use isems_core::RepoError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::support::{Api, BOUND, Stub, row, settings, start_with, until};

const REQUEST: &[u8] = b"GET /api/v1/nodes/a/export.csv HTTP/1.0\r\n\r\n";

/// An export that has begun and whose second page waits at the gate.
async fn under_way(drain_time: Duration) -> (Api, Arc<Stub>, TcpStream) {
    let stub = Stub::of((0..1_500).map(|i| row(i, "a", i)).collect());
    let mut settings = settings();
    settings.limits.drain_time = drain_time;
    let api = start_with(&stub, settings).await;
    stub.hold_up();
    stub.gate.add_permits(1);
    let mut stream = api.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    let begun = || async { stub.begun.load(Ordering::SeqCst) == 2 };
    until("the second page is being read", begun).await;
    (api, stub, stream)
}

/// What came, and how it ended.
async fn all(stream: &mut TcpStream) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let read = timeout(BOUND, stream.read_to_end(&mut bytes)).await.expect("it never ends");
    (String::from_utf8(bytes).unwrap(), read.map(|_| ()))
}

#[tokio::test]
async fn an_export_that_is_whole_comes_whole_also_to_one_who_reads_when_the_server_has_gone() {
    let stub = Stub::of((0..200).map(|i| row(i, "a", i)).collect());
    let mut api = start_with(&stub, settings()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(api.address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let begun = || async { stub.begun.load(Ordering::SeqCst) > 0 };
    until("it is being made", begun).await;
    api.stop.cancel();
    timeout(BOUND, &mut api.served).await.expect("it ends").unwrap().unwrap();
    let (answer, end) = all(&mut stream).await;
    end.unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.matches("\r\n").count(), 201);
}

#[tokio::test]
async fn an_export_that_cannot_go_on_does_not_end_as_a_whole_one_does() {
    let (_api, stub, mut stream) = under_way(BOUND).await;
    stub.fail_with(|| RepoError::Unavailable { what: "gone".to_owned(), cause: None });
    stub.gate.add_permits(1);
    let (answer, end) = all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer:.99}");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_export_that_the_servers_end_cuts_off_does_not_end_as_a_whole_one_does() {
    let (api, _stub, mut stream) = under_way(Duration::from_millis(100)).await;
    api.stop.cancel();
    let (answer, end) = all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer:.99}");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
