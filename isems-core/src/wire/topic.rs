//! What an MQTT topic says of a CSV payload.

use crate::NodeId;

/// Whether a topic such as `/isems/NODE/csvlog` names `node`: without its last
/// level it must end with `/` and the node's id, so that a broker can restrict
/// who writes as whom. Node ids may hold `/`.
#[must_use]
pub fn csv_topic_names(topic: &str, node: &NodeId) -> bool {
    topic
        .rsplit_once('/')
        .and_then(|(levels, _format)| levels.strip_suffix(node.as_str()))
        .is_some_and(|before| before.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_the_node_before_its_last_level() {
        for (topic, node, names) in [
            ("/isems/ESP-Balkon/csvlog", "ESP-Balkon", true),
            ("/isems/Gärten Süd/Nord/csvlog", "Gärten Süd/Nord", true),
            ("/isems/Gärten Süd/Nord/csvlog", "Nord", true),
            ("/isems/ESP-Balkon/csvlog", "Balkon", false),
            ("/isems/other/csvlog", "ESP-Balkon", false),
            ("ESP-Balkon/csvlog", "ESP-Balkon", false),
            ("/ESP-Balkon/csvlog", "ESP-Balkon", true),
            ("csvlog", "csvlog", false),
            ("", "x", false),
        ] {
            let node = NodeId::new(node).unwrap();
            assert_eq!(csv_topic_names(topic, &node), names, "{topic} names {node}");
        }
    }
}
