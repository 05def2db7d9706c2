//! Texts of the old database, and how garbled umlauts are repaired.

use std::borrow::Cow;

/// What Windows-1252 makes of the bytes 0x80 to 0x9F, in which it differs from
/// Latin-1. Its five unused bytes stay the control characters of Latin-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

/// Reads bytes as UTF-8, else as Windows-1252.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| windows_1252(byte)).collect()),
    }
}

/// The text that was meant, if `text` is UTF-8 that was read as Latin-1 or
/// Windows-1252 (`Ã¼` for `ü`), once or more often.
pub(super) fn repair(text: &str) -> Option<String> {
    let mut repaired = repair_once(text)?;
    while let Some(again) = repair_once(&repaired) {
        repaired = again;
    }
    Some(repaired)
}

fn repair_once(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes = text.chars().map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9F => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The byte that was read as `read`, be it as Latin-1 or as Windows-1252.
fn byte(read: char) -> Option<u8> {
    u8::try_from(read).ok().or_else(|| {
        let index = WINDOWS_1252.iter().position(|&high| high == read)?;
        u8::try_from(0x80 + index).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbled_text_is_repaired_and_other_text_is_left_alone() {
        for (text, meant) in [
            ("DachSÃ¼d", Some("DachSüd")),
            ("StraÃ\u{9f}e", Some("Straße")),
            ("StraÃŸe", Some("Straße")),
            ("Haus â€“ Hof", Some("Haus – Hof")),
            ("KÃƒÂ¶ln", Some("Köln")),
            ("DachSüd", None),
            ("Ã", None),
            ("Ä¼", Some("ļ")),
            ("東京", None),
            ("Dach", None),
            ("", None),
        ] {
            assert_eq!(repair(text).as_deref(), meant, "{text:?}");
        }
    }

    #[test]
    fn every_utf8_text_survives_being_garbled() {
        for meant in ["äöüÄÖÜß", "Łódź", "日本", "🌞 Dach"] {
            let garbled: String = meant.bytes().map(char::from).collect();
            assert_eq!(repair(&garbled).as_deref(), Some(meant));
            let garbled: String = meant.bytes().map(windows_1252).collect();
            assert_eq!(repair(&garbled).as_deref(), Some(meant));
        }
    }

    #[test]
    fn bytes_are_utf8_else_windows_1252() {
        assert_eq!(decode("Süd".as_bytes()), "Süd");
        assert_eq!(decode(b"S\xFCd \x80\x81"), "Süd €\u{81}");
    }
}
