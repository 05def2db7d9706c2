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

/// A text field without surrounding blanks and control characters, which are
/// traces of torn memory and mean nothing.
pub(super) fn tidy(field: &str) -> String {
    field
        .trim_matches(|c: char| c.is_whitespace() || c.is_control())
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}
