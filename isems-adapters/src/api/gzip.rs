//! Compression of answers that are large enough to gain by it.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

/// Smaller bodies fit in one packet anyway.
const WORTH: usize = 1024;

/// From this size on compressing takes long enough to disturb other requests.
const LONG: usize = 64 * 1024;

/// The bytes compressed; `None` if that is not worth it.
pub(super) async fn of(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() <= WORTH {
        return None;
    }
    if bytes.len() < LONG {
        return compressed(bytes);
    }
    let bytes = bytes.to_vec();
    tokio::task::spawn_blocking(move || compressed(&bytes)).await.ok().flatten()
}

fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = encoder();
    // Writing to memory does not fail; if it did, the answer would go plain.
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// An encoder into memory that is quick rather than thorough.
pub(super) fn encoder() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::fast())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn what_is_large_enough_is_compressed_and_comes_back_as_it_was() {
        assert_eq!(of(&[0; WORTH]).await, None);
        for size in [WORTH + 1, LONG - 1, LONG, 10 * LONG] {
            let bytes: Vec<u8> = (0..size).map(|i| b"0123456789"[i % 10]).collect();
            let small = of(&bytes).await.unwrap();
            assert!(small.len() < size / 2, "{size}");
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&*small).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{size}");
        }
    }
}
