//! From a request's target to what it asks for.

use isems_core::Nodes;
use percent_encoding::percent_decode_str;

use super::v1::Target;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The newest measurement of each node, of all or of the active ones.
    Latest(Nodes),
    /// The newest measurements of one node; `None` if no node can have the name.
    Recent(Option<String>),
    /// What is known of the sources.
    Sources,
    /// Something of API v1; `None` if it has no such thing.
    V1(Option<Target>),
    /// Whether the server runs.
    Health,
    /// Whether the measurements can be read.
    Ready,
    /// Nothing that is there, in a place that belongs to the API.
    Unknown {
        /// Whether it lies where measurements are, which any page may read.
        measurements: bool,
    },
    /// Not the API's: perhaps a file of the app.
    Elsewhere,
}

impl Route {
    /// The route of a target's path and query, both as sent.
    pub(super) fn of(path: &str, query: Option<&str>) -> Self {
        let api = path.strip_prefix("/api").filter(|rest| {
            // `/apiary` is not ours.
            rest.is_empty() || rest.starts_with('/')
        });
        if let Some(rest) = api.and_then(|rest| rest.strip_prefix("/v1"))
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return Self::V1(Target::of(rest));
        }
        match path {
            "/healthz" => return Self::Health,
            "/readyz" => return Self::Ready,
            _ => {}
        }
        let local = api.unwrap_or(path);
        if local == "/sources" {
            return Self::Sources;
        }
        if let Some(rest) = local.strip_prefix("/measurements/") {
            return Self::of_measurements(rest, query);
        }
        match first_segment(local).as_deref() {
            Some(b"measurements") => Self::Unknown { measurements: true },
            // So that no spelling of an API path is answered with the app's page.
            Some(b"api" | b"sources") => Self::Unknown { measurements: false },
            _ if api.is_some() => Self::Unknown { measurements: false },
            _ => Self::Elsewhere,
        }
    }

    /// Whether pages of other origins may read the answer.
    pub(super) fn is_shared(&self) -> bool {
        match self {
            Self::Latest(_) | Self::Recent(_) => true,
            Self::Unknown { measurements } => *measurements,
            Self::V1(target) => target.as_ref().is_some_and(Target::is_shared),
            Self::Sources | Self::Health | Self::Ready | Self::Elsewhere => false,
        }
    }

    fn of_measurements(rest: &str, query: Option<&str>) -> Self {
        const LATEST: &str = "/latest";
        if rest == "latest" {
            let all = query.is_some_and(asks_for_all);
            return Self::Latest(if all { Nodes::All } else { Nodes::Active });
        }
        if let Some(node) = rest.strip_suffix(LATEST) {
            return Self::Recent(decoded(node));
        }
        // isems-app does not escape names: of the node `a?b` it asks
        // `/measurements/a?b/latest`.
        if let Some(tail) = query.and_then(|query| query.strip_suffix(LATEST)) {
            return Self::Recent(decoded(&format!("{rest}?{tail}")));
        }
        Self::Unknown { measurements: true }
    }
}

