//! Whom to trust behind `mqtts://`.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::MqttSettings;

/// Whether a file holds certificates of authorities, and nothing that cannot be
/// used as one.
///
/// # Errors
/// What is wrong with it.
pub fn check_authorities(file: &Path) -> Result<(), String> {
    from_file(file).map(drop)
}

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
        Some(path) => from_file(path)
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

fn from_file(path: &Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    from_pem(&pem)
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
