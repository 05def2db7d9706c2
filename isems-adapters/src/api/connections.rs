//! Who is connected, and who must go for whom.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::settings::ApiLimits;

/// All connections. One is *idle* while no request of it is being answered;
/// also when it sends a request's headers byte by byte.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    most_per_address: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Counts events, so that "longest idle" is the smallest number.
    turn: u64,
    open: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `None` on loopback, which is exempt from the limit per address.
    address: Option<IpAddr>,
    answering: u32,
    idle_since: u64,
    ended: CancellationToken,
}

impl Connections {
    pub(super) fn new(limits: &ApiLimits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.connections.max(1),
            most_per_address: limits.connections_per_address.max(1),
            table: Mutex::default(),
        })
    }

    /// A place for a new connection of `peer`, if need be that of the one that
    /// has been idle longest (of the same address, if that has too many).
    /// `None`: everybody is busy.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = counted_as(peer);
        let mut table = self.lock();
        if address.is_some() {
            let of_address = |entry: &Entry| entry.address == address;
            let count = table.open.values().filter(|e| of_address(e)).count();
            if count >= self.most_per_address && !table.end_longest_idle(of_address) {
                return None;
            }
        }
        if table.open.len() >= self.most && !table.end_longest_idle(|_| true) {
            return None;
        }
        table.turn += 1;
        let id = table.turn;
        let ended = CancellationToken::new();
        let entry = Entry { address, answering: 0, idle_since: id, ended: ended.clone() };
        table.open.insert(id, entry);
        let connections = Arc::clone(self);
        Some(Place { connections, id, ended })
    }

    /// Ends the connection that has been idle longest; whether there was one.
    pub(super) fn end_longest_idle(&self) -> bool {
        self.lock().end_longest_idle(|_| true)
    }

    /// Ends all that are idle.
    pub(super) fn end_idle(&self) {
        while self.end_longest_idle() {}
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn end_longest_idle(&mut self, among: impl Fn(&Entry) -> bool) -> bool {
        let longest = self
            .open
            .iter()
            .filter(|(_, entry)| entry.answering == 0 && among(entry))
            .min_by_key(|(_, entry)| entry.idle_since)
            .map(|(id, _)| *id);
        let entry = longest.and_then(|id| self.open.remove(&id));
        if let Some(entry) = &entry {
            entry.ended.cancel();
        }
        entry.is_some()
    }
}

/// The address that a peer is counted under; `None`: it is not counted.
pub(super) fn counted_as(peer: IpAddr) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if peer.is_loopback() {
        return None;
    }
    match peer {
        IpAddr::V6(v6) => {
            // One client has a whole /64 to choose its addresses from.
            let network = u128::from(v6) & (u128::MAX << 64);
            Some(IpAddr::V6(Ipv6Addr::from(network)))
        }
        IpAddr::V4(_) => Some(peer),
    }
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    ended: CancellationToken,
}

impl Place {
    /// Cancelled when the connection must go.
    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Busy until every clone of the result is dropped.
    pub(super) fn answering(&self) -> Arc<Answering> {
        let mut table = self.connections.lock();
        if let Some(entry) = table.open.get_mut(&self.id) {
            entry.answering += 1;
        }
        Arc::new(Answering { connections: Arc::clone(&self.connections), id: self.id })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
    }
}

/// A request of a connection is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    connections: Arc<Connections>,
    id: u64,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.turn += 1;
        let turn = table.turn;
        if let Some(entry) = table.open.get_mut(&self.id) {
            entry.answering = entry.answering.saturating_sub(1);
            entry.idle_since = turn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(most: usize, most_per_address: usize) -> Arc<Connections> {
        Connections::new(&ApiLimits {
            connections: most,
            connections_per_address: most_per_address,
            ..ApiLimits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_idle_connection_goes_for_a_new_one() {
        let all = connections(3, 3);
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|p| all.admit(ip(p)).unwrap());
        drop(a.answering()); // a is now idle for a shorter time than b and c.
        let d = all.admit(ip("10.0.0.4")).unwrap();
        let gone = [&a, &b, &c, &d].map(|place| place.ended().is_cancelled());
        assert_eq!(gone, [false, true, false, false]);
    }

    #[test]
    fn a_new_connection_is_refused_only_when_all_are_busy() {
        let all = connections(2, 2);
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|p| all.admit(ip(p)).unwrap());
        let (busy_a, busy_b) = (a.answering(), b.answering());
        assert!(all.admit(ip("10.0.0.3")).is_none());
        drop(busy_b);
        assert!(all.admit(ip("10.0.0.3")).is_some());
        assert!(!a.ended().is_cancelled() && b.ended().is_cancelled());
        drop(busy_a);
    }

    #[test]
    fn an_address_with_too_many_loses_its_own() {
        let all = connections(10, 2);
        let other = all.admit(ip("10.0.0.9")).unwrap();
        let places = [1, 2, 3].map(|_| all.admit(ip("10.0.0.1")).unwrap());
        let gone = [0, 1, 2].map(|i| places[i].ended().is_cancelled());
        assert_eq!(gone, [true, false, false]);
        assert!(!other.ended().is_cancelled());
    }

    #[test]
    fn loopback_is_exempt_and_an_ipv6_client_is_its_network() {
        for (peer, twin, limited) in [
            ("127.0.0.1", "127.0.0.1", false),
            ("::1", "::1", false),
            ("::ffff:127.0.0.1", "127.0.0.1", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let all = connections(10, 1);
            let first = all.admit(ip(peer)).unwrap();
            let _second = all.admit(ip(twin)).unwrap();
            assert_eq!(first.ended().is_cancelled(), limited, "{peer} {twin}");
        }
    }

    #[test]
    fn a_dropped_place_is_free_again() {
        let all = connections(1, 1);
        let place = all.admit(ip("10.0.0.1")).unwrap();
        let busy = place.answering();
        drop(place);
        let next = all.admit(ip("10.0.0.2")).unwrap();
        drop(busy);
        assert!(!next.ended().is_cancelled());
    }
}
