//! What a path below `/api/v1` names.

use super::export::Format;
use crate::api::route::decoded;

/// What a request to API v1 asks for. A node's name is `None` if it is not
/// UTF-8, as no node's is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) enum Target {
    /// The present state of every node.
    Nodes,
    /// That of one node.
    Node(Option<String>),
    /// One node's history in buckets.
    History(Option<String>),
    /// One node's measurements as a file.
    Export(Option<String>, Format),
    /// The newest measurement of each node, as the old API has it.
    Latest,
    /// What is known of the sources.
    Sources,
    /// What happens from now on.
    Events,
    /// The description of all this.
    OpenApi,
}

impl Target {
    /// The target of a path, as sent, without its beginning `/api/v1`. A node's
    /// name is one segment, percent-encoded.
    pub(in crate::api) fn of(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let first = segments.next()?;
        let node = segments.next();
        let of_node = segments.next();
        if segments.next().is_some() || node == Some("") {
            return None;
        }
        Some(match (first, node.map(name), of_node) {
            ("nodes", None, None) => Self::Nodes,
            ("nodes", Some(node), None) => Self::Node(node),
            ("nodes", Some(node), Some("history")) => Self::History(node),
            ("nodes", Some(node), Some("export.csv")) => Self::Export(node, Format::Csv),
            ("nodes", Some(node), Some("export.ndjson")) => Self::Export(node, Format::Ndjson),
            ("latest", None, None) => Self::Latest,
            ("sources", None, None) => Self::Sources,
            ("events", None, None) => Self::Events,
            ("openapi.json", None, None) => Self::OpenApi,
            _ => return None,
        })
    }

    /// The query parameters that it takes.
    pub(super) const fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::Nodes | Self::Latest => &["active", "limit", "after"],
            Self::History(_) => &["from", "to", "step", "fields"],
            Self::Export(..) => &["from", "to"],
            Self::Sources => &["limit", "after"],
            Self::Node(_) | Self::Events | Self::OpenApi => &[],
        }
    }

    /// The name of the node that it is of, if any can have it.
    pub(super) fn node(&self) -> Option<&str> {
        match self {
            Self::Node(id) | Self::History(id) | Self::Export(id, _) => id.as_deref(),
            Self::Nodes | Self::Latest | Self::Sources | Self::Events | Self::OpenApi => None,
        }
    }

    /// Whether pages of other origins may read the answer.
    pub(in crate::api) const fn is_shared(&self) -> bool {
        !matches!(self, Self::Sources)
    }
}

/// The name of a segment. Browsers resolve `.` and `..` in a path away, also
/// `%2E`; therefore `%252E` is a dot as well, for no node's name holds a `%`.
fn name(segment: &str) -> Option<String> {
    let name = decoded(segment)?;
    Some(match name.to_ascii_uppercase().as_str() {
        "%2E" => ".".to_owned(),
        "%2E%2E" => "..".to_owned(),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_is_one_segment_decoded_once() {
        let node = |name: &str| Some(name.to_owned());
        for (path, target) in [
            ("/nodes", Target::Nodes),
            ("/nodes/Dach", Target::Node(node("Dach"))),
            ("/nodes/a%2Fb", Target::Node(node("a/b"))),
            ("/nodes/history", Target::Node(node("history"))),
            ("/nodes/a+b", Target::Node(node("a+b"))),
            ("/nodes/a%2541", Target::Node(node("a%41"))),
            ("/nodes/%252E", Target::Node(node("."))),
            ("/nodes/%252e%252E/history", Target::History(node(".."))),
            ("/nodes/%252Ea", Target::Node(node("%2Ea"))),
            ("/nodes/%FF", Target::Node(None)),
            ("/nodes/Stra%C3%9Fe%207/history", Target::History(node("Straße 7"))),
            ("/nodes/a/export.csv", Target::Export(node("a"), Format::Csv)),
            ("/nodes/a/export.ndjson", Target::Export(node("a"), Format::Ndjson)),
            ("/latest", Target::Latest),
            ("/sources", Target::Sources),
            ("/events", Target::Events),
            ("/openapi.json", Target::OpenApi),
        ] {
            assert_eq!(Target::of(path), Some(target), "{path}");
        }
    }

    #[test]
    fn there_is_nothing_else() {
        for path in [
            "",
            "/",
            "/nodes/",
            "/nodes//history",
            "/nodes/a/",
            "/nodes/a/b",
            "/nodes/a/b/history",
            "/nodes/a/history/",
            "/nodes/a/export",
            "/latest/",
            "/latest/a",
            "//nodes",
            "/healthz",
        ] {
            assert_eq!(Target::of(path), None, "{path}");
        }
    }
}
