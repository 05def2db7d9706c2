//! Brokers that no mosquitto plays: a script answers on a loopback socket.

use isems_adapters::mqtt::{MqttSubscription, Protocol, parse_filters};
use isems_core::SourceError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::support::{settings, start, take, trouble};

const CONNACK_5: &[u8] = &[0x20, 3, 0, 0, 0];
const CONNACK_3: &[u8] = &[0x20, 2, 0, 0];

/// Serves every connection with `answers`: one for each packet of the client.
async fn broker(answers: &'static [&'static [u8]]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, answers));
        }
    });
    address
}

async fn serve(mut socket: TcpStream, answers: &[&[u8]]) {
    for answer in answers {
        if read_packet(&mut socket).await.is_err() || socket.write_all(answer).await.is_err() {
            return;
        }
    }
    // Silent from here on, until the client goes.
    while read_packet(&mut socket).await.is_ok() {}
}

/// Reads a packet of fewer than 16,384 bytes.
async fn read_packet(socket: &mut TcpStream) -> std::io::Result<()> {
    let _kind = socket.read_u8().await?;
    let mut length = usize::from(socket.read_u8().await?);
    if length >= 128 {
        length = length - 128 + 128 * usize::from(socket.read_u8().await?);
    }
    socket.read_exact(&mut vec![0; length]).await.map(drop)
}

fn subscribe(address: &str, protocol: Protocol, topics: &str) -> MqttSubscription {
    let mut settings = settings(address, protocol);
    settings.topics = parse_filters(topics).expect("valid filters");
    start(settings)
}

#[tokio::test]
async fn a_refused_subscription_is_told_with_its_topic() {
    for (protocol, answers) in [
        (Protocol::V5, &[CONNACK_5, &[0x90, 4, 0, 1, 0, 0x87]]),
        (Protocol::V311, &[CONNACK_3, &[0x90, 3, 0, 1, 0x80]]),
    ] {
        let address = broker(answers).await;
        let mut subscription = subscribe(&address, protocol, "/isems/#");

        let error = trouble(&mut subscription).await;

        assert!(matches!(error, SourceError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("/isems/#"), "{error}");
        assert!(error.to_string().contains("MQTT_TOPICS"), "{error}");
    }
}

/// Accepts `a/#`, refuses `b/#`, and sends a message on the first.
async fn half_refusing_broker() -> String {
    const REFUSE_SECOND: &[u8] = &[0x90, 5, 0, 1, 0, 1, 0x87];
    const MESSAGE: &[u8] = b"\x32\x0e\0\x08a/csvlog\0\x01\0x";
    broker(vec![CONNACK_5, [REFUSE_SECOND, MESSAGE].concat().leak()].leak()).await
}

#[tokio::test]
async fn one_refused_topic_is_told_without_the_others() {
    let address = half_refusing_broker().await;
    let mut subscription = subscribe(&address, Protocol::V5, "a/#,b/#");

    let error = trouble(&mut subscription).await;

    assert!(error.to_string().contains("b/#"), "{error}");
    assert!(!error.to_string().contains("a/#"), "{error}");
}

#[tokio::test]
async fn one_refused_topic_does_not_stop_the_others() {
    let address = half_refusing_broker().await;
    let mut subscription = subscribe(&address, Protocol::V5, "a/#,b/#");

    assert_eq!(take(&mut subscription).await.payload, b"x");
}

#[tokio::test]
async fn a_broker_of_the_other_protocol_is_told_with_the_variable_to_set() {
    for (protocol, answer) in [
        // As a broker of 3.1.1 answers, which is not even well-formed in 5.
        (Protocol::V5, &[0x20_u8, 2, 0, 1][..]),
        (Protocol::V5, &[0x20, 3, 0, 0x84, 0]),
        (Protocol::V311, &[0x20, 2, 0, 1]),
    ] {
        let address = closing_broker(answer).await;
        let mut subscription = subscribe(&address, protocol, "/isems/#");

        let error = trouble(&mut subscription).await;

        assert!(error.to_string().contains("MQTT_PROTOCOL"), "{error}");
    }
}

/// Answers the first packet and hangs up.
async fn closing_broker(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            if read_packet(&mut socket).await.is_ok() {
                socket.write_all(answer).await.ok();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_session_taken_over_is_told_as_such() {
    let address = broker(&[CONNACK_5, &[0x90, 4, 0, 1, 0, 1, 0xE0, 2, 0x8E, 0]]).await;
    let mut subscription = subscribe(&address, Protocol::V5, "/isems/#");

    let error = trouble(&mut subscription).await;

    assert!(error.to_string().contains("SessionTakenOver"), "{error}");
}
