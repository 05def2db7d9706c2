//! Entity tags: what a client already has need not be sent again.

use std::hash::Hasher;

use hyper::{
    HeaderMap,
    header::{HeaderValue, IF_NONE_MATCH},
};
use siphasher::sip128::{Hasher128, SipHasher13};

/// A strong tag of a whole body.
pub(super) fn of_body(body: &[u8]) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(body);
    format!("\"{:032x}\"", hasher.finish128().as_u128())
}

/// The tag of a body in its coding: the same content compressed is another
/// sequence of bytes, which a strong tag must tell apart.
pub(super) fn of_coding(tag: &str, gzip: bool) -> String {
    match tag.strip_suffix('"') {
        Some(open) if gzip => format!("{open}-gzip\""),
        _ => tag.to_owned(),
    }
}

/// Whether the client says in `If-None-Match` that it has what `etag` names.
pub(super) fn client_has(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| HeaderValue::to_str(value).ok())
        // Tags of ours hold no comma, so that a comma always ends one.
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coding_has_its_own_tag() {
        assert_eq!(of_coding("\"a\"", false), "\"a\"");
        assert_eq!(of_coding("\"a\"", true), "\"a-gzip\"");
    }

    #[test]
    fn a_client_has_what_it_names_strong_or_weak_alone_or_in_a_list() {
        let etag = of_body(b"body");
        for (sent, has) in [
            (etag.clone(), true),
            (format!("W/{etag}"), true),
            (format!("\"other\" , {etag}"), true),
            ("*".to_owned(), true),
            (of_body(b"other body"), false),
            (etag.trim_matches('"').to_owned(), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(&sent).unwrap());
            assert_eq!(client_has(&headers, &etag), has, "{sent}");
        }
        assert!(!client_has(&HeaderMap::new(), &etag));
    }
}
