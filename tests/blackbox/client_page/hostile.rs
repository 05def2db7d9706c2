//! Nodes that nobody would set up, except to blank the page for all others.

use std::collections::BTreeMap;

/// Each node has so many measurements.
pub(super) const ROWS: i64 = 2;

/// A name that no node may have: the app's router cannot read it.
pub(super) const FORBIDDEN: &str = "100% solar";

/// Names whose own details the client finds, although it does not escape them.
const NAMES: [&str; 47] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "it's \"quoted\" `so`",
    "שלום עולם",
    "\u{202e}drawkcab",
    "☀️🔋 Dach",
    "👩\u{200d}👩\u{200d}👧",
    "a\u{301}",
    "á",
    "a\u{a0}b",
    "a\u{2028}b",
    "a\u{feff}b",
    "\u{fffd}",
    "\u{ff5e}",
    "🌞",
    "Zwei  Leerzeichen",
    "a",
    "a/b",
    "a//b",
    "/",
    "//example.org",
    "http://example.org",
    "latest",
    "latest/latest",
    "a/latest",
    "api",
    "sources",
    "index.html",
    "a?b",
    "?",
    "?all=true",
    "a?b|c^d`e{f}g\"h'i",
    "a+b",
    "c d",
    "c+d",
    "a&b=c",
    "&amp",
    "a|b",
    "{{id}} ${id}",
    "[object Object]",
    "__proto__",
    "constructor",
    "null",
    "0",
    "...",
    ".roof",
    "％41",
];

/// Names that mean something in an address. What the client asks for instead
/// is answered so that it shows this.
const UNREACHABLE: [(&str, &str); 6] = [
    // `/api/measurements/a`
    ("a#b", "nothing"),
    // `/api/measurements/`
    ("#", "nothing"),
    // `/api/latest`
    ("..", "nothing"),
    // `/api/measurements/latest`
    (".", "another"),
    // `/api/measurements/c+d/latest`
    ("a/../c+d", "another"),
    // `/api/measurements/a/b/latest`
    ("a\\b", "another"),
];

/// A healthy node's fields, from the revision on, but for the time.
const FIELDS: &str = "1;TIME;ATmega8_A_1;9940;0;21.002;17.041;12.58;23;100;17;11.7;14.2;7;20;\
                      52.507309;13.458635;880";

/// Nodes with odd fields: a name, and fields that are other than a healthy
/// node's, by their number.
const ODD: [(&str, &[(usize, &str)]); 16] = [
    ("odd nan", &[(5, "nan"), (7, "nan"), (10, "nan"), (12, "-nan"), (17, "nan"), (18, "nan")]),
    ("odd inf", &[(8, "inf"), (9, "-inf"), (10, "inf"), (11, "-inf"), (17, "inf"), (18, "-inf")]),
    ("odd blank", &[(17, ""), (18, " ")]),
    ("odd comma", &[(17, "52,516"), (18, "13,4 ")]),
    ("odd nowhere", &[(17, "91"), (18, "-181")]),
    ("odd south pole", &[(17, "-90"), (18, "180")]),
    ("odd minus zero", &[(10, "-0"), (17, "-0"), (18, "-0.0")]),
    ("odd large", &[(7, "1e308"), (10, "123456789"), (11, "-905"), (12, "-149"), (16, "-1e308")]),
    ("odd small", &[(7, "1e-308"), (10, "5e-324"), (11, "1e-7")]),
    ("odd text", &[(2, "<b>"), (4, "\"\\</script>\u{2028}🔋"), (6, "on")]),
    ("odd status", &[(19, "FFFF")]),
    ("odd short status", &[(19, "0x1")]),
    ("odd status zero", &[(19, "0")]),
    ("odd clockless", &[(3, "99")]),
    ("odd future", &[(3, "4000000000")]),
    (SILENT, &[(4, ""), (19, "010")]),
];

/// A node whose controller says nothing: all that it measures is zero.
const SILENT: &str = "odd silent";

/// A very old node: no status.
const OLD: &str = "odd old";

/// What the details of each hostile node turn out to show.
pub(super) fn outcomes() -> BTreeMap<String, String> {
    let reachable = NAMES.into_iter().chain(ODD.iter().map(|(name, _)| *name));
    let reachable = reachable.map(ToOwned::to_owned).chain([longest(), longest_umlauts()]);
    let unreachable = UNREACHABLE.map(|(name, shows)| (name.to_owned(), shows.to_owned()));
    let itself = |name| (name, "itself".to_owned());
    reachable.chain([OLD.to_owned()]).map(itself).chain(unreachable).collect()
}

/// A log of them all, the newest line of each a minute old.
pub(super) fn log(now: i64) -> String {
    let mut lines = Vec::new();
    for age in (1..=ROWS).rev() {
        let fields = FIELDS.replace("TIME", &(now - age * 60).to_string());
        let names = NAMES.into_iter().chain(UNREACHABLE.map(|(name, _)| name)).chain([FORBIDDEN]);
        let names = names.map(ToOwned::to_owned).chain([longest(), longest_umlauts()]);
        lines.extend(names.map(|name| format!("{name};{fields}\n")));
        let odd = |(name, odd)| format!("{name};{}\n", with(&fields, name, odd, ROWS - age));
        lines.extend(ODD.map(odd));
        lines.push(format!("{OLD};{}\n", fields.strip_suffix(";880").unwrap()));
    }
    lines.concat()
}

/// The fields with the odd ones among them; a time of one's own goes on by a
/// minute each line.
fn with(fields: &str, name: &str, odd: &[(usize, &str)], line: i64) -> String {
    const FIRST: usize = 2;
    const TIME: usize = 3;
    let mut fields: Vec<String> = fields.split(';').map(ToOwned::to_owned).collect();
    if name == SILENT {
        fields[5 - FIRST..=18 - FIRST].fill("0".to_owned());
    }
    for (number, value) in odd {
        fields[number - FIRST] = match *number {
            TIME => (value.parse::<i64>().unwrap() + line * 60).to_string(),
            _ => (*value).to_owned(),
        };
    }
    fields.join(";")
}

fn longest() -> String {
    "x".repeat(128)
}

fn longest_umlauts() -> String {
    "ü".repeat(64)
}
