//! A real mosquitto, which keeps its sessions over a restart.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{Message, Publisher, SOON, eventually, publisher::Login};

/// Where the program is when `PATH` lacks the folders of system services.
const USUAL_PLACE: &str = "/usr/sbin/mosquitto";

/// A broker on the loopback interface; killed when dropped.
#[derive(Debug)]
pub(crate) struct Broker {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    login: Option<Login>,
}

impl Broker {
    /// Starts a broker that lets everybody in and drops nothing.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| "allow_anonymous true\n".to_owned())
    }

    /// Starts a broker with settings of one's own, which may name files in the
    /// folder that is handed over.
    pub(crate) fn start_with(settings: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("isems-broker-").tempdir().unwrap();
        let port = free_port();
        let path = folder.path();
        let config = format!(
            "listener {port} 127.0.0.1\n\
             persistence true\n\
             persistence_location {}/\n\
             max_queued_messages 0\n\
             log_dest file {}\n\
             log_type all\n\
             user root\n\
             {}",
            path.display(),
            path.join("log").display(),
            settings(path),
        );
        fs::write(path.join("conf"), config).unwrap();
        let mut broker = Self { folder, port, child: None, login: None };
        broker.run();
        broker
    }

    /// Starts it again after [`stop`](Self::stop), and waits until it listens.
    pub(crate) fn run(&mut self) {
        let program = if Path::new(USUAL_PLACE).exists() { USUAL_PLACE } else { "mosquitto" };
        let child = Command::new(program)
            .arg("-c")
            .arg(self.file("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "this test needs the MQTT broker mosquitto ({error}): \
                     apt-get install mosquitto"
                )
            });
        self.child = Some(child);
        eventually("a broker that listens", || {
            let status = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(status.is_none(), "mosquitto ended ({status:?}): {}", self.log());
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Ends it in good order; it saves its sessions.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let mut child = self.child.take().unwrap();
        eventually("a broker that ends on SIGTERM", || child.try_wait().unwrap());
    }

    /// Ends it as a power cut does: it knows what it last saved.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lets it save its sessions as they are now.
    pub(crate) fn save(&self) {
        let file = self.file("mosquitto.db");
        // Not there before the first time. It is written under another name.
        let _ = fs::remove_file(&file);
        self.signal("USR1");
        eventually("a broker that saves", || file.exists().then_some(()));
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id();
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(status.unwrap().success(), "kill -{name}");
    }

    /// `ADDRESS:PORT`, as in `MQTT_SERVER`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The source as the collector names it.
    pub(crate) fn source(&self) -> String {
        format!("mqtt://{}", self.address())
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it wrote into its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// How many subscriptions it has confirmed since it was made.
    pub(crate) fn subscriptions(&self) -> usize {
        self.log().matches("Sending SUBACK to ").count()
    }

    /// How many acknowledgements of messages it has had from subscribers.
    pub(crate) fn acknowledgements(&self) -> usize {
        self.log().matches("Received PUBACK from ").count()
    }

    /// How many messages it has sent again.
    pub(crate) fn sent_again(&self) -> usize {
        let log = self.log();
        log.lines().filter(|line| line.contains("Sending PUBLISH") && line.contains("(d1,")).count()
    }

    /// Waits until it has confirmed more subscriptions than `before`: what is
    /// published from then on is kept for the subscriber.
    pub(crate) fn wait_for_subscription(&self, before: usize) {
        eventually("a subscription", || (self.subscriptions() > before).then_some(()));
    }

    /// Publishes as this user from now on.
    pub(crate) fn log_in(&mut self, user: &'static str, password: &'static str) {
        self.login = Some(Login { user, password });
    }

    /// A node that publishes.
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::connect(self.port, self.login, SOON)
    }

    /// A node that waits so long for the broker to accept a message.
    pub(crate) fn patient_publisher(&self, limit: Duration) -> Publisher {
        Publisher::connect(self.port, self.login, limit)
    }

    /// Publishes with quality of service 1; every message is accepted when this
    /// returns.
    pub(crate) fn publish(&self, messages: &[Message]) {
        self.publisher().publish(messages);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port of the loopback interface at which nobody listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a tool to its end.
pub(crate) fn run_tool(program: &str, package: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(
        |error| panic!("this test needs {program} ({error}): apt-get install {package}"),
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}
