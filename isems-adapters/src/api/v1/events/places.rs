//! Who follows, and how many may.

use std::{collections::HashMap, net::IpAddr};

use crate::api::settings::ApiLimits;

/// The places of those who follow, by address; `None`: those whose address is
/// not counted.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Option<IpAddr>, usize>);

impl Places {
    /// Takes a place for a client at `address`; whether there was one.
    pub(super) fn take(&mut self, address: Option<IpAddr>, limits: &ApiLimits) -> bool {
        let all: usize = self.0.values().sum();
        let of_address = self.0.get(&address).copied().unwrap_or(0);
        let is_full = all >= limits.event_clients
            || (address.is_some() && of_address >= limits.event_clients_per_address);
        if !is_full {
            self.0.insert(address, of_address + 1);
        }
        !is_full
    }

    /// Gives a place back that was taken.
    pub(super) fn give_back(&mut self, address: Option<IpAddr>) {
        if let Some(taken) = self.0.get_mut(&address) {
            *taken -= 1;
            if *taken == 0 {
                self.0.remove(&address);
            }
        }
    }

    /// Whether nobody has one.
    pub(super) fn are_all_free(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(event_clients: usize, event_clients_per_address: usize) -> ApiLimits {
        ApiLimits { event_clients, event_clients_per_address, ..ApiLimits::default() }
    }

    #[test]
    fn an_address_has_so_many_places_and_leaves_the_others_to_others() {
        let (mut places, limits) = (Places::default(), limits(5, 2));
        let asked = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2"];
        let taken = asked.map(|address| places.take(Some(ip(address)), &limits));
        assert_eq!(taken, [true, true, false, true, true, false]);
        places.give_back(Some(ip("10.0.0.1")));
        assert!(places.take(Some(ip("10.0.0.1")), &limits));
    }

    #[test]
    fn who_is_not_counted_by_address_may_take_all_there_are() {
        let (mut places, limits) = (Places::default(), limits(5, 2));
        let taken = [None; 6].map(|address| places.take(address, &limits));
        assert_eq!(taken, [true, true, true, true, true, false]);
        assert!(!places.take(Some(ip("10.0.0.1")), &limits));
        for _ in 0..5 {
            places.give_back(None);
        }
        assert!(places.are_all_free());
    }
}
