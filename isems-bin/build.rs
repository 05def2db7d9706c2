//! Tells the program when it was built: a clock that is before that is wrong.
//!
//! `SOURCE_DATE_EPOCH` is honoured, so that builds can be reproduced. Without
//! it the date is that of the first build in this target folder: an earlier
//! date than the true one is harmless, and nothing is rebuilt for it.

use std::time::{SystemTime, UNIX_EPOCH};

#[expect(
    clippy::disallowed_methods,
    reason = "a build script has neither settings nor a clock port"
)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given =
        std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let built = given.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    });
    println!("cargo::rustc-env=ISEMS_BUILT={built}");
}
