//! What a client says it would like to read.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue},
};

/// Whether an error should be JSON: only if the client asks for
/// `application/json` by name, likes nothing better, and would not take plain
/// text. isems-app sends `application/json, text/plain, */*` and goes blank
/// over a JSON object without measurements.
pub(super) fn wants_json_errors(headers: &HeaderMap) -> bool {
    let quality = |wanted: &dyn Fn(&str) -> bool| {
        ranges(headers, &ACCEPT)
            .filter(|(range, _)| wanted(range))
            .map(|(_, quality)| quality)
            .fold(0.0, f32::max)
    };
    let json = quality(&|range| range.eq_ignore_ascii_case("application/json"));
    let plain = quality(&|range| {
        ["text/plain", "text/*", "*/*"].iter().any(|text| range.eq_ignore_ascii_case(text))
    });
    json > 0.0 && plain <= 0.0 && quality(&|_| true) <= json
}

/// Whether the client asks for `text/html` by name, as browsers do for pages
/// and never for scripts, styles or images.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    names(headers, "text/html")
}

/// Whether the client asks for `text/event-stream` by name, as everything does
/// that can follow events.
pub(super) fn follows_events(headers: &HeaderMap) -> bool {
    names(headers, "text/event-stream")
}

/// Whether the client takes an answer that is compressed with gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let quality = |coding: &str| {
        ranges(headers, &ACCEPT_ENCODING)
            .find(|(named, _)| named.eq_ignore_ascii_case(coding))
            .map(|(_, quality)| quality)
    };
    quality("gzip").or_else(|| quality("x-gzip")).or_else(|| quality("*")).unwrap_or(0.0) > 0.0
}

fn names(headers: &HeaderMap, kind: &str) -> bool {
    ranges(headers, &ACCEPT)
        .any(|(range, quality)| range.eq_ignore_ascii_case(kind) && quality > 0.0)
}

/// What the client would take, with its quality.
fn ranges<'a>(headers: &'a HeaderMap, of: &HeaderName) -> impl Iterator<Item = (&'a str, f32)> {
    headers
        .get_all(of)
        .iter()
        .filter_map(|value| HeaderValue::to_str(value).ok())
        .flat_map(|list| list.split(','))
        .map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let quality = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            (range, quality)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers
    }

    #[test]
    fn json_errors_are_for_those_who_ask_by_name_and_would_take_nothing_plainer() {
        for (accept, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, image/png;q=0.5", true),
            ("application/json, text/plain;q=0", true),
            ("application/json, text/plain, */*", false),
            ("application/json, */*;q=0.1", false),
            ("application/json;q=0.5, text/html", false),
            ("application/json;q=0", false),
            ("application/json;q=x", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("", false),
        ] {
            assert_eq!(wants_json_errors(&accepting(accept)), json, "{accept}");
        }
        assert!(!wants_json_errors(&HeaderMap::new()));
    }

    #[test]
    fn gzip_is_taken_by_those_who_say_so() {
        for (accept, taken) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.2", true),
            ("x-gzip", true),
            ("*", true),
            ("*, gzip;q=0", false),
            ("gzip;q=0", false),
            ("identity", false),
            ("gzipped", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(takes_gzip(&headers), taken, "{accept}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn events_are_followed_by_those_who_name_their_type() {
        assert!(follows_events(&accepting("text/event-stream")));
        assert!(!follows_events(&accepting("*/*")));
        assert!(!follows_events(&HeaderMap::new()));
    }

    #[test]
    fn html_is_wanted_by_those_who_name_it() {
        assert!(wants_html(&accepting("text/html,application/xml;q=0.9,*/*;q=0.8")));
        assert!(!wants_html(&accepting("*/*")));
        assert!(!wants_html(&accepting("text/html;q=0")));
    }
}
