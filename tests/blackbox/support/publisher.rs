//! A node's side of MQTT: as little of it as the ESP32 firmware speaks.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::Message;

/// User and password at the broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

/// A connection that publishes with quality of service 1.
#[derive(Debug)]
pub(crate) struct Publisher {
    stream: TcpStream,
    last_id: u16,
}

impl Publisher {
    /// So many messages are under way at once.
    const WINDOW: usize = 50;

    /// Connects by MQTT 3.1.1 with a clean session and an id of its own.
    pub(super) fn connect(port: u16, login: Option<Login>, limit: Duration) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let client_id = format!("node-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut body = Vec::new();
        push_text(&mut body, b"MQTT");
        let flags = if login.is_some() { 0b1100_0010 } else { 0b10 };
        body.extend([4, flags, 0, 60]);
        push_text(&mut body, client_id.as_bytes());
        if let Some(Login { user, password }) = login {
            push_text(&mut body, user.as_bytes());
            push_text(&mut body, password.as_bytes());
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(limit)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&packet(0x10, &body)).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0x20, 2, 0, 0], "the broker lets the node in");
        Self { stream, last_id: 0 }
    }

    /// Publishes; every message is accepted when this returns.
    pub(crate) fn publish(&mut self, messages: &[Message]) {
        for messages in messages.chunks(Self::WINDOW) {
            let mut window = Vec::new();
            let mut awaited = Vec::new();
            for (topic, payload) in messages {
                let id = self.next_id();
                window.extend(publish_packet(0x32, topic, id, payload.as_bytes()));
                awaited.push(id);
            }
            self.exchange(&window, &awaited);
        }
    }

    /// Publishes one message of any bytes.
    pub(crate) fn publish_bytes(&mut self, topic: &str, payload: &[u8]) {
        let id = self.next_id();
        self.exchange(&publish_packet(0x32, topic, id, payload), &[id]);
    }

    /// Publishes one message that the broker keeps for later subscribers.
    pub(crate) fn publish_retained(&mut self, (topic, payload): &Message) {
        let id = self.next_id();
        self.exchange(&publish_packet(0x33, topic, id, payload.as_bytes()), &[id]);
    }

    fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    /// Sends packets and reads the acknowledgement of each.
    fn exchange(&mut self, packets: &[u8], awaited: &[u16]) {
        self.stream.write_all(packets).unwrap();
        for id in awaited {
            let mut answer = [0; 4];
            self.stream.read_exact(&mut answer).unwrap();
            let [high, low] = id.to_be_bytes();
            assert_eq!(answer, [0x40, 2, high, low], "the broker accepts the message");
        }
    }
}

fn publish_packet(head: u8, topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic.as_bytes());
    body.extend(id.to_be_bytes());
    body.extend(payload);
    packet(head, &body)
}

fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![head];
    let mut rest = body.len();
    loop {
        let seven_bits = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        if rest == 0 {
            packet.push(seven_bits);
            break;
        }
        packet.push(seven_bits | 128);
    }
    packet.extend(body);
    packet
}

fn push_text(packet: &mut Vec<u8>, text: &[u8]) {
    packet.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    packet.extend(text);
}