/// Percent-decoded once; a malformed `%` stays, `+` stays. `None`: not UTF-8.
pub(super) fn decoded(node: &str) -> Option<String> {
    let text = percent_decode_str(node).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// `all=true` exactly; as in the old collector, the first `all` counts.
fn asks_for_all(query: &str) -> bool {
    query.split('&').find(|pair| pair.split('=').next() == Some("all")) == Some("all=true")
}

fn first_segment(path: &str) -> Option<Vec<u8>> {
    let segment = path.split('/').find(|segment| !segment.is_empty())?;
    Some(percent_decode_str(segment).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str) -> Route {
        match target.split_once('?') {
            Some((path, query)) => Route::of(path, Some(query)),
            None => Route::of(target, None),
        }
    }

    #[test]
    fn the_newest_of_each_node_is_of_the_active_ones_unless_all_is_exactly_true() {
        for (query, all) in [
            ("", false),
            ("?all=true", true),
            ("?x=1&all=true", true),
            ("?all=true&all=false", true),
            ("?all=false&all=true", false),
            ("?all=True", false),
            ("?all=1", false),
            ("?all=", false),
            ("?all", false),
            ("?all=true ", false),
            ("?wall=true", false),
        ] {
            for prefix in ["", "/api"] {
                let target = format!("{prefix}/measurements/latest{query}");
                let nodes = if all { Nodes::All } else { Nodes::Active };
                assert_eq!(route(&target), Route::Latest(nodes), "{target}");
            }
        }
    }

    #[test]
    fn a_nodes_name_is_all_between_measurements_and_the_last_latest_decoded_once() {
        for (path, node) in [
            ("Elektra-Dach/latest", "Elektra-Dach"),
            ("a/b/latest", "a/b"),
            ("a%2Fb/latest", "a/b"),
            ("latest/latest", "latest"),
            ("/latest", ""),
            ("a/latest/latest", "a/latest"),
            ("a%20b/latest", "a b"),
            ("a+b/latest", "a+b"),
            ("a%2Bb/latest", "a+b"),
            ("Stra%C3%9Fe/latest", "Straße"),
            ("Straße/latest", "Straße"),
            ("100%/latest", "100%"),
            ("a%zz%4/latest", "a%zz%4"),
            ("a%2541/latest", "a%41"),
            ("a%2Flatest/latest", "a/latest"),
            ("a?b/latest", "a?b"),
            ("a?b?c%20d/latest", "a?b?c d"),
            ("a/latest?b/latest", "a"),
            ("../latest", ".."),
        ] {
            for prefix in ["", "/api"] {
                let target = format!("{prefix}/measurements/{path}");
                let expected = Route::Recent(Some(node.to_owned()));
                assert_eq!(route(&target), expected, "{target}");
            }
        }
        assert_eq!(route("/measurements/%FF/latest"), Route::Recent(None));
    }

    #[test]
    fn no_spelling_of_an_api_path_belongs_to_the_app() {
        for path in [
            "/measurements",
            "/measurements/",
            "/measurements/a",
            "/measurements/latest/",
            "/measurements/a/latest/b",
            "/api/measurements",
            "//measurements/latest",
            "/%6Deasurements/latest",
        ] {
            assert_eq!(route(path), Route::Unknown { measurements: true }, "{path}");
        }
        for path in [
            "/api",
            "/api/",
            "/api/index.html",
            "/api/v2/nodes",
            "/api/v10",
            "/api/api/sources",
            "/api/api/v1/nodes",
            "/api/healthz",
            "/%61pi/sources",
            "/%61pi/v1/nodes",
            "//api/sources",
            "//api/v1/nodes",
            "/sources/",
            "/sources/x",
        ] {
            let expected = Route::Unknown { measurements: false };
            assert_eq!(route(path), expected, "{path}");
        }
    }

    #[test]
    fn all_below_api_v1_is_of_api_v1() {
        assert_eq!(route("/api/v1/nodes?limit=1"), Route::V1(Some(Target::Nodes)));
        for path in ["/api/v1", "/api/v1/", "/api/v1/x", "/api/v1/measurements/latest"] {
            assert_eq!(route(path), Route::V1(None), "{path}");
        }
        assert_eq!(route("/healthz"), Route::Health);
        assert_eq!(route("/readyz?x"), Route::Ready);
    }

    #[test]
    fn everything_else_is_the_apps() {
        for path in [
            "/",
            "/v1/nodes",
            "/healthz/",
            "/dashboard/",
            "/apiary",
            "/nodes/a",
            "/measurement/latest",
            "*",
            "",
        ] {
            assert_eq!(route(path), Route::Elsewhere, "{path}");
        }
        assert_eq!(route("/sources"), Route::Sources);
        assert_eq!(route("/api/sources?x"), Route::Sources);
    }
}
