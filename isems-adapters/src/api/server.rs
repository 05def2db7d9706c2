//! Accepts connections and, in the end, lets them finish.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use isems_core::{ActivityRule, Clock, MeasurementReader};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    app_files::AppFiles, connection, connections::Connections, episode::Episode, respond,
    service::Service, settings::ApiSettings,
};

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The address is taken, not of this machine, or not allowed.
    #[error("ISEMS_LISTEN: cannot listen on {listen}: {cause}; choose another address or port")]
    Listen {
        /// The address that was asked for.
        listen: SocketAddr,
        /// The cause beneath.
        #[source]
        cause: io::Error,
    },
    /// The folder of the app cannot be read or holds no app.
    #[error(
        "ISEMS_APP_DIR: {} holds no built isems-app, its index.html cannot be read: {cause}",
        folder.display()
    )]
    AppDir {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The cause beneath.
        #[source]
        cause: io::Error,
    },
}

/// How long to wait when the system has nothing left for a new connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The same when an old one was just dropped for it, and only has to be closed.
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// Bytes that wait in the system for a client to take them, at least. Left to
/// itself the system holds megabytes, of which even a client that takes them
/// steadily seems to take nothing for a minute and then a third at once; with so
/// little it is seen to go on every few seconds at 20 kB/s. A quick client gets
/// at most so much in each round trip. It must not be less than a segment, which
/// on loopback has 64 KiB: each would wait for the receipt of the one before.
const SEND_BUFFER: u32 = 64 * 1024;

/// How long a client may acknowledge nothing of what was sent to it, or have no
/// room for more, until its connection ends. One that vanished (asleep, out of
/// reach) would hold what it has, as its place among those who follow events,
/// for a quarter of an hour: so long does the system try by itself.
const GONE: Duration = Duration::from_mins(1);

/// How many connections may wait to be accepted, as tokio has it.
const BACKLOG: u32 = 1024;

/// The API, listening but not yet answering.
pub struct ApiServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    service: Arc<Service>,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Checks the settings and begins to listen. Connections wait until
    /// [`serve`](Self::serve) runs.
    ///
    /// # Errors
    /// If the address cannot be had or the app's folder holds no app.
    #[expect(clippy::unused_async, reason = "only where a runtime runs can a socket be had")]
    pub async fn bind(
        settings: ApiSettings,
        reader: Arc<dyn MeasurementReader>,
        activity: ActivityRule,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ApiError> {
        let app = settings.app_dir.as_deref();
        let app = app.map(|folder| AppFiles::open(folder, &settings.limits)).transpose()?;
        let listen = settings.listen;
        let listening = || {
            let listener = listen_at(listen, GONE)?;
            let local_addr = listener.local_addr()?;
            Ok((listener, local_addr))
        };
        let (listener, local_addr) =
            listening().map_err(|cause| ApiError::Listen { listen, cause })?;
        let service = Service::new(settings, reader, activity, clock, app);
        Ok(Self { listener, local_addr, service: Arc::new(service) })
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers clients until `shutdown` is cancelled; then accepts nobody new,
    /// ends idle connections, lets answers under way finish within
    /// [`ApiLimits::drain_time`](super::ApiLimits::drain_time), and returns.
    /// Dropping the future ends everything at once.
    ///
    /// # Errors
    /// None at present: trouble with accepting is logged and waited out.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), ApiError> {
        let Self { listener, local_addr, service } = self;
        let connections = Connections::new(service.limits());
        let draining = CancellationToken::new();
        let refusal = respond::refusal(service.cors_origin());
        let (refusing, failing) = (Episode::default(), Episode::default());
        let mut tasks = JoinSet::new();
        tracing::debug!(address = %local_addr, "the API listens");
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        failing.ends();
                        if let Some(place) = connections.admit(peer.ip()) {
                            refusing.ends();
                            let (service, draining) = (Arc::clone(&service), draining.clone());
                            tasks.spawn(connection::serve(stream, peer, place, service, draining));
                        } else {
                            if refusing.begins() {
                                tracing::warn!(%peer, "the API refuses connections: as many as it may have are busy");
                            }
                            // Said if that can be done without waiting.
                            let _ = stream.try_write(&refusal);
                        }
                    }
                    Err(error) => {
                        if failing.begins() {
                            tracing::warn!(%error, "the API cannot accept a connection; it tries again");
                        }
                        let is_one_dropped = connections.end_longest_idle();
                        let pause = if is_one_dropped { SHORT_PAUSE } else { PAUSE };
                        tokio::select! {
                            () = sleep(pause) => {}
                            () = shutdown.cancelled() => break,
                        }
                    }
                },
            }
        }
        drop(listener);
        draining.cancel();
        service.end_events();
        connections.end_idle();
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                report(ended);
            }
        };
        if timeout(service.limits().drain_time, all).await.is_err() {
            let connections = tasks.len();
            tracing::warn!(connections, "the API stops with answers unfinished");
            tasks.shutdown().await;
        }
        tracing::info!(address = %local_addr, "the API has stopped");
        Ok(())
    }
}

/// Listens at an address; connections have small buffers on our side and end
/// when their client is `gone` for so long.
fn listen_at(address: SocketAddr, gone: Duration) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As tokio does by itself: or else the address of a process that has just
    // ended could not be had for a minute. On Windows it would mean another thing.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(gone))?;
    #[cfg(not(target_os = "linux"))]
    let _ = gone;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A connection's task that panicked took only its connection with it.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an API connection ended by a fault in the program");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_any_more_is_gone_also_for_the_system() {
        const MUCH: &[u8] = &[0; 1 << 20];
        let gone = Duration::from_secs(1);
        let listener = listen_at(([127, 0, 0, 1], 0).into(), gone).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4_096).unwrap();
        let _client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();

        let written = timeout(Duration::from_secs(20), stream.write_all(MUCH)).await;

        let error = written.expect("it is waited for").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }
}
