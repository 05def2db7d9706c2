//! `MQTT_SERVER`: where the broker is and who we are there.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use isems_core::SourceId;
use percent_encoding::percent_decode_str;

/// The longest text that an MQTT packet can carry, in bytes.
const MAX_TEXT: usize = 65_535;

/// The address of a broker with the login it may need: `host`, `host:port`,
/// `mqtt://user:password@host:port`, or `mqtts://…` for TLS. Without a port
/// 1883, with TLS 8883. An IPv6 address stands in brackets if a port follows.
/// User and password are percent-decoded.
///
/// Neither [`Display`](fmt::Display) nor [`Debug`](fmt::Debug) show the login.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    tls: bool,
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
}

impl BrokerAddress {
    /// The host name or IP address, the latter without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, 1 to 65535.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted (`mqtts://`).
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The user to log in as, if the address names one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(super) fn source_id(&self) -> SourceId {
        SourceId::new(&self.to_string())
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerAddress({self})")
    }
}

/// Why a text is no [`BrokerAddress`]. It never repeats the text, which may
/// hold a password in an unexpected place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerAddressError {
    /// A scheme other than `mqtt` and `mqtts`.
    #[error("only mqtt:// and mqtts:// (TLS) can be used; write mqtt://host:port or host:port")]
    Scheme,
    /// No host.
    #[error("names no host; write host, host:port or mqtt://user:password@host:port")]
    NoHost,
    /// A host with characters that no host name has.
    #[error("the host must be a name, an IPv4 address, or an IPv6 address as in [fd00::1]:1883")]
    Host,
    /// A port that is none.
    #[error("the port must be a number from 1 to 65535, as in host:1883")]
    Port,
    /// Something behind the port.
    #[error("nothing may follow host and port: topics belong into MQTT_TOPICS")]
    Path,
    /// A login without `mqtt://`.
    #[error("a login needs the long form: mqtt://user:password@host:port")]
    LoginWithoutScheme,
    /// A password without a user.
    #[error("a password needs a user: mqtt://user:password@host:port")]
    NoUser,
    /// A login that is not text, or too long for MQTT.
    #[error("user and password must be UTF-8 when percent-decoded, each at most 65535 bytes")]
    Login,
}

impl FromStr for BrokerAddress {
    type Err = BrokerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mqtt") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mqtts") => (true, rest),
            Some(_) => return Err(BrokerAddressError::Scheme),
        };
        // No host contains an `@`, so a raw one in a password does no harm.
        let (login, place) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some(_) if !text.contains("://") => return Err(BrokerAddressError::LoginWithoutScheme),
            Some((login, place)) => (Some(login), place),
        };
        let (user, password) = login.map_or(Ok((None, None)), parse_login)?;
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err(BrokerAddressError::Path);
        }
        let (host, port) = parse_place(place)?;
        Ok(Self { tls, host, port: port.unwrap_or(if tls { 8883 } else { 1883 }), user, password })
    }
}

type Login = (Option<String>, Option<String>);

fn parse_login(text: &str) -> Result<Login, BrokerAddressError> {
    let (user, password) = match text.split_once(':') {
        None => (text, None),
        Some((user, password)) => (user, Some(password).filter(|word| !word.is_empty())),
    };
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .filter(|text| text.len() <= MAX_TEXT)
            .map(String::from)
            .ok_or(BrokerAddressError::Login)
    };
    match (user, password) {
        ("", None) => Ok((None, None)),
        ("", Some(_)) => Err(BrokerAddressError::NoUser),
        (user, password) => Ok((Some(decode(user)?), password.map(decode).transpose()?)),
    }
}

fn parse_place(text: &str) -> Result<(String, Option<u16>), BrokerAddressError> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(BrokerAddressError::Host)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(BrokerAddressError::Host),
        };
        (ipv6(host)?, port)
    } else if text.matches(':').count() > 1 {
        (ipv6(text)?, None)
    } else {
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(port)),
        };
        (name(host)?, port)
    };
    let port = port.map(parse_port).transpose()?;
    Ok((host, port))
}

