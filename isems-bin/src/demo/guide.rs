//! What the demo says once there is something to see.

use std::{fmt::Write as _, net::SocketAddr};

use super::{POLL_INTERVAL, host::Entry};

/// What to open, who takes part, how to end.
pub(super) fn text(api: SocketAddr, fleet: &[Entry], has_app: bool) -> String {
    let mut text = format!(
        "The demo runs: {nodes} simulated solar nodes, polled every {seconds} seconds.\n\nOpen\n",
        nodes = fleet.len(),
        seconds = POLL_INTERVAL.as_secs(),
    );
    let mut line = |path: &str, what: &str| {
        let url = format!("http://{api}{path}");
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {url:<58}  {what}");
    };
    if has_app {
        line("/dashboard/", "the page: every node, what is wrong first");
        line("/", "isems-app");
    } else {
        line("/", "the page: every node, what is wrong first");
    }
    line("/measurements/latest", "the newest measurement of each node");
    if let Some(first) = fleet.first() {
        let path = format!("/measurements/{}/latest", first.name);
        line(&path, "one node's last day");
    }
    line("/sources", "how the polling goes");
    let _ = write!(
        text,
        "Or\n  curl -s 'http://{api}/measurements/latest' | python3 -m json.tool\n\nNodes\n"
    );
    for entry in fleet {
        let _ = writeln!(
            text,
            "  {name:<20}  {story}\n  {nothing:<20}  {url}",
            name = entry.name,
            story = entry.story,
            nothing = "",
            url = entry.url(),
        );
    }
    text.push_str("\nCtrl-C ends it; nothing is left behind.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_names_the_api_and_every_node() {
        let fleet = [
            Entry {
                name: "Dach",
                story: "healthy",
                address: "127.0.0.1:4000".parse().unwrap(),
                path: "/ISEMS/ffopenmppt.log",
            },
            Entry {
                name: "Süd",
                story: "silent",
                address: "127.0.0.1:4001".parse().unwrap(),
                path: "/csv.log",
            },
        ];
        let text = text("127.0.0.1:5000".parse().unwrap(), &fleet, false);
        for expected in [
            "2 simulated solar nodes",
            "http://127.0.0.1:5000/ ",
            "http://127.0.0.1:5000/measurements/latest ",
            "http://127.0.0.1:5000/measurements/Dach/latest ",
            "curl -s 'http://127.0.0.1:5000/measurements/latest'",
            "  Dach                  healthy\n",
            "http://127.0.0.1:4000/ISEMS/ffopenmppt.log\n",
            "  Süd                   silent\n",
            "http://127.0.0.1:4001/csv.log\n",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        assert!(!text.contains("isems-app"), "{text}");
    }

    #[test]
    fn beside_isems_app_the_page_is_at_the_dashboard() {
        let text = text("127.0.0.1:5000".parse().unwrap(), &[], true);
        for expected in ["http://127.0.0.1:5000/dashboard/ ", "http://127.0.0.1:5000/ "] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
    }
}
