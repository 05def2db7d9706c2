//! Bytes to text: UTF-8, else Windows-1252.

use std::borrow::Cow;

/// Decodes one line. Node names are typed in by people on all kinds of
/// systems; a line that is not UTF-8 was written in Windows-1252.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// So many characters of a text field are kept. Firmware sends a dozen; a field
/// of megabytes would be in every answer of the API.
const KEPT: usize = 128;

/// The beginning of a text field, without surrounding blanks and control
/// characters, which are traces of torn memory and mean nothing.
pub(super) fn tidy(field: &str) -> String {
    let text: String = field
        .trim_matches(|c: char| c.is_whitespace() || c.is_control())
        .chars()
        .filter(|c| !c.is_control())
        .take(KEPT)
        .collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_without_end_the_beginning_is_kept() {
        let endless = "Ä".repeat(1_000_000);
        assert_eq!(tidy(&endless), "Ä".repeat(KEPT));
        assert_eq!(tidy(&format!("{}  b", "a".repeat(KEPT - 1))), "a".repeat(KEPT - 1));
    }
}
