//! The little that reading positions must know of the lines of a log.

/// Up to the last newline, inclusive.
pub(super) fn terminated_len(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)
}

/// The first line without its end.
pub(super) fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether these lines are a log's, however good: some line has the fields. A
/// web page, which must not be mistaken for a log that was read, has not.
pub(super) fn looks_like_log(bytes: &[u8]) -> bool {
    bytes.split(|b| *b == b'\n').any(|line| {
        !line.trim_ascii_start().starts_with(b"<") && line.split(|b| *b == b';').count() >= 18
    })
}
