//! From a request's target to its route. The input is a target; it is also
//! taken as the name of a node.

#![no_main]

#[path = "../../../isems-adapters/src/api/route.rs"]
mod route;

use isems_fuzz::seeds;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use route::Route;

fuzz_target!(init: seeds::plant(targets), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_target(text);
    check_node(text);
});

fn of(target: &str) -> Route {
    match target.split_once('?') {
        Some((path, query)) => Route::of(path, Some(query)),
        None => Route::of(target, None),
    }
}

fn check_target(target: &str) {
    let route = of(target);
    let path = target.split('?').next().unwrap_or_default();
    let first = path.split('/').find(|segment| !segment.is_empty()).unwrap_or_default();
    let first: Vec<u8> = percent_decode_str(first).collect();
    let ours = [&b"api"[..], b"measurements", b"sources"].contains(&&*first);
    assert!(!(ours && route == Route::Elsewhere), "the app's page instead of an error");

    let readable = matches!(
        route,
        Route::Latest(_) | Route::Recent(_) | Route::Unknown { measurements: true }
    );
    assert_eq!(route.is_shared(), readable, "where measurements are, and nowhere else");

    // `/api/…` is the same API.
    if target.starts_with('/') && !target.starts_with("/api") {
        let expected = match route {
            Route::Elsewhere => Route::Unknown { measurements: false },
            route => route,
        };
        assert_eq!(of(&format!("/api{target}")), expected);
    }
}

/// Whatever a node is called, its measurements can be asked for.
fn check_node(node: &str) {
    let expected = Route::Recent(Some(node.to_owned()));
    let encoded = utf8_percent_encode(node, NON_ALPHANUMERIC);
    assert_eq!(of(&format!("/measurements/{encoded}/latest")), expected);
    // As isems-app asks. A `?` behind `latest` begins a query.
    let path = node.split_once('?').map_or("", |(path, _)| path);
    if !node.contains('%') && path != "latest" && !path.ends_with("/latest") {
        assert_eq!(of(&format!("/measurements/{node}/latest")), expected);
    }
}

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
        "Gärten Süd/Nord+1",
        "/measurements/%FF%zz%4/latest",
    ])
}
