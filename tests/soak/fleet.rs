//! The fleet: routers that are polled, and ESP32s that publish.

mod clock;
mod esp_page;
mod ledger;
mod post;
mod router;
mod sample;
mod station;
mod web;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use self::{
    clock::Kind,
    esp_page::EspPage,
    router::Router,
    station::{Says, Station},
};
pub(crate) use self::{
    ledger::{Books, Entry, Ledger},
    sample::Sample,
};
use crate::{counters::Counters, rng::Rng};

/// The node whose history is long from the start.
pub(crate) const ARCHIVE: &str = "Archiv";

/// So many lines it has: more than an answer of the API shows.
const PAST: usize = 1_500;

/// What happens around the nodes.
#[derive(Debug)]
pub(crate) struct Weather {
    /// Faults happen.
    pub(crate) storm: AtomicBool,
    /// Nodes measure.
    pub(crate) nodes_measure: AtomicBool,
}

/// All nodes.
pub(crate) struct Fleet {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weather: Arc<Weather>,
    routers: Vec<Arc<Router>>,
    page: Arc<EspPage>,
    addresses: Vec<String>,
    stations: Vec<Station>,
    threads: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Nodes that are there but do not measure yet.
    pub(crate) fn new(seed: u64, broker: SocketAddr, counters: &Arc<Counters>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let weather = Arc::new(Weather {
            storm: AtomicBool::new(true),
            nodes_measure: AtomicBool::new(true),
        });
        let router = |name: &str, kind| Router::new(name, kind, seed, &ledger, counters);
        let mut routers: Vec<Router> =
            (1..=3).map(|i| router(&format!("Dach-{i}"), Kind::Right)).collect();
        routers.extend((4..=6).map(|i| router(&format!("Dach-{i}"), Kind::Right).slow()));
        routers.push(router("Ohne-Uhr-1", Kind::Uptime));
        routers.push(router("Ohne-Uhr-2", Kind::Uptime).slow());
        routers.push(router("Stunde-voraus", Kind::Ahead(3600)));
        routers.push(router(ARCHIVE, Kind::Right).with_past(PAST));
        let routers: Vec<Arc<Router>> = routers.into_iter().map(Arc::new).collect();
        let page = Arc::new(EspPage::new("ESP-Seite", &ledger));
        let mut addresses: Vec<String> = routers
            .iter()
            .map(|router| web::serve(router, &weather, counters).to_string())
            .collect();
        addresses.push(format!("http://{}/csv.log", esp_page::serve(&page)));

        let station = |name: String, says| Station {
            rng: Rng::new(seed, &name),
            name,
            says,
            broker,
            ledger: Arc::clone(&ledger),
            counters: Arc::clone(counters),
            weather: Arc::clone(&weather),
        };
        let mut stations: Vec<Station> =
            (1..=6).map(|i| station(format!("ESP-{i}"), Says::Lines(Kind::Right))).collect();
        stations.extend(
            (1..=2).map(|i| station(format!("ESP-ohne-Uhr-{i}"), Says::Lines(Kind::Uptime))),
        );
        stations.push(station("ESP-beides".into(), Says::Both));
        stations.extend((1..=6).map(|i| station(format!("Telemetrie-{i}"), Says::Telemetry)));
        Self { ledger, weather, routers, page, addresses, stations, threads: Vec::new() }
    }

    /// The value of `ISEMS_ROUTER_IPS`.
    pub(crate) fn addresses(&self) -> String {
        self.addresses.join(",")
    }

    /// How many nodes there are.
    pub(crate) fn size(&self) -> usize {
        self.addresses.len() + self.stations.len()
    }

    /// They begin to measure.
    pub(crate) fn begin(&mut self) {
        for router in &self.routers {
            let (router, weather) = (Arc::clone(router), Arc::clone(&self.weather));
            let measure =
                move || each_second(&weather, |weather| router.tick(is_on(&weather.storm)));
            self.threads.push(thread::spawn(measure));
        }
        let (page, weather) = (Arc::clone(&self.page), Arc::clone(&self.weather));
        self.threads.push(thread::spawn(move || each_second(&weather, |_| page.tick())));
        self.threads
            .extend(self.stations.drain(..).map(|station| thread::spawn(move || station.live())));
    }

    /// They measure no more; what they have is published or can be read.
    pub(crate) fn end(&mut self, counters: &Counters) {
        self.weather.nodes_measure.store(false, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                counters.find("a simulated node panicked".into());
            }
        }
        for router in &self.routers {
            router.owe_what_is_served();
        }
        self.page.owe_what_is_served();
    }
}

fn each_second(weather: &Weather, mut work: impl FnMut(&Weather)) {
    let mut next = Instant::now();
    while is_on(&weather.nodes_measure) {
        work(weather);
        next = (next + Duration::from_secs(1)).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn is_on(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