fn ipv6(text: &str) -> Result<String, BrokerAddressError> {
    text.parse::<Ipv6Addr>()
        .map(|address| address.to_string())
        .map_err(|_| BrokerAddressError::Host)
}

fn name(text: &str) -> Result<String, BrokerAddressError> {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.is_empty() {
        Err(BrokerAddressError::NoHost)
    } else if text.bytes().all(usual) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(BrokerAddressError::Host)
    }
}

fn parse_port(text: &str) -> Result<u16, BrokerAddressError> {
    // `u16::from_str` would take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BrokerAddressError::Port);
    }
    text.parse().ok().filter(|port| *port != 0).ok_or(BrokerAddressError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_host_port_and_encryption() {
        for (text, shown) in [
            ("broker", "mqtt://broker:1883"),
            ("Broker.Example:1884", "mqtt://broker.example:1884"),
            (" 10.0.0.1 ", "mqtt://10.0.0.1:1883"),
            ("[::1]:1884", "mqtt://[::1]:1884"),
            ("[fd00::1]", "mqtt://[fd00::1]:1883"),
            ("fd00::1", "mqtt://[fd00::1]:1883"),
            ("mqtt://broker/", "mqtt://broker:1883"),
            ("MQTTS://broker", "mqtts://broker:8883"),
            ("mqtts://u:p@[::1]:1", "mqtts://[::1]:1"),
        ] {
            let address: BrokerAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn the_login_is_percent_decoded() {
        for (text, user, password) in [
            ("mqtt://host", None, None),
            ("mqtt://@host", None, None),
            ("mqtt://anna@host", Some("anna"), None),
            ("mqtt://anna:@host", Some("anna"), None),
            ("mqtt://anna:geheim@host", Some("anna"), Some("geheim")),
            ("mqtt://a%40b:p%3Aq%2Fr%C3%BC@host", Some("a@b"), Some("p:q/rü")),
            ("mqtt://anna:p@ss:w/rd#1@host", Some("anna"), Some("p@ss:w/rd#1")),
            ("mqtt://anna:100%@host", Some("anna"), Some("100%")),
        ] {
            let address: BrokerAddress = text.parse().expect(text);
            assert_eq!(address.user(), user, "{text}");
            assert_eq!(address.password(), password, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write_instead() {
        use BrokerAddressError as E;
        for (text, error) in [
            ("", E::NoHost),
            ("mqtt://", E::NoHost),
            (":1883", E::NoHost),
            ("http://broker", E::Scheme),
            ("tcp://broker:1883", E::Scheme),
            ("broker:0", E::Port),
            ("broker:65536", E::Port),
            ("broker:+1", E::Port),
            ("broker:", E::Port),
            ("broker:mqtt", E::Port),
            ("bro ker", E::Host),
            ("brök", E::Host),
            ("[broker]:1883", E::Host),
            ("[::1", E::Host),
            ("[::1]1883", E::Host),
            ("1:2:3", E::Host),
            ("mqtt://broker/isems", E::Path),
            ("broker?x", E::Path),
            ("anna:geheim@broker", E::LoginWithoutScheme),
            ("mqtt://:geheim@broker", E::NoUser),
            ("mqtt://%ff@broker", E::Login),
        ] {
            assert_eq!(text.parse::<BrokerAddress>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_login_is_never_shown() {
        let address: BrokerAddress = "mqtt://anna:geheim@broker".parse().expect("valid");
        for shown in
            [format!("{address}"), format!("{address:?}"), format!("{}", address.source_id())]
        {
            assert!(!shown.contains("anna"), "{shown}");
            assert!(!shown.contains("geheim"), "{shown}");
        }
    }

    /// The client library puts a colon between host and port and knows no
    /// brackets.
    #[tokio::test]
    async fn an_ipv6_address_without_brackets_can_be_resolved() {
        let found: Vec<_> =
            tokio::net::lookup_host("::1:1883").await.expect("no question to anybody").collect();
        assert_eq!(found, ["[::1]:1883".parse().expect("valid")]);
    }
}
