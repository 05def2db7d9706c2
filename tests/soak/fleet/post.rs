//! A node's side of MQTT 3.1.1: as little of it as the ESP32 firmware speaks.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long the broker may take for anything.
const LIMIT: Duration = Duration::from_secs(5);

/// A connection that publishes with quality of service 1.
#[derive(Debug)]
pub(super) struct Post {
    stream: TcpStream,
    last_id: u16,
}

impl Post {
    /// Connects with a clean session.
    pub(super) fn connect(broker: SocketAddr, client: &str) -> io::Result<Self> {
        let mut body = Vec::new();
        push_text(&mut body, b"MQTT");
        body.extend([4, 0b10, 0, 60]);
        push_text(&mut body, client.as_bytes());
        let mut stream = TcpStream::connect_timeout(&broker, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        stream.write_all(&packet(0x10, &body))?;
        expect(&mut stream, [0x20, 2, 0, 0])?;
        Ok(Self { stream, last_id: 0 })
    }

    /// Publishes; when this returns `Ok`, the broker has accepted it.
    pub(super) fn publish(&mut self, topic: &str, payload: &str) -> io::Result<()> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let mut body = Vec::new();
        push_text(&mut body, topic.as_bytes());
        body.extend(self.last_id.to_be_bytes());
        body.extend(payload.as_bytes());
        self.stream.write_all(&packet(0x32, &body))?;
        let [high, low] = self.last_id.to_be_bytes();
        expect(&mut self.stream, [0x40, 2, high, low])
    }
}

fn expect(stream: &mut TcpStream, expected: [u8; 4]) -> io::Result<()> {
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    if answer == expected { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
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
