//! Whom to trust behind `mqtts://`.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::MqttSettings;

/// The TLS settings for this broker; `None` for an unencrypted link. An error
/// names `MQTT_CA_FILE`.
pub(super) fn for_broker(settings: &MqttSettings) -> Result<Option<Arc<ClientConfig>>, String> {
    if !settings.broker.is_tls() {
        if settings.ca_file.is_some() {
            tracing::warn!(
                broker = %settings.broker,
                "MQTT_CA_FILE has no effect: MQTT_SERVER does not begin with mqtts://",
            );
        }
        return Ok(None);
    }
    let roots = match &settings.ca_file {
        Some(path) => std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|pem| from_pem(&pem))
            .map_err(|problem| format!("MQTT_CA_FILE {}: {problem}", path.display()))?,
        None => of_this_machine()?,
    };
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| {
            let config = builder.with_root_certificates(roots).with_no_client_auth();
            Some(Arc::new(config))
        })
        .map_err(|error| format!("TLS cannot be used: {error}"))
}

fn from_pem(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("no valid PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate; it must be a PEM file (BEGIN CERTIFICATE)".into());
    }
    Ok(roots)
}

fn of_this_machine() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Old machines hold certificates that cannot be parsed any more; the rest
    // is good all the same.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this machine has no certificates of authorities: install \
                    ca-certificates, or name a PEM file in MQTT_CA_FILE"
            .into());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificate_is_refused() {
        let error = from_pem(b"geheim").expect_err("no PEM");
        assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named_with_its_variable() {
        let topics = super::super::parse_filters("/isems/#").expect("valid");
        let mut settings = MqttSettings::new("mqtts://host".parse().expect("valid"), topics);
        settings.ca_file = Some("/nowhere/ca.pem".into());
        let error = for_broker(&settings).expect_err("missing");
        assert!(error.starts_with("MQTT_CA_FILE /nowhere/ca.pem: "), "{error}");
    }
}
