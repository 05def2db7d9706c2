//! Values that are never shown.

use std::fmt;

/// What stands for a value that is hidden as a whole.
pub(crate) const HIDDEN: &str = "(hidden)";

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, to hand to the one who needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A comma-separated list of addresses without users and passwords.
pub(crate) fn hide_credentials(list: &str) -> String {
    entries(list).map(|(_, shown)| shown).collect::<Vec<_>>().join(",")
}

/// Each entry of a comma-separated list of addresses, and how it may be shown:
/// without what stands before an `@`, however the address is misspelt.
pub(crate) fn entries(list: &str) -> impl Iterator<Item = (&str, String)> {
    let somebody_logs_in = list.contains('@');
    list.split(',').map(move |entry| {
        let shown = match entry.rsplit_once('@') {
            Some((before, after)) => format!("{}…@{after}", scheme(before)),
            // The beginning of a password with a comma in it?
            None if somebody_logs_in && ends_in_no_port(entry) => {
                format!("{}…", scheme(entry))
            }
            None => entry.to_owned(),
        };
        (entry, shown)
    })
}

fn scheme(text: &str) -> &str {
    text.find("://").map_or("", |end| &text[..end + 3])
}

fn ends_in_no_port(entry: &str) -> bool {
    let place = &entry[scheme(entry).len()..];
    let place = place.split('/').next().unwrap_or_default();
    let is_ipv6 = |c: char| c.is_ascii_hexdigit() || ":[]".contains(c);
    !place.trim().chars().all(is_ipv6)
        && place
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.trim().chars().all(|c| c.is_ascii_digit()))
}

/// The passwords in the addresses of a list, as written and percent-decoded.
pub(super) fn passwords(list: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    for entry in list.split(',') {
        let Some((login, _)) = entry.rsplit_once('@') else {
            continue;
        };
        let Some((_, password)) = login[scheme(login).len()..].split_once(':') else {
            continue;
        };
        found.push(Secret::new(password));
        if let Ok(decoded) = percent_encoding::percent_decode_str(password).decode_utf8() {
            found.push(Secret::new(&decoded));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_hidden_in_every_entry() {
        for (text, shown) in [
            ("broker.example", "broker.example"),
            ("broker:mqtt", "broker:mqtt"),
            ("mqtt://u:geheim@broker:1883", "mqtt://…@broker:1883"),
            ("mqtt://u:ge@heim@broker", "mqtt://…@broker"),
            ("u:geheim@broker", "…@broker"),
            ("mqtt//u:geheim@broker", "…@broker"),
            (
                "10.0.0.1:80, http://u:geheim@10.0.0.9/csv.log,[fd00::1]:80,fd00::a",
                "10.0.0.1:80, http://…@10.0.0.9/csv.log,[fd00::1]:80,fd00::a",
            ),
            ("http://u:ge,heim@node", "http://…,…@node"),
            ("http://u:g@a http://u:h@b", "http://…@b"),
        ] {
            assert_eq!(hide_credentials(text), shown, "{text}");
        }
    }

    #[test]
    fn passwords_are_found_as_written_and_decoded() {
        let found = passwords("10.0.0.1,mqtt://user:ge%40heim@broker,http://user@x");
        let found: Vec<&str> = found.iter().map(Secret::reveal).collect();
        assert_eq!(found, ["ge%40heim", "ge@heim"]);
    }

    #[test]
    fn a_secret_is_not_shown_by_accident() {
        assert_eq!(format!("{:?}", Secret::new("geheim")), "(hidden)");
    }
}
