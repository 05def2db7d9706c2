//! Topics: which to ask for, what a message's topic says.

use std::{fmt, str::FromStr};

use isems_core::Format;

/// The longest topic filter that fits an MQTT packet, in bytes.
const MAX_LENGTH: usize = 65_535;

/// A topic filter such as `/isems/#`, valid by the rules of MQTT. Shared
/// subscriptions (`$share/NAME/FILTER`) are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter {
    text: String,
    /// Where the part begins that topics are compared with.
    start: usize,
}

impl TopicFilter {
    /// The filter as it goes to the broker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the wildcard of this filter stands for in `topic`, up to the level
    /// before the last: a single `+` for its own level, everything else for all
    /// levels from the first wildcard on. `None` if the topic does not match or
    /// nothing remains.
    fn node_in(&self, topic: &str) -> Option<String> {
        let filter: Vec<&str> = self.text.get(self.start..)?.split('/').collect();
        let levels: Vec<&str> = topic.split('/').collect();
        if !matches(&filter, &levels) {
            return None;
        }
        let is_wildcard = |level: &&str| matches!(*level, "+" | "#");
        let first = filter.iter().position(is_wildcard)?;
        let before_format = levels.len() - 1;
        let alone = filter.iter().filter(|level| is_wildcard(level)).count() == 1;
        let end = if alone && filter.get(first) == Some(&"+") {
            before_format.min(first + 1)
        } else {
            before_format
        };
        let node = levels.get(first..end)?.join("/");
        (!node.is_empty()).then_some(node)
    }
}

