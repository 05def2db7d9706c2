//! How reports reach Sentry: over the same TLS as everything else.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, tls::Certificate};
use sentry::{
    Transport, TransportFactory, TransportOptions,
    transports::ReqwestHttpTransportOptions,
    types::{Dsn, Scheme},
};

const CONNECT: Duration = Duration::from_secs(5);
const IN_ALL: Duration = Duration::from_secs(15);

/// Makes transports that share one client. Sentry's own would end the process
/// on a machine without root certificates.
#[derive(Clone, Debug)]
pub(super) struct Reports(Client);

impl Reports {
    /// For a Sentry at `dsn`. Only `https://` needs the machine's root
    /// certificates.
    ///
    /// # Errors
    /// If they are needed and not there.
    pub(super) fn to(dsn: &Dsn) -> reqwest::Result<Self> {
        let builder = Client::builder().connect_timeout(CONNECT).timeout(IN_ALL);
        let builder = match dsn.scheme() {
            Scheme::Https => builder,
            Scheme::Http => builder.tls_certs_only(std::iter::empty::<Certificate>()),
        };
        builder.build().map(Self)
    }
}

impl TransportFactory for Reports {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let transport = ReqwestHttpTransportOptions::from(options).with_client(self.0.clone());
        Arc::new(transport.build())
    }
}
