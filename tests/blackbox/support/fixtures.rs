//! Real node output.

use std::{fs, path::Path};

/// The bytes of `tests/fixtures/NAME`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of a router's log, `tests/fixtures/logs/NAME.log`.
pub(crate) fn log(name: &str) -> Vec<u8> {
    fixture(&format!("logs/{name}.log"))
}
