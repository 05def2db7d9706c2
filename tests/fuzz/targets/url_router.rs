//! From a request's target to its route. The input is a target; it is also
//! taken as the name of a node.

#![no_main]

use isems_fuzz::seeds;
use libfuzzer_sys::fuzz_target;

/// The router, with as much around it as it names.
#[path = "../../../isems-adapters/src/api"]
mod api {
    mod route;
    mod v1 {
        mod export {
            /// As in the adapter, whose other parts need its libraries.
            #[derive(Debug, PartialEq, Eq)]
            pub(in crate::api) enum Format {
                Csv,
                Ndjson,
            }
        }
        #[expect(dead_code, reason = "the query of a target is not the router's")]
        mod target;

        pub(super) use export::Format;
        pub(super) use target::Target;
    }

    use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
    use route::Route;
    use v1::{Format, Target};

    fn of(target: &str) -> Route {
        match target.split_once('?') {
            Some((path, query)) => Route::of(path, Some(query)),
            None => Route::of(target, None),
        }
    }

    pub(super) fn check_target(target: &str) {
        let route = of(target);
        let path = target.split('?').next().unwrap_or_default();
        let first = path.split('/').find(|segment| !segment.is_empty()).unwrap_or_default();
        let first: Vec<u8> = percent_decode_str(first).collect();
        let ours = [&b"api"[..], b"measurements", b"sources"].contains(&&*first);
        assert!(!(ours && route == Route::Elsewhere), "the app's page instead of an error");

        let readable = match &route {
            Route::Latest(_) | Route::Recent(_) | Route::Unknown { measurements: true } => true,
            Route::V1(Some(target)) => *target != Target::Sources,
            _ => false,
        };
        assert_eq!(route.is_shared(), readable, "where measurements are, and nowhere else");

        if !target.starts_with('/') || target.starts_with("/api") {
            return;
        }
        let below = of(&format!("/api{target}"));
        if path == "/v1" || path.starts_with("/v1/") {
            assert_eq!(route, Route::Elsewhere);
            assert!(matches!(below, Route::V1(_)), "all below /api/v1 is of API v1: {below:?}");
            return;
        }
        // `/api/…` is the same API, without what the app's pages share.
        let expected = match route {
            Route::Elsewhere | Route::Health | Route::Ready => {
                Route::Unknown { measurements: false }
            }
            route => route,
        };
        assert_eq!(below, expected);
    }

    /// Whatever a node is called, its measurements can be asked for.
    pub(super) fn check_node(node: &str) {
        let expected = Route::Recent(Some(node.to_owned()));
        let encoded = utf8_percent_encode(node, NON_ALPHANUMERIC);
        assert_eq!(of(&format!("/measurements/{encoded}/latest")), expected);
        // As isems-app asks. A `?` behind `latest` begins a query.
        let path = node.split_once('?').map_or("", |(path, _)| path);
        if !node.contains('%') && path != "latest" && !path.ends_with("/latest") {
            assert_eq!(of(&format!("/measurements/{node}/latest")), expected);
        }

        // No node's name holds a `%`: behind one, API v1 spells `.` and `..`.
        if node.contains('%') {
            return;
        }
        let named = || Some(node.to_owned());
        for (tail, target) in [
            ("", Target::Node(named())),
            ("/history", Target::History(named())),
            ("/export.csv", Target::Export(named(), Format::Csv)),
            ("/export.ndjson", Target::Export(named(), Format::Ndjson)),
        ] {
            // No node has no name.
            let expected = Route::V1((!node.is_empty()).then_some(target));
            assert_eq!(of(&format!("/api/v1/nodes/{encoded}{tail}?from=x")), expected);
        }
    }
}

fuzz_target!(init: seeds::plant(targets), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    api::check_target(text);
    api::check_node(text);
});

fn targets() -> Vec<Vec<u8>> {
    seeds::texts(&[
        "/measurements/latest?x=1&all=true",
        "/api/measurements/Stra%C3%9Fe%2F7/latest",
        "/measurements/a?b?c%20d/latest",
        "/measurements/a/latest/latest?b/latest",
        "/sources?x",
        "/api/sources/",
        "//%61pi/sources",
        "/%6Deasurements/latest",
        "/apiary",
        "/healthz?x",
        "/readyz",
        "/v1/nodes",
        "/api/v1/nodes?limit=1",
        "/api/v1/nodes/a%2Fb/history?from=x",
        "/api/v1/nodes/a/export.csv",
        "/api/v1/nodes/a/export.ndjson",
        "/api/v1/latest",
        "/api/v1/sources",
        "/api/v1/events",
        "/api/v1/openapi.json",
        "Gärten Süd/Nord+1",
        "/measurements/%FF%zz%4/latest",
        "%2e",
        "/api/v1/nodes/%252E%252e/history",
    ])
}
