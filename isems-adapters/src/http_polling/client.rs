//! The HTTP client, as the nodes' web servers need it.

use std::time::Duration;

use reqwest::{
    Client,
    header::{ACCEPT, CONNECTION, HeaderMap, HeaderValue},
    redirect, retry, tls,
};

/// How long things may take, and how much may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// T: a connection that brought less than 1 KB/s for this long is given up.
    pub(super) timeout: Duration,
    /// One node in all.
    pub(super) per_node: Duration,
    /// Bytes of a body, also of an unpacked one.
    pub(super) body: u64,
}

impl Limits {
    /// To be connected.
    pub(super) fn connect(&self) -> Duration {
        self.timeout / 4
    }

    /// To be connected and to see the answer's head.
    pub(super) fn head(&self) -> Duration {
        self.timeout / 2
    }
}

/// Builds the client.
///
/// - Old ESP32 modules answer the bare lines to any request that holds `csv`,
///   and look for `log`, `random` and `help` too, wherever they stand: no
///   header of ours may hold one of these words.
/// - `BusyBox` would serve the old `.gz` instead of the log to a client that
///   accepts gzip.
/// - uhttpd may send more bytes than it announced, so a connection is used for
///   one answer only.
///
/// `with_tls`: whether some node has an `https://` address; only then the
/// machine's root certificates are needed.
pub(super) fn build(connect: Duration, with_tls: bool) -> reqwest::Result<Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if somebody else was quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let builder = Client::builder()
        .user_agent(concat!("isems-collector/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .http1_only()
        .http09_responses()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(connect);
    if with_tls {
        builder.build()
    } else {
        builder.tls_certs_only(std::iter::empty::<tls::Certificate>()).build()
    }
}
