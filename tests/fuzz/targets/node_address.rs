//! The list of nodes to poll.

#![no_main]

#[path = "../../../isems-adapters/src/http_polling/address.rs"]
mod address;

use address::parse_addresses;
use isems_fuzz::seeds;
use libfuzzer_sys::fuzz_target;

/// Stands for a password: where it is one, it is never shown.
const SECRET: &str = "s3cr3t";

fuzz_target!(init: seeds::plant(lists), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Whatever stands before an `@` may be a part of a login.
    let is_secret = text.matches(SECRET).count() == 1 && text.contains("s3cr3t@");
    let nodes = match parse_addresses(text) {
        Ok(nodes) => nodes,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            let shown = mistakes.iter().map(|mistake| format!("{mistake} {mistake:?}"));
            let shown = shown.collect::<Vec<_>>().join("\n");
            return assert!(!is_secret || !shown.contains(SECRET), "{shown}");
        }
    };
    for (index, node) in nodes.iter().enumerate() {
        let url = node.url();
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(url.has_host() && url.port() != Some(0) && url.fragment().is_none(), "{url}");
        assert!(nodes[..index].iter().all(|other| other.source_id() != node.source_id()));
        if is_secret && url.password() == Some(SECRET) {
            let shown = format!("{node} {node:?}");
            assert!(!shown.contains(SECRET), "{shown}");
        }
        // What is shown can be written into the list again; a comma in it
        // would part it.
        let shown = node.to_string();
        let again = shown.parse::<address::NodeAddress>();
        assert_eq!(again.map(|node| node.to_string()), Ok(shown));
    }
});

fn lists() -> Vec<Vec<u8>> {
    seeds::texts(&[
        "10.0.0.1, 10.0.0.2:8080 node-7.mesh",
        "fd00::1,[fd00::2],[fd00::3]:8080",
        "http://10.0.0.9/csv.log https://user:s3cr3t@example.org:8443/a%2Cb?c=d",
        "http://10.0.0.1 http://10.0.0.1/ISEMS/ffopenmppt.log 10.0.0.1",
        "10.1 0x7f.1 http://[::1 a:b:c http://x/#y user:s3cr3t@host http://u:p,s3cr3t@h",
        "http://bücher.example/ http://h\\x",
    ])
}
