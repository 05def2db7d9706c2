//! `isems demo`: simulated nodes with real web servers on the loopback
//! interface, polled by the real collector into a database that is thrown away.

mod battery;
mod controller;
mod first_round;
mod fleet;
mod guide;
mod host;
mod node;
mod noise;
mod router_log;
mod sky;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::pin,
    time::Duration,
};

use isems_core::RetentionPolicy;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::host::{Entry, Hosts};
use crate::{
    app::{self, Parts},
    config::{PollingSettings, Settings},
    failure::Failure,
    output::say,
};

/// Short, so that one sees the fleet live.
const POLL_INTERVAL: Duration = Duration::from_secs(15);

/// Runs the demo until `shutdown` is asked for. Of `settings` it keeps what an
/// operator may want to see at work: the API's address and options, time zone,
/// activity rule, log.
///
/// # Errors
/// If the API's address is taken, or the system gives no port or folder.
pub(crate) async fn run(settings: &Settings, shutdown: CancellationToken) -> Result<(), Failure> {
    if !settings.polling.nodes.is_empty() || settings.broker.is_some() {
        info!("the demo polls its own nodes only: ISEMS_ROUTER_IPS and MQTT_SERVER are left alone");
    }
    let folder =
        tempfile::Builder::new().prefix("isems-demo-").tempdir().map_err(Failure::broken)?;
    let fleet = Hosts::start(app::clock()).await.map_err(Failure::broken)?;
    let result = collect(settings, &fleet.entries, folder.path(), shutdown).await;
    fleet.stop().await;
    remove(folder);
    result
}

async fn collect(
    settings: &Settings,
    fleet: &[Entry],
    folder: &Path,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let settings = of_demo(settings, fleet, folder)?;
    let parts = Parts { mqtt: false, pruning: false, ..Parts::ALL };
    let (listening, address) = oneshot::channel();
    let serving = app::serve(&settings, parts, shutdown, |address| {
        // Nobody waits for it only if the demo is over already.
        let _ = listening.send(address);
    });
    let mut serving = pin!(serving);
    tokio::select! {
        result = &mut serving => return result,
        () = welcome(address, fleet, settings.api.app_dir.is_some()) => {}
    }
    serving.await
}

/// The same settings, but for what is collected and where it is kept.
fn of_demo(settings: &Settings, fleet: &[Entry], folder: &Path) -> Result<Settings, Failure> {
    let database = format!("sqlite:///{}", folder.join("demo.db").display());
    let nodes = fleet.iter().map(|entry| entry.url().parse());
    Ok(Settings {
        database: database.parse().map_err(Failure::broken)?,
        polling: PollingSettings {
            nodes: nodes.collect::<Result<_, _>>().map_err(Failure::broken)?,
            interval: POLL_INTERVAL,
            ..settings.polling.clone()
        },
        broker: None,
        retention: RetentionPolicy::default(),
        ..settings.clone()
    })
}

/// Tells what to open, once there is something to see.
async fn welcome(listening: oneshot::Receiver<SocketAddr>, fleet: &[Entry], has_app: bool) {
    let Ok(address) = listening.await else {
        // The API does not come up; `app::serve` says why.
        return std::future::pending().await;
    };
    let address = reachable(address);
    let missing = first_round::wait(address, fleet).await;
    if !missing.is_empty() {
        let missing = missing.join(", ");
        warn!("not heard of yet in the demo: {missing}");
    }
    say(guide::text(address, fleet, has_app));
}

/// An address that a browser on this machine can open.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn remove(folder: TempDir) {
    let path = folder.path().to_owned();
    if let Err(error) = folder.close() {
        let path = path.display();
        warn!(%error, "the demo's folder {path} could not be removed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_address_can_be_opened() {
        // (listening on, printed)
        let table = [
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ];
        for (listening, printed) in table {
            let listening: SocketAddr = listening.parse().unwrap();
            assert_eq!(reachable(listening).to_string(), printed);
        }
    }

    #[test]
    fn the_demo_stores_nothing_where_an_operator_keeps_data() {
        let environment = [
            ("DATABASE_URL", "sqlite:////var/lib/isems/isems.db"),
            ("MQTT_SERVER", "broker.example"),
            ("ISEMS_ROUTER_IPS", "192.0.2.1"),
            ("ISEMS_KEEP_DAYS", "1"),
        ];
        let settings = Settings::read(environment.map(|(name, value)| (name.into(), value.into())))
            .expect("good settings");
        let fleet = [Entry {
            name: "Dach",
            story: "",
            address: "127.0.0.1:4000".parse().unwrap(),
            path: "/ISEMS/ffopenmppt.log",
        }];

        let demo = of_demo(&settings, &fleet, Path::new("/folder")).expect("good settings");

        assert_eq!(demo.database.path(), Path::new("/folder/demo.db"));
        assert!(demo.broker.is_none() && demo.retention.is_unlimited());
        let nodes: Vec<String> = demo.polling.nodes.iter().map(ToString::to_string).collect();
        assert_eq!(nodes, ["http://127.0.0.1:4000/ISEMS/ffopenmppt.log"]);
    }
}
