//! To whom a map is owed, as a text without markup.

use serde_json::Value;

use super::ArchiveError;

/// More characters than a line on the map has room for.
const LONGEST: usize = 300;

/// The attribution of an archive's metadata, if they have one.
pub(super) fn of(metadata: &[u8]) -> Result<Option<String>, ArchiveError> {
    let metadata: Value = serde_json::from_slice(metadata)
        .map_err(|_| ArchiveError::Damaged("its metadata are no JSON"))?;
    let attribution = metadata["attribution"].as_str().map(plain);
    Ok(attribution.filter(|text| !text.is_empty()))
}

/// HTML, which attributions often are, as it would be read.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(sign) = rest.find('<') {
        let (before, from_sign) = rest.split_at(sign);
        text.push_str(before);
        rest = from_sign;
        let after = &from_sign[1..];
        if !after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!') {
            text.push('<');
            rest = after;
            continue;
        }
        // Where one tag has no end, none behind it has: no end is looked for twice.
        let Some((_, behind)) = after.split_once('>') else { break };
        rest = behind;
    }
    text.push_str(rest);
    // The ampersand last: what it makes is no further entity.
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&copy;", "©"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    let words = text.replace(char::is_control, " ");
    let words: Vec<_> = words.split_whitespace().collect();
    let words = words.join(" ");
    if words.chars().count() <= LONGEST {
        return words;
    }
    let begin: String = words.chars().take(LONGEST - 1).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn an_attribution_is_read_as_a_person_would() {
        for (html, says) in [
            ("© Surveyors", "© Surveyors"),
            (r#"<a href="https://map.example" target='_blank'>&copy; A &amp; B</a>"#, "© A & B"),
            ("a < b <br/>\n c", "a < b c"),
            ("&amp;lt;b&gt;", "&lt;b>"),
            ("<unclosed", "<unclosed"),
            ("\u{7}bell", "bell"),
        ] {
            assert_eq!(plain(html), says, "{html}");
        }
        assert_eq!(plain(&"long ".repeat(1_000)).chars().count(), LONGEST);
    }

    /// Two million signs looked for in what is left behind each would take hours.
    #[test]
    fn signs_without_end_are_read_in_one_go() {
        const SIGNS: usize = 2_000_000;
        let (done, end) = mpsc::channel();
        thread::spawn(move || {
            for (sign, last) in [("<a", ""), ("</", ""), ("< ", ">"), ("<<", "a>")] {
                let html = sign.repeat(SIGNS) + last;
                let text = plain(&html);
                done.send((sign, html, text)).unwrap();
            }
        });
        for _ in 0..4 {
            let read = end.recv_timeout(Duration::from_mins(1));
            let (sign, html, text) = read.expect("within a minute");
            let as_it_is: String = html.chars().take(LONGEST - 1).collect();
            assert_eq!(text, format!("{}…", as_it_is.trim_end()), "{sign:?} again and again");
        }
    }

    #[test]
    fn metadata_may_say_nothing_but_must_be_json() {
        assert_eq!(of(br#"{"attribution":"Us"}"#).unwrap().as_deref(), Some("Us"));
        for silent in ["{}", r#"{"attribution":7}"#, r#"{"attribution":" "}"#, "[]"] {
            assert_eq!(of(silent.as_bytes()).unwrap(), None, "{silent}");
        }
        assert!(of(b"{").unwrap_err().to_string().contains("metadata"));
    }
}
