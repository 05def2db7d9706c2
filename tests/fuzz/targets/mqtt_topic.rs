//! MQTT topics and filters. The input is `filters LF topic LF node`.

#![no_main]

#[path = "../../../isems-adapters/src/mqtt/topic.rs"]
mod topic;

use isems_core::{Format, NodeId, wire::csv_topic_names};
use isems_fuzz::seeds;
use libfuzzer_sys::fuzz_target;
use topic::{Route, TopicFilter, parse_filters, route};

fuzz_target!(init: seeds::plant(lines), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (filters, topic, node) = (line(), line(), line());

    if let Ok(node) = NodeId::new(node) {
        let format = topic.rsplit('/').next().unwrap_or_default();
        let named = topic.ends_with(&format!("/{node}/{format}"));
        assert_eq!(csv_topic_names(topic, &node), named);
    }
    let filters = match parse_filters(filters) {
        Ok(filters) => filters,
        Err(refusal) => return assert!(refusal.to_string().len() < 2_000),
    };
    assert!(!filters.is_empty());
    for filter in &filters {
        assert_eq!(filter.as_str().parse().as_ref(), Ok(filter));
    }
    check_route(&filters, topic);
});

fn check_route(filters: &[TopicFilter], topic: &str) {
    let (node, format) = topic.rsplit_once('/').unwrap_or(("", topic));
    match route(filters, topic) {
        None => assert!(!matches!(format, "csvlog" | "data.json")),
        Some(Route { format: told, node: named }) => {
            let level = if told == Format::CsvLog { "csvlog" } else { "data.json" };
            assert_eq!(format, level);
            let Some(named) = named else { return };
            assert!(!named.is_empty());
            assert!(format!("/{node}/").contains(&format!("/{named}/")), "{named}");
            assert!(filters.iter().any(|filter| is_meant(filter.as_str(), topic)));
        }
    }
}

/// The matching of MQTT (version 5, section 4.7), told once more.
fn is_meant(filter: &str, topic: &str) -> bool {
    fn levels_match(filter: Option<&str>, topic: Option<&str>) -> bool {
        let (Some(filter), Some(topic)) = (filter, topic) else {
            // `a/#` also means `a`.
            return topic.is_none() && filter.is_none_or(|rest| rest == "#");
        };
        let (wanted, more_wanted) = head_and_rest(filter);
        let (level, more_levels) = head_and_rest(topic);
        wanted == "#"
            || (wanted == "+" || wanted == level) && levels_match(more_wanted, more_levels)
    }
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    let filter = shared.map_or(filter, |(_group, filter)| filter);
    let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    !hidden && levels_match(Some(filter), Some(topic))
}

fn head_and_rest(levels: &str) -> (&str, Option<&str>) {
    levels.split_once('/').map_or((levels, None), |(head, rest)| (head, Some(rest)))
}

fn lines() -> Vec<Vec<u8>> {
    seeds::texts(&[
        "/isems/#\n/isems/ESP-Balkon/csvlog\nESP-Balkon",
        "isems/+/data.json, #\nisems/ESP/data.json\nGärten Süd/Nord",
        "$share/group/isems/+/x/#\nisems/a/x/b/data.json\nb",
        "#\n$SYS/ESP/data.json\nESP",
        "isems/+/+/data.json,isems/ESP/#\nisems/a/b/data.json\na/b",
    ])
}
