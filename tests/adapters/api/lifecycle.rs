//! How the server begins and ends.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use isems_adapters::api::{ApiError, ApiServer, ApiSettings};
use isems_core::{ActivityRule, Clock, MeasurementReader, Timestamp};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::support::{Answer, BOUND, Stub, read_all, row, settings, start, start_with, until};

const REQUEST: &[u8] = b"GET /measurements/latest HTTP/1.1\r\nHost: x\r\n\r\n";

async fn bind_error(settings: ApiSettings) -> String {
    struct Epoch;
    impl Clock for Epoch {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix(0)
        }
    }
    let reader: Arc<dyn MeasurementReader> = Stub::of(Vec::new());
    let bound = ApiServer::bind(settings, reader, ActivityRule::default(), Arc::new(Epoch)).await;
    bound.unwrap_err().to_string()
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_the_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings();
    settings.listen = taken.local_addr().unwrap();
    let error = bind_error(settings.clone()).await;
    let expected = format!("ISEMS_LISTEN: cannot listen on {}", settings.listen);
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn a_folder_without_an_app_is_an_error_that_names_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing")] {
        let mut settings = settings();
        settings.app_dir = Some(path.clone());
        let error = bind_error(settings).await;
        let expected = format!("ISEMS_APP_DIR: {} holds no built isems-app", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn at_the_end_an_answer_under_way_is_finished_and_nobody_new_comes_in() {
    let stub = Stub::of((0..1_440).map(|i| row(i, "a", i)).collect());
    stub.hold_up();
    let mut settings = settings();
    settings.limits.drain_time = 10 * BOUND;
    settings.limits.header_time = 10 * BOUND;
    let mut api = start_with(&stub, settings).await;
    let mut client = api.connect().await;
    client.write_all(b"GET /measurements/a/latest HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until("it is being answered", || async { stub.begun.load(Ordering::SeqCst) == 1 }).await;

    api.stop.cancel();
    let refused = || async { TcpStream::connect(api.address).await.is_err() };
    until("nobody new comes in", refused).await;
    stub.gate.add_permits(1);
    let answer = Answer::parse(&read_all(&mut client).await);
    assert_eq!(answer.measurements().len(), 1_440);
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let served = timeout(BOUND, &mut api.served).await.expect("it ends").unwrap();
    assert!(matches!(served, Ok::<(), ApiError>(())));
}

#[tokio::test]
async fn at_the_end_idle_connections_are_not_waited_for() {
    let mut settings = settings();
    settings.limits.drain_time = 10 * BOUND;
    settings.limits.header_time = 10 * BOUND;
    let mut api = start_with(&Stub::of(Vec::new()), settings).await;
    let _silent = api.connect().await;
    let mut half = api.connect().await;
    half.write_all(&REQUEST[..20]).await.unwrap();
    assert_eq!(api.get("/measurements/latest").await.status, 200);
    api.stop.cancel();
    let served = timeout(BOUND, &mut api.served).await.expect("it ends").unwrap();
    served.unwrap();
}

#[tokio::test]
async fn at_the_end_an_answer_that_takes_too_long_is_cut_off() {
    let stub = Stub::of(Vec::new());
    stub.hold_up();
    let mut settings = settings();
    settings.limits.drain_time = Duration::from_millis(100);
    settings.limits.request_time = 10 * BOUND;
    let mut api = start_with(&stub, settings).await;
    let mut client = api.connect().await;
    client.write_all(REQUEST).await.unwrap();
    until("it is being answered", || async { stub.begun.load(Ordering::SeqCst) == 1 }).await;
    api.stop.cancel();
    let served = timeout(BOUND, &mut api.served).await.expect("it ends").unwrap();
    served.unwrap();
    assert_eq!(read_all(&mut client).await, b"");
}

#[tokio::test]
async fn a_server_that_is_dropped_drops_its_connections() {
    let api = start(&Stub::of(Vec::new())).await;
    let mut client = api.connect().await;
    client.write_all(b"GET /sources HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    client.readable().await.unwrap();
    drop(api);
    assert_eq!(Answer::parse(&read_all(&mut client).await).status, 200);
}

#[tokio::test]
async fn a_fault_in_one_connection_leaves_the_others_alone() {
    let stub = Stub::of(Vec::new());
    stub.fail_with(|| panic!("a fault that the test made"));
    let api = start(&stub).await;
    let mut client = api.connect().await;
    client.write_all(REQUEST).await.unwrap();
    assert_eq!(read_all(&mut client).await, b"");
    assert_eq!(api.get("/").await.status, 200);
}
