//! Clients that are not of this machine, as far as the collector can tell: they
//! have so many places, whereas loopback has no limit of its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Instant,
};

use super::{Crowd, HARDLY_NOTICEABLE};
use crate::support::{Isems, Running, SOON, eventually, get};

/// Connections that an address may have.
const PLACES: usize = 64;

/// How often an address may follow the events.
const FOLLOWERS: usize = 8;

/// An address of this machine that is not loopback: the one from which the
/// system would send to a network that exists in documents only. Nothing is
/// sent.
fn own_address() -> Option<IpAddr> {
    [("0.0.0.0:0", "198.51.100.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().find_map(
        |(from, to)| {
            let socket = UdpSocket::bind(from).ok()?;
            socket.connect(to).ok()?;
            let own = socket.local_addr().ok()?.ip();
            // One that others cannot be reached by would not do either.
            (!own.is_loopback() && TcpListener::bind((own, 0)).is_ok()).then_some(own)
        },
    )
}

/// A collector that can be reached by two addresses of this machine.
struct Reached {
    _serving: Running,
    /// From loopback, to loopback.
    near: String,
    /// From the machine's own address, to the same.
    far: String,
}

impl Reached {
    /// `None`, and a word to whoever runs the tests, on a machine that has
    /// nothing but loopback.
    fn by_two_addresses() -> Option<Self> {
        let Some(own) = own_address() else {
            // Past the harness, which shows nothing of a test that passes.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: the limits for each client address are not tested here. This machine \
                 has no address but loopback, which is exempt from them. Run this where there is \
                 a network interface and a route (`ip addr`, `ip route`); nothing is sent."
            );
            return None;
        };
        let (anywhere, loopback) =
            if own.is_ipv4() { ("0.0.0.0:0", "127.0.0.1") } else { ("[::]:0", "::1") };
        let serving = Isems::new().set("ISEMS_LISTEN", anywhere).serve();
        let port = serving.api().rsplit(':').next().unwrap().parse().unwrap();
        let at = |address| format!("http://{}", SocketAddr::new(address, port));
        Some(Self { near: at(loopback.parse().unwrap()), far: at(own), _serving: serving })
    }
}

/// The status with which a client is answered that follows the events, and the
/// client.
fn follow(api: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(api.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    (line.split(' ').nth(1).unwrap().to_owned(), stream)
}

#[test]
fn an_address_has_64_connections_of_which_the_oldest_go_and_loopback_has_no_limit() {
    const BEYOND: usize = 16;
    let Some(reached) = Reached::by_two_addresses() else { return };
    let Reached { near, far, .. } = &reached;
    let (mut local, mut remote) = (Crowd::default(), Crowd::default());

    // When an address, and loopback, have more connections than an address may
    local.join(near, PLACES + BEYOND, b"");
    remote.join(far, PLACES + BEYOND, b"");

    // Then the address keeps as many as it may, and loopback all
    let there = eventually("no more than the limit", || {
        let there = remote.still_there();
        (there.len() <= PLACES).then_some(there)
    });
    assert_eq!(there, (BEYOND..PLACES + BEYOND).collect::<Vec<_>>());
    assert_eq!(local.still_there().len(), PLACES + BEYOND);
    // And all are answered, whoever has taken his places
    for api in [near, far] {
        let asked = Instant::now();
        assert_eq!(get(&format!("{api}/measurements/latest")).status, 200);
        assert!(asked.elapsed() < HARDLY_NOTICEABLE, "{api}: {:?}", asked.elapsed());
    }
    assert_eq!(local.still_there().len(), PLACES + BEYOND);
}

#[test]
fn an_address_follows_events_eight_times_and_loopback_has_no_limit() {
    let Some(reached) = Reached::by_two_addresses() else { return };
    let follow_often = |api: &str| (0..=FOLLOWERS).map(|_| follow(api)).collect::<Vec<_>>();
    let answers = |followers: &[(String, TcpStream)]| {
        followers.iter().map(|(status, _)| status.clone()).collect::<Vec<_>>()
    };

    let remote = follow_often(&reached.far);
    let local = follow_often(&reached.near);

    let mut expected = vec!["200"; FOLLOWERS];
    expected.push("503");
    assert_eq!(answers(&remote), expected);
    assert_eq!(answers(&local), ["200"; FOLLOWERS + 1]);
    // Who goes leaves the place to another.
    drop(remote);
    eventually("a free place", || (follow(&reached.far).0 == "200").then_some(()));
}
