//! What Sentry is told, as a pure function of the settings.

use std::{sync::Arc, time::Duration};

use sentry::ClientOptions;

use super::scrub::Scrubber;
use crate::config::Settings;

/// How long the end of the process waits for the last report.
const LAST_REPORT: Duration = Duration::from_millis(1_200);

/// The options of the Sentry client; `None` without a DSN.
///
/// Neither secrets nor coordinates leave in an event or in what led to it.
pub(super) fn sentry_options(settings: &Settings) -> Option<ClientOptions> {
    let dsn = settings.sentry.dsn.clone()?;
    let scrubber = Arc::new(Scrubber::new(&settings.secrets));
    let for_events = Arc::clone(&scrubber);
    let mut options = ClientOptions::new()
        .release(concat!("isems@", env!("CARGO_PKG_VERSION")))
        .environment(settings.sentry.environment.clone())
        .send_default_pii(false)
        .max_breadcrumbs(20)
        .shutdown_timeout(LAST_REPORT)
        .before_send(move |event| Some(for_events.event(&event)))
        .before_breadcrumb(move |breadcrumb| scrubber.breadcrumb(&breadcrumb));
    options.dsn = Some(dsn);
    Some(options)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use sentry::{
        Client, Envelope, Hub, Transport, TransportFactory, TransportOptions,
        protocol::{Event, Exception, Map, Value},
    };

    use super::*;

    fn options<const N: usize>(variables: [(&str, &str); N]) -> Option<ClientOptions> {
        let settings = Settings::read(variables.map(|(name, value)| (name.into(), value.into())));
        sentry_options(&settings.unwrap())
    }

    const DSN: (&str, &str) = ("SENTRY_DSN", "https://key@sentry.example/42");

    #[test]
    fn nothing_is_reported_without_a_dsn() {
        assert!(options([]).is_none());
    }

    #[test]
    fn reports_carry_release_and_environment_and_nothing_personal() {
        let options = options([DSN, ("SENTRY_ENVIRONMENT", "balcony")]).unwrap();
        let dsn = options.dsn.unwrap();
        assert_eq!((dsn.public_key(), dsn.host()), ("key", "sentry.example"));
        assert_eq!(options.release.as_deref(), Some(concat!("isems@", env!("CARGO_PKG_VERSION"))));
        assert_eq!(options.environment.as_deref(), Some("balcony"));
        assert!(!options.send_default_pii);
        assert!(!options.accept_invalid_certs);
    }

    #[test]
    fn the_environment_is_production_unless_told_otherwise() {
        let environment = options([DSN]).unwrap().environment;
        assert_eq!(environment.as_deref(), Some("production"));
    }

    #[test]
    fn an_event_leaves_without_passwords_and_coordinates() {
        let options = options([DSN, ("MQTT_SERVER", "mqtt://user:geheim@broker")]).unwrap();
        let event = Event {
            message: Some("broker said geheim about 52.47388".to_owned()),
            exception: vec![Exception {
                ty: "panic".to_owned(),
                value: Some("http://user:other@10.0.0.9/ failed".to_owned()),
                ..Exception::default()
            }]
            .into(),
            extra: Map::from([("latitude".to_owned(), Value::from(52.473_88))]),
            ..Event::default()
        };
        let sent = (options.before_send.unwrap())(event).unwrap();
        let sent = serde_json::to_string(&sent).unwrap();
        for secret in ["geheim", "other", "52.47", "latitude"] {
            assert!(!sent.contains(secret), "{secret} in {sent}");
        }
        assert!(sent.contains("broker said"), "{sent}");
    }

    #[test]
    fn a_panic_is_reported() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let mut options = options([DSN]).unwrap();
        options.transport = Some(Arc::new(Kept(Arc::clone(&sent))));
        let client = Arc::new(Client::from(sentry::apply_defaults(options)));
        let hub = Arc::new(Hub::new(Some(client), Arc::default()));

        let panicked = Hub::run(hub, || std::panic::catch_unwind(|| panic!("a bug at 52.47388")));

        assert!(panicked.is_err());
        let sent = sent.lock().unwrap();
        let event = sent[0].event().unwrap();
        let exception = &event.exception[0];
        assert_eq!(exception.value.as_deref(), Some("a bug at […]"));
    }

    /// Keeps what would be sent.
    #[derive(Clone)]
    struct Kept(Arc<Mutex<Vec<Envelope>>>);

    impl TransportFactory for Kept {
        fn create_transport_with_options(&self, _: TransportOptions) -> Arc<dyn Transport> {
            Arc::new(self.clone())
        }
    }

    impl Transport for Kept {
        fn send_envelope(&self, envelope: Envelope) {
            self.0.lock().unwrap().push(envelope);
        }
    }
}
