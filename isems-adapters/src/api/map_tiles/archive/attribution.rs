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
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        rest = match after.split_once('>') {
            Some((_, behind)) if tag => behind,
            _ => {
                text.push('<');
                after
            }
        };
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

    #[test]
    fn metadata_may_say_nothing_but_must_be_json() {
        assert_eq!(of(br#"{"attribution":"Us"}"#).unwrap().as_deref(), Some("Us"));
        for silent in ["{}", r#"{"attribution":7}"#, r#"{"attribution":" "}"#, "[]"] {
            assert_eq!(of(silent.as_bytes()).unwrap(), None, "{silent}");
        }
        assert!(of(b"{").unwrap_err().to_string().contains("metadata"));
    }
}
