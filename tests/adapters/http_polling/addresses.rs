//! What may stand in `ISEMS_ROUTER_IPS`.

use isems_adapters::http_polling::{NodeAddress, parse_addresses};
use proptest::prelude::*;

#[test]
fn an_address_means_the_routers_log_and_a_url_itself() {
    for (entry, url) in [
        ("10.0.0.1", "http://10.0.0.1/ISEMS/ffopenmppt.log"),
        ("10.0.0.1:8080", "http://10.0.0.1:8080/ISEMS/ffopenmppt.log"),
        ("10.0.0.1:80", "http://10.0.0.1/ISEMS/ffopenmppt.log"),
        ("dach.olsr", "http://dach.olsr/ISEMS/ffopenmppt.log"),
        ("Dach-2:81", "http://dach-2:81/ISEMS/ffopenmppt.log"),
        ("fd00::1", "http://[fd00::1]/ISEMS/ffopenmppt.log"),
        ("::1", "http://[::1]/ISEMS/ffopenmppt.log"),
        ("[fd00::1]", "http://[fd00::1]/ISEMS/ffopenmppt.log"),
        ("[fd00::1]:8080", "http://[fd00::1]:8080/ISEMS/ffopenmppt.log"),
        ("http://10.0.0.9/csv.log", "http://10.0.0.9/csv.log"),
        ("https://dach.example/log?n=1", "https://dach.example/log?n=1"),
        ("HTTP://[fd00::1]:81/x", "http://[fd00::1]:81/x"),
        ("http://10.0.0.1", "http://10.0.0.1/ISEMS/ffopenmppt.log"),
        ("http://10.0.0.1/", "http://10.0.0.1/"),
    ] {
        let node: NodeAddress = entry.parse().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(node.url().as_str(), url, "{entry}");
        assert_eq!(node.to_string(), url, "{entry}");
    }
}

#[test]
fn a_mistake_is_named_with_what_to_do() {
    for (entry, said) in [
        ("10.0.0.256", "is no node address"),
        ("10.1", "four numbers"),
        ("0x7f.0.0.1", "four numbers"),
        ("10.0.0.1:0", "port from 1 to 65535"),
        ("10.0.0.1:99999", "port from 1 to 65535"),
        ("10.0.0.1:+80", "port from 1 to 65535"),
        ("10.0.0.1:", "port from 1 to 65535"),
        (":80", "no host"),
        ("10.0.0.9/csv.log", "full URL, `http://10.0.0.9/csv.log`"),
        ("fe80::1%eth0", "zones"),
        ("fd00::1:zz", "neither an IPv6 address"),
        ("[fd00::1", "without `]`"),
        ("[10.0.0.1]", "no IPv6 address between"),
        ("[::1]x", "something other than a port"),
        ("dach?x", "is no node address"),
        ("dach#x", "is no node address"),
        ("da<ch", "is no node address"),
        ("ftp://10.0.0.1/", "neither an http://"),
        ("http://", "is no URL"),
        ("http://10.0.0.1/x#y", "after `#`"),
        ("http://10.0.0.1:0/x", "port 0"),
    ] {
        let mistake = entry.parse::<NodeAddress>().expect_err(entry).to_string();
        assert!(mistake.contains(said), "{entry}: {mistake}");
        assert!(mistake.contains(entry), "{entry}: {mistake}");
    }
}

#[test]
fn lists_are_separated_by_commas_and_blanks_and_merge_duplicates() {
    let text = " 10.0.0.1,10.0.0.2  ,, http://10.0.0.1/ISEMS/ffopenmppt.log\n10.0.0.3\t";
    let nodes = parse_addresses(text).unwrap();
    let shown: Vec<_> = nodes.iter().map(|node| node.url().host_str()).collect();
    let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(Some);
    assert_eq!(shown, hosts);
    assert_eq!(parse_addresses(" , ").unwrap(), []);
}

#[test]
fn every_mistake_of_a_list_is_told() {
    let mistakes = parse_addresses("10.0.0.1:x, 10.0.0.2, ftp://h/").unwrap_err();
    assert_eq!(mistakes.len(), 2);
    assert!(mistakes[0].to_string().contains("10.0.0.1:x"));
    assert!(mistakes[1].to_string().contains("ftp://h/"));
}

#[test]
fn two_passwords_for_one_node_are_a_mistake() {
    let mistakes = parse_addresses("http://u:eins@h/x http://u:zwei@h/x").unwrap_err();
    assert_eq!(mistakes[0].to_string(), "`http://h/x` is named twice with different credentials");
}

#[test]
fn credentials_are_kept_for_the_request_and_never_shown() {
    let node: NodeAddress = "http://anna:geheim@10.0.0.1/x".parse().unwrap();
    assert_eq!(node.url().password(), Some("geheim"));
    let shown = format!("{node} {node:?} {:?}", node.source_id());
    assert!(!shown.contains("geheim") && !shown.contains("anna"), "{shown}");
    assert_eq!(node.source_id().as_str(), "http://10.0.0.1/x");
}

#[test]
fn mistakes_show_no_credentials() {
    for list in [
        "http://anna:geheim@10.0.0.1:x/",
        "http://anna:gehei,m@10.0.0.1/",
        "anna:geheim@10.0.0.1",
        "ftp://anna:geheim@10.0.0.1/",
        "http://anna:ge@heim@:0/",
        "anna:geheim@http://10.0.0.1/",
        "http://anna:geheim@h/x http://anna:geheim2@h/x",
    ] {
        for mistake in parse_addresses(list).unwrap_err() {
            let shown = format!("{mistake} {mistake:?}");
            assert!(!shown.contains("gehei"), "{list}: {shown}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse_addresses(&text);
    }

    #[test]
    fn what_is_shown_names_the_same_node_again(text in "[a-z0-9.:/\\[\\]-]{1,30}") {
        if let Ok(node) = text.parse::<NodeAddress>() {
            let again: NodeAddress = node.to_string().parse().unwrap();
            prop_assert_eq!(again, node);
        }
    }
}
