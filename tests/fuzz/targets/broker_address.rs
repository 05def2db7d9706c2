//! The address of a broker. The input is `address LF user LF password`.

#![no_main]

#[path = "../../../isems-adapters/src/mqtt/address.rs"]
mod address;

use address::BrokerAddress;
use isems_fuzz::seeds;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fuzz_target!(init: seeds::plant(lines), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (address, user, password) = (line(), line(), line());

    let Ok(address) = address.parse::<BrokerAddress>() else { return };
    assert!(!address.host().is_empty() && address.port() > 0);
    assert_eq!(address.source_id().as_str(), address.to_string());
    let shown: BrokerAddress = address.to_string().parse().expect("what is shown is an address");
    assert_eq!(place(&shown), place(&address));
    assert_eq!((shown.user(), shown.password()), (None, None), "no login is shown");

    if !user.is_empty() && user.len().max(password.len()) <= 60_000 {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let shown = address.to_string();
        let (scheme, rest) = shown.split_once("://").expect("a scheme is shown");
        let login = format!("{scheme}://{}:{}@{rest}", encoded(user), encoded(password));
        let address: BrokerAddress = login.parse().expect("any login can be written");
        assert_eq!(place(&address), place(&shown.parse().expect("as before")));
        let password = Some(password).filter(|password| !password.is_empty());
        assert_eq!((address.user(), address.password()), (Some(user), password));
    }
});

fn place(address: &BrokerAddress) -> (bool, &str, u16) {
    (address.is_tls(), address.host(), address.port())
}

fn lines() -> Vec<Vec<u8>> {
    seeds::texts(&[
        "broker\nanna\ngeheim",
        "Broker.Example:1884\na@b:c/d%\np@ss:w/rd#1?",
        "mqtts://[fd00::1]:1\nrü\n",
        "MQTT://anna:100%@10.0.0.1/",
        "fd00::1",
        "mqtt://a%40b:p%3Aq%2Fr%C3%BC@host:65535",
    ])
}
