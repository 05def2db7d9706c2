//! Why a connection ended, in words of our own.

use isems_core::{BoxError, SourceError, SourceId};

use super::Protocol;

/// The kinds of ending that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndingKind {
    /// No connection came about.
    Unreachable,
    /// The broker does not want us, or none of our topics.
    Refused,
    /// The broker says that another client came with our client id.
    TakenOver,
    /// The other side closed the connection without a word.
    ClosedByPeer,
    /// A message that this client cannot take and cannot refuse either, with
    /// its size.
    Undigestible,
    /// Anything else.
    Lost,
}

/// Why a connection ended or did not come about.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) kind: EndingKind,
    /// For people, without the broker's name.
    pub(super) what: String,
    pub(super) cause: Option<BoxError>,
}

impl Ending {
    pub(super) fn new(kind: EndingKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), cause: None }
    }

    pub(super) fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn no_answer() -> Self {
        Self::new(EndingKind::Unreachable, "the broker did not answer in time")
    }

    pub(super) fn closed_by_peer() -> Self {
        Self::new(EndingKind::ClosedByPeer, "the broker closed the connection")
    }

    pub(super) fn too_large(bytes: usize) -> Self {
        Self::new(
            EndingKind::Undigestible,
            format!("a message of {bytes} bytes is waiting, more than is taken"),
        )
    }

    pub(super) fn topic_not_text() -> Self {
        Self::new(EndingKind::Undigestible, "a message is waiting whose topic is not UTF-8")
    }

    pub(super) fn io(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => {
                Self::closed_by_peer().because(error)
            }
            _ => Self::new(EndingKind::Lost, "the connection broke").because(error),
        }
    }

    pub(super) fn tls(error: rumqttc::TlsError) -> Self {
        let untrusted = match &error {
            rumqttc::TlsError::Io(io) => matches!(
                io.get_ref().and_then(|inner| inner.downcast_ref()),
                Some(rustls::Error::InvalidCertificate(_))
            ),
            _ => false,
        };
        let what = if untrusted {
            "the broker's certificate is not trusted; \
             MQTT_CA_FILE names the authority that signed it"
        } else {
            "no TLS connection came about; does this port speak TLS?"
        };
        Self::new(EndingKind::Unreachable, what).because(error)
    }

    pub(super) fn refused(refusal: &Refusal, spoken: Protocol) -> Self {
        let what = match refusal {
            Refusal::Login => "the broker refuses user and password: check them in MQTT_SERVER \
                               and MQTT_PASSWORD_FILE"
                .into(),
            Refusal::Protocol => {
                let other = match spoken {
                    Protocol::V5 => Protocol::V311,
                    Protocol::V311 => Protocol::V5,
                };
                format!("the broker does not speak MQTT {spoken}: set MQTT_PROTOCOL to {other}")
            }
            Refusal::ClientId => "the broker refuses the client id: change MQTT_CLIENT_ID".into(),
            Refusal::Other(reason) => format!("the broker refuses the connection ({reason})"),
        };
        Self::new(EndingKind::Refused, what)
    }

    pub(super) fn into_error(self, from: SourceId) -> SourceError {
        match self.kind {
            EndingKind::Refused => SourceError::Refused { from, what: self.what },
            _ => SourceError::Unavailable { from, what: self.what, cause: self.cause },
        }
    }
}

/// What a broker has against us.
pub(super) enum Refusal {
    Login,
    Protocol,
    ClientId,
    Other(String),
}
