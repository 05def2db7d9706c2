//! An answer while it is being written, within its room.

use std::io;

use super::scarce::Share;

/// So much more room is taken at once, at least.
const STEP: usize = 64 * 1024;

/// Bytes of an answer that nobody knows the length of before it was written.
/// The more there are, the more room they take; without room they are only
/// counted.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    /// How many there are, kept or not.
    length: usize,
    /// How many there may be as it is.
    fits: usize,
    /// `None`: there was not enough.
    room: Option<Share>,
}

impl Draft {
    pub(super) fn within(room: Share) -> Self {
        Self { bytes: Vec::new(), length: 0, fits: 0, room: Some(room) }
    }

    /// The bytes and their room; without room, how many bytes there are.
    pub(super) fn finished(self) -> Result<(Vec<u8>, Share), usize> {
        let Self { bytes, length, room, .. } = self;
        let mut room = room.ok_or(length)?;
        room.fits(length);
        Ok((bytes, room))
    }

    /// How many of the bytes are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// Makes place for all that there is now.
    fn grow(&mut self) {
        let Some(room) = &mut self.room else { return };
        let wanted = (2 * self.fits).max(self.length);
        let fits = [room.amount(), wanted, self.length + STEP]
            .into_iter()
            .find(|amount| *amount >= self.length && room.fits(*amount));
        if let Some(fits) = fits {
            self.fits = fits;
            self.bytes.reserve_exact(fits - self.bytes.len());
        } else {
            // Others get on with what it gives back.
            self.room = None;
            self.bytes = Vec::new();
        }
    }
}

impl io::Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length = self.length.saturating_add(bytes.len());
        if self.length > self.fits {
            self.grow();
        }
        if self.room.is_some() {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
