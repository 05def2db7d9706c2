//! A real mosquitto on a free loopback port, with its files in a temporary
//! folder, and a client that publishes to it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// Where the program is when `PATH` lacks the folders of system services.
const USUAL_PLACE: &str = "/usr/sbin/mosquitto";
/// More than enough for a broker to start or end, or to take messages.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Mosquitto {
    folder: TempDir,
    child: Option<Child>,
    publisher: Publisher,
}

/// Publishes to a broker, each time as a client of its own.
#[derive(Clone)]
pub(crate) struct Publisher {
    port: u16,
    login: Option<(&'static str, &'static str)>,
}

impl Mosquitto {
    /// Starts a broker that keeps its sessions over a restart.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| "allow_anonymous true\n".into()).await
    }

    /// Starts a broker with settings of one's own, which may name files in the
    /// folder that is handed over.
    pub(crate) async fn start_with(settings: impl FnOnce(&Path) -> String) -> Self {
        let mut broker = Self::prepare(settings);
        broker.run().await;
        broker
    }

    /// Chooses a port and writes the configuration without starting anything.
    pub(crate) fn prepare(settings: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|socket| socket.local_addr())
            .expect("a free port")
            .port();
        let path = folder.path();
        let config = format!(
            "listener {port} 127.0.0.1\n\
             persistence true\n\
             persistence_location {}/\n\
             max_queued_messages 0\n\
             log_dest file {}\n\
             user root\n\
             {}",
            path.display(),
            path.join("log").display(),
            settings(path),
        );
        fs::write(path.join("conf"), config).expect("the configuration is written");
        Self { folder, child: None, publisher: Publisher { port, login: None } }
    }

    /// Starts the prepared or stopped broker and waits until it listens.
    pub(crate) async fn run(&mut self) {
        let program = if Path::new(USUAL_PLACE).exists() { USUAL_PLACE } else { "mosquitto" };
        let child = Command::new(program)
            .arg("-c")
            .arg(self.file("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "this test needs the MQTT broker mosquitto ({error}): \
                     apt-get install mosquitto"
                )
            });
        self.child = Some(child);
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port())).await.is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Publishes as this user from now on.
    pub(crate) fn log_in(&mut self, user: &'static str, password: &'static str) {
        self.publisher.login = Some((user, password));
    }

    pub(crate) fn port(&self) -> u16 {
        self.publisher.port
    }

    pub(crate) fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Sends the process a signal by name.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs");
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()
            .await
            .expect("sh runs");
        assert!(status.success(), "kill -{name} {pid}");
    }

    /// Ends the broker in good order; it saves its sessions.
    pub(crate) async fn stop(&mut self) {
        self.signal("TERM").await;
        let mut child = self.child.take().expect("it runs");
        timeout(LIMIT, child.wait())
            .await
            .expect("mosquitto ends on SIGTERM")
            .expect("its status is known");
    }

    /// Saves all sessions as they are now.
    pub(crate) async fn save(&self) {
        let file = self.file("mosquitto.db");
        // Not there before the first time. It is written under another name.
        fs::remove_file(&file).ok();
        self.signal("USR1").await;
        let deadline = Instant::now() + LIMIT;
        while !file.exists() {
            assert!(Instant::now() < deadline, "mosquitto does not save: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the log holds something so often.
    pub(crate) async fn wait_for_log(&self, part: &str, count: usize) {
        let deadline = Instant::now() + LIMIT;
        while self.log().matches(part).count() < count {
            assert!(Instant::now() < deadline, "not {count} times {part:?}: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the broker as a power cut does, and starts it again with what it
    /// last saved.
    pub(crate) async fn kill_and_run(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("it can be killed");
        self.run().await;
    }

    /// Publishes with quality of service 1 and waits until the broker has
    /// accepted every message.
    pub(crate) async fn publish<T, P>(&self, messages: impl IntoIterator<Item = (T, P)>)
    where
        T: Into<String>,
        P: Into<Vec<u8>>,
    {
        self.publisher().publish(QoS::AtLeastOnce, false, messages).await;
    }
}

impl Publisher {
    pub(crate) async fn publish<T, P>(
        &self,
        qos: QoS,
        retain: bool,
        messages: impl IntoIterator<Item = (T, P)>,
    ) where
        T: Into<String>,
        P: Into<Vec<u8>>,
    {
        let mut options = MqttOptions::new(unique_name(), "127.0.0.1", self.port);
        options.set_max_packet_size(1 << 24, 1 << 24);
        if let Some((user, password)) = self.login {
            options.set_credentials(user, password);
        }
        let (client, mut events) = AsyncClient::new(options, 10_000);
        let mut missing = 0;
        for (topic, payload) in messages {
            client.publish(topic, qos, retain, payload).await.expect("room for the message");
            missing += 1;
        }
        let accepted = async {
            while missing > 0 {
                match events.poll().await.expect("the publisher keeps its broker") {
                    Event::Incoming(Packet::PubAck(_)) => missing -= 1,
                    Event::Outgoing(Outgoing::Publish(_)) if qos == QoS::AtMostOnce => missing -= 1,
                    _ => {}
                }
            }
            client.disconnect().await.expect("room for the farewell");
            // The broker hangs up when it has read everything.
            while events.poll().await.is_ok() {}
        };
        timeout(LIMIT, accepted).await.expect("the broker takes messages");
    }
}

fn unique_name() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("publisher-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
