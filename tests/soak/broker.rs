//! A real mosquitto that keeps its sessions over a restart and drops nothing.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::collector::{end, signal};

/// Where the program is when `PATH` lacks the folders of system services.
const USUAL_PLACE: &str = "/usr/sbin/mosquitto";

const LIMIT: Duration = Duration::from_secs(30);

/// A broker on the loopback interface; killed when dropped.
#[derive(Debug)]
pub(crate) struct Broker {
    folder: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

impl Broker {
    pub(crate) fn start(folder: &Path) -> Self {
        // It tells nobody which port it took, so that it must be told.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "listener {} 127.0.0.1\n\
             allow_anonymous true\n\
             persistence true\n\
             persistence_location {folder}/\n\
             max_queued_messages 0\n\
             log_dest file {folder}/broker.log\n\
             log_type error\nlog_type warning\nlog_type notice\nlog_type subscribe\n\
             user root\n",
            address.port(),
            folder = folder.display(),
        );
        fs::write(folder.join("broker.conf"), config).unwrap();
        let mut broker = Self { folder: folder.to_owned(), address, child: None };
        broker.run();
        broker
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again after [`stop`](Self::stop), and waits until it listens.
    pub(crate) fn run(&mut self) {
        let program = if Path::new(USUAL_PLACE).exists() { USUAL_PLACE } else { "mosquitto" };
        let mut child = Command::new(program)
            .arg("-c")
            .arg(self.folder.join("broker.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "the soak needs the MQTT broker mosquitto ({error}): apt-get install mosquitto"
                )
            });
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(self.address).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "mosquitto ended ({ended:?}): {}", self.log());
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }

    /// Ends it in good order; it saves its sessions.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        signal(&child, "TERM");
        let ended = end(&mut child, LIMIT);
        assert!(ended.is_some(), "mosquitto does not end on SIGTERM");
    }

    /// Waits until somebody has subscribed: what is published from then on is
    /// kept.
    pub(crate) fn wait_for_subscription(&self) {
        let deadline = Instant::now() + LIMIT;
        while !self.log().contains("/isems/#") {
            assert!(Instant::now() < deadline, "nobody subscribed: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default()
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
