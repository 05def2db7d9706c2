//! Who takes part in the demo: eight nodes, each with a story that an operator
//! would want to notice.

use isems_core::{
    Timestamp,
    time::{DAY, MINUTE},
};

use super::{
    controller::Board,
    node::{Fault, Node, Persona},
    noise::Noise,
    sky::Sky,
};

/// How much history the nodes have when the demo begins, in seconds: a router's
/// log then holds about 3,540 lines, near the 3,660 at which it is rotated.
pub(super) const HISTORY: i64 = 5 * DAY / 2;

const HOUR: i64 = 60 * MINUTE;
/// When the last line of the lively node is a day old, in seconds after the demo
/// begins: time enough to open the page.
const SILENT_AFTER: i64 = 75;
/// When its script is started again, in seconds after the demo begins.
const BACK_AFTER: i64 = 100;
/// What makes the noise of each its own. The last is chosen with care: the
/// lively node's battery is read high when it is back, and low a minute later.
const SEEDS: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 16];
const BERLIN_WEATHER: Noise = Noise::new(0x0030_0527);
const ALPINE_WEATHER: Noise = Noise::new(0x0047_4211);

/// The fleet as it is at `now`, each node with [`HISTORY`] still to be lived.
pub(super) fn fleet(now: Timestamp) -> Vec<(Persona, Node)> {
    personas(now)
        .into_iter()
        .zip(SEEDS)
        .map(|(persona, seed)| {
            // The watchdog of an ESP32 cuts its power every 15 hours: not just
            // when the demo begins.
            let history = match persona.board {
                Board::Router => HISTORY,
                Board::Esp32 => HISTORY - 7 * HOUR,
            };
            let node = Node::new(persona.clone(), seed, now.plus(-history));
            (persona, node)
        })
        .collect()
}

fn personas(now: Timestamp) -> Vec<Persona> {
    let ago = |seconds: i64| now.plus(-seconds);
    vec![
        Persona {
            story: "healthy: a large panel on a flat roof, battery in the attic",
            ..router("Rathaus-Dach", berlin(52.507_31, 13.458_64))
        },
        Persona {
            story: "running low: leaves cover its panel, each hour takes more than it brings",
            capacity: 26.0,
            module: 20.0,
            clean: 0.004,
            // 0.3 % an hour: below 30 % since last night, a few hours more to
            // the disconnect.
            load: 0.93,
            charge: 0.43,
            ..router("Kleingarten Abendruh", berlin(52.474_12, 13.421_87))
        },
        Persona {
            story: "lost its temperature sensor yesterday",
            capacity: 40.0,
            module: 80.0,
            load: 1.9,
            charge: 0.93,
            fault: Fault::SensorLostAt(ago(20 * HOUR)),
            ..router("Werkhof-Giebel", berlin(52.496_04, 13.377_92))
        },
        Persona {
            story: "silent for more than a day: its script stopped, its web server still answers",
            capacity: 100.0,
            module: 150.0,
            load: 3.4,
            charge: 0.81,
            fault: Fault::ScriptStoppedAt(ago(29 * HOUR)),
            ..router("Funkmast Süd", berlin(52.458_63, 13.385_41))
        },
        Persona {
            story: "its charge controller does not answer since last night: the zeros are no measurements",
            capacity: 36.0,
            module: 60.0,
            load: 1.6,
            charge: 0.96,
            fault: Fault::ControllerSilentAt(ago(9 * HOUR)),
            ..router("Bootshaus-Steg", berlin(52.489_77, 13.491_35))
        },
        Persona {
            story: "an ESP32: measures every 15 seconds, serves its last 5 lines, keeps no history",
            board: Board::Esp32,
            shelter: 0.6,
            capacity: 7.2,
            module: 10.0,
            load: 0.15,
            charge: 0.9,
            ..router("Balkon-ESP", berlin(52.516_31, 13.402_75))
        },
        Persona {
            story: "high in the Alps: thin air, strong sun, cold nights",
            sky: Sky {
                latitude: 47.433_62,
                longitude: 11.022_48,
                altitude: 1_387.0,
                weather: ALPINE_WEATHER,
            },
            shelter: 0.75,
            ..router("Höllentalhütte", berlin(0.0, 0.0))
        },
        // Without light nothing of it depends on the season or the hour: what
        // the demo promises of its minutes holds at any time.
        Persona {
            story: "its panel is unplugged. Watch it: silent after a minute, back after two, low after three",
            shelter: 0.85,
            capacity: 20.0,
            module: 30.0,
            clean: 0.0,
            load: 2.4,
            charge: 0.907,
            fault: Fault::ScriptPaused {
                since: now.plus(SILENT_AFTER - DAY),
                until: now.plus(BACK_AFTER),
            },
            ..router("Imkerei Britz", berlin(52.448_76, 13.437_19))
        },
    ]
}

const fn berlin(latitude: f64, longitude: f64) -> Sky {
    Sky { latitude, longitude, altitude: 40.0, weather: BERLIN_WEATHER }
}

/// A well-built router node, to be varied.
const fn router(name: &'static str, sky: Sky) -> Persona {
    Persona {
        name,
        story: "",
        board: Board::Router,
        sky,
        shelter: 0.65,
        capacity: 60.0,
        module: 100.0,
        clean: 1.0,
        load: 2.2,
        charge: 0.88,
        fault: Fault::None,
    }
}