fn matches(filter: &[&str], levels: &[&str]) -> bool {
    // Topics for the broker's own use are not meant by a leading wildcard.
    let reserved = levels.first().is_some_and(|level| level.starts_with('$'));
    if reserved && matches!(filter.first(), Some(&("+" | "#"))) {
        return false;
    }
    let mut levels = levels.iter();
    for wanted in filter {
        match (*wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == *level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no [`TopicFilter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "topic filter {filter:?}: {problem}; accepted are filters such as /isems/# or isems/+/csvlog, separated by commas"
)]
pub struct TopicFilterError {
    filter: String,
    problem: &'static str,
}

impl FromStr for TopicFilter {
    type Err = TopicFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse =
            |problem| Err(TopicFilterError { filter: text.chars().take(100).collect(), problem });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_LENGTH {
            return refuse("it is longer than 65535 bytes");
        }
        if text.chars().any(char::is_control) {
            return refuse("it has a control character");
        }
        let mut start = 0;
        if let Some(shared) = text.strip_prefix("$share/") {
            match shared.split_once('/') {
                Some((name, filter))
                    if !name.is_empty() && !name.contains(['+', '#']) && !filter.is_empty() =>
                {
                    start = text.len() - filter.len();
                }
                _ => return refuse("a shared subscription is $share/NAME/FILTER"),
            }
        }
        let levels: Vec<&str> = text[start..].split('/').collect();
        for (index, level) in levels.iter().enumerate() {
            if level.contains('#') && (*level != "#" || index + 1 != levels.len()) {
                return refuse("# must stand alone in the last level");
            }
            if level.contains('+') && *level != "+" {
                return refuse("+ must stand alone in its level");
            }
        }
        Ok(Self { text: text.to_owned(), start })
    }
}

/// Topic filters separated by commas, with blanks around them and repetitions
/// removed.
///
/// # Errors
/// The first filter that is not valid, or an empty list.
pub fn parse_filters(text: &str) -> Result<Vec<TopicFilter>, TopicFilterError> {
    let mut filters = Vec::new();
    for part in text.split(',') {
        let filter = part.trim().parse()?;
        if !filters.contains(&filter) {
            filters.push(filter);
        }
    }
    Ok(filters)
}

/// What a message's topic says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// What the payload is.
    pub(super) format: Format,
    /// The node that the topic names.
    pub(super) node: Option<String>,
}

/// Reads a topic; `None` if the message is none of ours.
pub(super) fn route(filters: &[TopicFilter], topic: &str) -> Option<Route> {
    let format = match topic.rsplit('/').next()? {
        "csvlog" => Format::CsvLog,
        "data.json" => Format::TelemetryJson,
        _ => return None,
    };
    let node = filters.iter().find_map(|filter| filter.node_in(topic));
    Some(Route { format, node })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcard_names_the_node_of_telemetry() {
        for (filters, topic, node) in [
            (
                "isems/testdrive/foobar/#",
                "isems/testdrive/foobar/ESP-Akku0/data.json",
                Some("ESP-Akku0"),
            ),
            ("/isems/#", "/isems/ESP/data.json", Some("ESP")),
            ("/isems/#", "/isems/a/b/data.json", Some("a/b")),
            ("/isems/#", "/isems/data.json", None),
            ("/isems/#", "/isems//data.json", None),
            ("/isems/#", "isems/ESP/data.json", None),
            ("/isems/#", "/isems/ESP/data.json/x/data.json", Some("ESP/data.json/x")),
            ("#", "isems/ESP/data.json", Some("isems/ESP")),
            ("#", "$SYS/ESP/data.json", None),
            ("isems/+/data.json", "isems/ESP/data.json", Some("ESP")),
            ("isems/+/sub/data.json", "isems/ESP/sub/data.json", Some("ESP")),
            ("isems/+", "isems/data.json", None),
            ("isems/+/data.json", "isems/a/b/data.json", None),
            ("isems/+/+/data.json", "isems/a/b/data.json", Some("a/b")),
            ("isems/+/x/#", "isems/a/x/b/data.json", Some("a/x/b")),
            ("isems/ESP/data.json", "isems/ESP/data.json", None),
            ("$share/group/isems/#", "isems/ESP/data.json", Some("ESP")),
            ("other/#,isems/#", "isems/ESP/data.json", Some("ESP")),
            ("isems/ESP/data.json,isems/#", "isems/ESP/data.json", Some("ESP")),
        ] {
            let filters = parse_filters(filters).expect(filters);
            let expected = Route { format: Format::TelemetryJson, node: node.map(String::from) };
            assert_eq!(route(&filters, topic), Some(expected), "{filters:?} {topic}");
        }
    }

    #[test]
    fn the_last_level_names_the_format() {
        let filters = parse_filters("/isems/#").expect("valid");
        for (topic, format) in [
            ("/isems/ESP/csvlog", Some(Format::CsvLog)),
            ("csvlog", Some(Format::CsvLog)),
            ("/isems/ESP/data.json", Some(Format::TelemetryJson)),
            ("/isems/ESP/csvlog/", None),
            ("/isems/ESP/CSVLOG", None),
            ("/isems/ESP/xcsvlog", None),
            ("/isems/csvlog/x", None),
            ("/isems/ESP", None),
            ("", None),
        ] {
            let found = route(&filters, topic).map(|route| route.format);
            assert_eq!(found, format, "{topic}");
        }
    }

    #[test]
    fn filters_follow_the_rules_of_mqtt() {
        for (text, valid) in [
            ("/isems/#", true),
            ("#", true),
            ("+", true),
            ("/", true),
            ("+/+/csvlog", true),
            ("a b/ü", true),
            ("$share/group/isems/#", true),
            ("", false),
            ("isems#", false),
            ("isems/#/csvlog", false),
            ("isems/a+/csvlog", false),
            ("isems/\0", false),
            ("$share/group", false),
            ("$share//isems/#", false),
            ("$share/+/isems/#", false),
            ("$share/group/", false),
        ] {
            assert_eq!(text.parse::<TopicFilter>().is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_list_is_trimmed_and_free_of_repetitions() {
        let filters = parse_filters(" a/# , b/+,a/#").expect("valid");
        let texts: Vec<&str> = filters.iter().map(TopicFilter::as_str).collect();
        assert_eq!(texts, ["a/#", "b/+"]);
    }

    #[test]
    fn a_mistake_in_a_list_names_the_filter() {
        let error = parse_filters("a/#, b/#/c").expect_err("invalid");
        assert!(error.to_string().contains("\"b/#/c\""), "{error}");
    }
}
