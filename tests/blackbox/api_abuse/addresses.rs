//! Clients that are not of this machine, as far as the collector can tell: they
//! have so many places, whereas loopback has no limit of its own.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::Instant,
};

use super::{Crowd, HARDLY_NOTICEABLE};
use crate::support::{Isems, eventually, get};

/// Places that an address has, see OPERATIONS.md.
const PLACES: usize = 64;

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

#[test]
fn an_address_has_64_connections_of_which_the_oldest_go_and_loopback_has_no_limit() {
    const BEYOND: usize = 16;
    let Some(own) = own_address() else {
        // Past the harness, which shows nothing of a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: an_address_has_64_connections…: this machine has no address but loopback, \
             which is exempt from that limit. Run it where there is a network interface \
             (`ip addr` shows them; nothing is sent to the network)."
        );
        return;
    };
    let anywhere = if own.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let serving = Isems::new().set("ISEMS_LISTEN", anywhere).serve();
    let port = serving.api().rsplit(':').next().unwrap().parse().unwrap();
    let loopback = if own.is_ipv4() { "127.0.0.1".parse() } else { "::1".parse() };
    let at = |address: IpAddr| format!("http://{}", SocketAddr::new(address, port));
    let (near, far) = (at(loopback.unwrap()), at(own));
    let (mut local, mut remote) = (Crowd::default(), Crowd::default());

    // When an address, and loopback, have more connections than an address may
    local.join(&near, PLACES + BEYOND, b"");
    remote.join(&far, PLACES + BEYOND, b"");

    // Then the address keeps as many as it may, and loopback all
    let there = eventually("no more than the limit", || {
        let there = remote.still_there();
        (there.len() <= PLACES).then_some(there)
    });
    assert_eq!(there, (BEYOND..PLACES + BEYOND).collect::<Vec<_>>());
    assert_eq!(local.still_there().len(), PLACES + BEYOND);
    // And all are answered, whoever has taken his places
    for api in [&near, &far] {
        let asked = Instant::now();
        assert_eq!(get(&format!("{api}/measurements/latest")).status, 200);
        assert!(asked.elapsed() < HARDLY_NOTICEABLE, "{api}: {:?}", asked.elapsed());
    }
    assert_eq!(local.still_there().len(), PLACES + BEYOND);
}
