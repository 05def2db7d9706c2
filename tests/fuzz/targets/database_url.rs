//! The setting `DATABASE_URL`.

#![no_main]

#[expect(dead_code, reason = "whether a folder is temporary is no parsing")]
#[path = "../../../isems-adapters/src/sqlite/database_url.rs"]
mod database_url;

use database_url::DatabaseUrl;
use isems_fuzz::seeds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::plant(urls), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<DatabaseUrl>() {
        Ok(url) => {
            let path = url.path().as_os_str().as_encoded_bytes();
            assert!(!path.is_empty() && !path.contains(&0) && !path.ends_with(b"/"));
            assert_ne!(path, b":memory:");
            assert_eq!(url.to_string().parse(), Ok(url));
        }
        Err(refusal) => assert!(refusal.to_string().contains("sqlite:////absolute/path.db")),
    }
});

fn urls() -> Vec<Vec<u8>> {
    seeds::texts(&[
        "sqlite:////var/lib/isems/isems.db",
        "sqlite:///data/isems.db",
        "sqlite:isems.db",
        "sqlite://with%20blank.db",
        "sqlite:///50%20.db",
        "sqlite:////srv/mit Umläuten.db",
        "sqlite::memory:",
        "sqlite:x?cache=shared&mode=memory",
        "sqlite:%3F%3Amemory%3A/",
        "postgresql://localhost/isems",
    ])
}
