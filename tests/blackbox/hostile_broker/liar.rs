//! A broker that lets anybody in and claims more than it has.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Announces a message of 200 MB to each subscriber and sends it until the
/// subscriber hangs up.
#[derive(Debug)]
pub(super) struct Liar {
    address: SocketAddr,
    sent: Arc<AtomicUsize>,
}

/// What it announces, in bytes.
const CLAIMED: usize = 200_000_000;

impl Liar {
    /// Speaks the version of MQTT.
    pub(super) fn start(protocol: &str) -> Self {
        let is_v5 = protocol == "5";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Ends with the subscriber.
                let _ = lie_to(stream, is_v5, &counted);
            }
        });
        Self { address, sent }
    }

    /// `ADDRESS:PORT`, as in `MQTT_SERVER`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many bytes of its message it got rid of.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

fn lie_to(mut stream: TcpStream, is_v5: bool, sent: &AtomicUsize) -> std::io::Result<()> {
    read_packet(&mut stream)?;
    stream.write_all(if is_v5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] })?;
    let subscribe = read_packet(&mut stream)?;
    let id = [subscribe[0], subscribe[1]];
    let granted: &[u8] = if is_v5 { &[0, 1] } else { &[1] };
    let length = u8::try_from(2 + granted.len()).unwrap();
    stream.write_all(&[&[0x90, length], &id[..], granted].concat())?;

    let mut head = vec![0x32];
    let mut rest = CLAIMED;
    while rest > 0 {
        let more = if rest > 127 { 128 } else { 0 };
        head.push(u8::try_from(rest % 128).unwrap() | more);
        rest /= 128;
    }
    head.extend(b"\0\x0e/isems/x/csvlog");
    head.extend([0, 1, 0]);
    stream.write_all(&head)?;
    while sent.load(Ordering::Relaxed) < CLAIMED {
        stream.write_all(&vec![b'x'; 65_536])?;
        sent.fetch_add(65_536, Ordering::Relaxed);
    }
    Ok(())
}

/// The rest of a packet after its head; those that come here are short.
fn read_packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    assert!(head[1] < 128, "a packet of more than 127 bytes");
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest)?;
    Ok(rest)
}
