//! Where nodes are: what an operator may write, and what is asked of it.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use isems_core::SourceId;
use url::{Host, Url};

/// Where a router node serves its log.
const ROUTER_LOG: &str = "/ISEMS/ffopenmppt.log";

/// The address of a node's log.
///
/// One of: an IPv4 address, an IPv6 address with or without brackets, a host
/// name, each optionally with a port (`10.0.0.1:8080`, `[fd00::1]:8080`), which
/// all mean `http://ADDRESS/ISEMS/ffopenmppt.log`; or a full `http://` or
/// `https://` URL for nodes that serve elsewhere (`http://10.0.0.9/csv.log`).
/// A URL without any path (`http://10.0.0.1`) means the router's log too.
///
/// A URL may hold a user and password. Only [`url`](Self::url) shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeAddress {
    url: Url,
    id: SourceId,
}

impl NodeAddress {
    fn new(url: Url) -> Self {
        let mut shown = url.clone();
        // Both only fail for URLs that cannot have a user, which were refused.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        Self { id: SourceId::new(shown.as_str()), url }
    }

    /// What is asked for, with credentials if there are any: not to be shown.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The URL without credentials, which names the node as a source.
    #[must_use]
    pub const fn source_id(&self) -> &SourceId {
        &self.id
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeAddress({})", self.id)
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let url = if text.contains("://") { parse_url(text) } else { parse_bare(text) };
        url.map(Self::new).map_err(|what| AddressError { entry: redacted(text), what })
    }
}

/// One entry of a list of nodes that names no node. Shows no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` {what}")]
pub struct AddressError {
    entry: String,
    what: String,
}

/// Reads a list of node addresses, separated by commas, blanks or both. A node
/// that is named twice is polled once. (A comma or blank inside a URL is
/// written `%2C` or `%20`.)
///
/// # Errors
/// All entries that name no node, in the order of the text.
pub fn parse_addresses(text: &str) -> Result<Vec<NodeAddress>, Vec<AddressError>> {
    let mut seen = BTreeMap::<SourceId, Url>::new();
    let mut nodes = Vec::new();
    let mut mistakes = Vec::new();
    let entries = text.split(|c: char| c == ',' || c.is_whitespace());
    for entry in entries.filter(|entry| !entry.is_empty()) {
        match entry.parse::<NodeAddress>() {
            Err(mistake) => mistakes.push(mistake),
            Ok(node) => match seen.get(&node.id) {
                None => {
                    seen.insert(node.id.clone(), node.url.clone());
                    nodes.push(node);
                }
                Some(url) if *url == node.url => {}
                Some(_) => mistakes.push(AddressError {
                    entry: node.id.to_string(),
                    what: "is named twice with different credentials".into(),
                }),
            },
        }
    }
    if mistakes.is_empty() { Ok(nodes) } else { Err(mistakes) }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither an http:// nor an https:// URL".into());
    }
    if url.fragment().is_some() {
        return Err("has a part after `#`, which is never sent to a node".into());
    }
    if url.port() == Some(0) {
        return Err("has port 0".into());
    }
    let authority_on = text.split_once("://").map_or("", |(_, rest)| rest);
    if !authority_on.contains(['/', '?', '\\']) {
        url.set_path(ROUTER_LOG);
    }
    Ok(url)
}

fn parse_bare(text: &str) -> Result<Url, String> {
    if text.contains('@') {
        return Err("has credentials, which are only possible in a full http:// URL".into());
    }
    if text.contains('/') {
        return Err(format!("has a path: write it as a full URL, `http://{text}`"));
    }
    if text.contains('%') {
        return Err("has a `%`: IPv6 zones are not supported, use a routable address".into());
    }
    let (host, port) = split_port(text)?;
    let url = match port {
        Some(port) => format!("http://{host}:{port}{ROUTER_LOG}"),
        None => format!("http://{host}{ROUTER_LOG}"),
    };
    let url = Url::parse(&url).map_err(|error| format!("is no node address: {error}"))?;
    // The URL standard reads `10.1` as 10.0.0.1; in a list of nodes it is a
    // typing error.
    if matches!(url.host(), Some(Host::Ipv4(_))) && host.parse::<Ipv4Addr>().is_err() {
        return Err("is no IPv4 address: four numbers from 0 to 255 are needed".into());
    }
    if url.query().is_some() || url.fragment().is_some() || url.path() != ROUTER_LOG {
        return Err("is no node address".into());
    }
    Ok(url)
}

/// Parts an entry without scheme into host, in brackets if IPv6, and port.
fn split_port(text: &str) -> Result<(String, Option<u16>), String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((format!("[{text}]"), None));
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((inner, rest))) => {
            inner
                .parse::<Ipv6Addr>()
                .map_err(|_| "has no IPv6 address between its brackets".to_owned())?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err("has something other than a port after `]`".into()),
            };
            (format!("[{inner}]"), port)
        }
        Some(None) => return Err("has a `[` without `]`".into()),
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("is neither an IPv6 address nor a host with one port".into());
            }
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    let port = port
        .map(|port| match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
            _ => Err("has no port from 1 to 65535 after its colon".to_owned()),
        })
        .transpose()?;
    Ok((host, port))
}

/// An entry that could not be read, with everything hidden that may be a part
/// of a user name or password (a comma in a password tears an entry apart).
fn redacted(entry: &str) -> String {
    let (scheme, rest) = match entry.find("://") {
        // In `anna:password@http://host` it is no scheme.
        Some(at) if !entry[..at].contains('@') => entry.split_at(at + 3),
        _ => ("", entry),
    };
    if let Some(at) = rest.rfind('@') {
        return format!("{scheme}…{}", &rest[at..]);
    }
    if !scheme.is_empty()
        && !rest.starts_with('[')
        && let Some((host, after)) = rest.split_once(':')
        && !after
            .split(['/', '?', '#'])
            .next()
            .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
    {
        return format!("{scheme}{host}:…");
    }
    entry.to_owned()
}
