//! From the old collector's wall time to UTC.

use std::collections::HashMap;

use isems_core::{NodeId, Timestamp};
use jiff::{
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::cell::Cell;

/// What the old database says of a row's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldTime {
    /// Wall time, without offset.
    Wall(DateTime),
    /// A bare number, which nobody can have meant but as Unix seconds.
    Unix(i64),
}

impl OldTime {
    /// Reads `2018-06-30 15:16:15.000000` (the fraction may be absent, the
    /// blank may be a `T`) or a number of Unix seconds. Fractions are cut off:
    /// nodes report whole seconds.
    pub(super) fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => None,
            Cell::Integer(seconds) => Some(Self::Unix(seconds)),
            #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
            Cell::Real(seconds) => seconds.is_finite().then(|| Self::Unix(seconds.floor() as i64)),
            Cell::Bytes(bytes) => wall(bytes.trim_ascii()).map(Self::Wall),
        }
    }
}

fn wall(text: &[u8]) -> Option<DateTime> {
    let (whole, rest) = text.split_at_checked("2018-06-30 15:16:15".len())?;
    match rest {
        [] => {}
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    let separators = [whole[4], whole[7], whole[13], whole[16]];
    if separators != *b"--::" || !matches!(whole[10], b' ' | b'T') {
        return None;
    }
    let two = |at: usize| i8::try_from(digits(&whole[at..at + 2])?).ok();
    DateTime::new(digits(&whole[..4])?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?, 0).ok()
}

/// At most four digits as a number.
fn digits(text: &[u8]) -> Option<i16> {
    text.iter().try_fold(0, |number: i16, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        Some(number * 10 + i16::from(digit))
    })
}

/// Where a wall time lies with respect to changes of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hour {
    /// In an hour that occurs once.
    Plain,
    /// In a repeated hour, taken for its first pass.
    Summer,
    /// In a repeated hour, taken for its second pass.
    Winter,
    /// In an hour that was skipped.
    Skipped,
}

/// Converts wall times row by row, in the order of the rows' ids.
#[derive(Debug)]
pub(super) struct LocalTimes<'z> {
    zone: &'z TimeZone,
    /// The latest wall time so far, by node and by the moment at which the
    /// repeated hour begins anew: a node's years, not its rows.
    latest: HashMap<(NodeId, i64), DateTime>,
}

impl<'z> LocalTimes<'z> {
    pub(super) fn new(zone: &'z TimeZone) -> Self {
        Self { zone, latest: HashMap::new() }
    }

    /// `None` for the ends of the calendar, where UTC may lie beyond it.
    ///
    /// A repeated time is summer time unless an earlier row of the node has a
    /// later wall time in that hour: the node's log is in order, so the clock
    /// went back between the two.
    pub(super) fn convert(&mut self, node: &NodeId, wall: DateTime) -> Option<(Timestamp, Hour)> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        let (offset, hour) = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, Hour::Plain),
            AmbiguousOffset::Gap { before, .. } => (before, Hour::Skipped),
            AmbiguousOffset::Fold { before, after } => {
                if self.went_back(node, wall, before.to_timestamp(wall).ok()?) {
                    (after, Hour::Winter)
                } else {
                    (before, Hour::Summer)
                }
            }
        };
        let at = offset.to_timestamp(wall).ok()?;
        Some((Timestamp::from_unix(at.as_second()), hour))
    }

    fn went_back(&mut self, node: &NodeId, wall: DateTime, first_pass: jiff::Timestamp) -> bool {
        let clock_change = self.zone.following(first_pass).next();
        let clock_change = clock_change.map_or(0, |change| change.timestamp().as_second());
        let latest = self.latest.entry((node.clone(), clock_change)).or_insert(wall);
        let went_back = *latest > wall;
        *latest = wall.max(*latest);
        went_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn wall(text: &str) -> DateTime {
        match OldTime::read(Cell::Bytes(text.as_bytes())) {
            Some(OldTime::Wall(wall)) => wall,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    fn utc(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_unix(at.as_second())
    }

    /// Converts rows in the order of their ids and compares each.
    fn check(rows: &[(&str, &str, &str, Hour)]) {
        let zone = berlin();
        let mut times = LocalTimes::new(&zone);
        for &(node, local, at, hour) in rows {
            let node = NodeId::new(node).unwrap();
            let converted = times.convert(&node, wall(local));
            assert_eq!(converted, Some((utc(at), hour)), "{node} {local}");
        }
    }

    #[test]
    fn summer_and_winter_have_their_offsets() {
        check(&[
            ("a", "2018-06-30 15:16:15.000000", "2018-06-30T13:16:15Z", Hour::Plain),
            ("a", "2018-12-24T18:00:00", "2018-12-24T17:00:00Z", Hour::Plain),
            ("a", "2020-02-29 23:59:59", "2020-02-29T22:59:59Z", Hour::Plain),
            ("a", "1970-01-01 01:01:39", "1970-01-01T00:01:39Z", Hour::Plain),
        ]);
    }

    #[test]
    fn the_skipped_hour_in_spring_is_moved_on() {
        check(&[
            ("a", "2021-03-28 01:59:59", "2021-03-28T00:59:59Z", Hour::Plain),
            ("a", "2021-03-28 02:30:00", "2021-03-28T01:30:00Z", Hour::Skipped),
            ("a", "2021-03-28 03:00:00", "2021-03-28T01:00:00Z", Hour::Plain),
        ]);
    }

    #[test]
    fn a_repeated_hour_is_summer_until_the_wall_time_goes_back() {
        check(&[
            ("a", "2021-10-31 01:59:59", "2021-10-30T23:59:59Z", Hour::Plain),
            ("a", "2021-10-31 02:00:00", "2021-10-31T00:00:00Z", Hour::Summer),
            ("a", "2021-10-31 02:59:00", "2021-10-31T00:59:00Z", Hour::Summer),
            ("a", "2021-10-31 02:00:30", "2021-10-31T01:00:30Z", Hour::Winter),
            ("a", "2021-10-31 02:58:30", "2021-10-31T01:58:30Z", Hour::Winter),
            ("a", "2021-10-31 02:59:30", "2021-10-31T00:59:30Z", Hour::Summer),
            ("a", "2021-10-31 03:00:00", "2021-10-31T02:00:00Z", Hour::Plain),
        ]);
    }

    #[test]
    fn only_the_second_pass_alone_reads_as_summer() {
        check(&[
            ("a", "2021-10-31 02:10:00", "2021-10-31T00:10:00Z", Hour::Summer),
            ("a", "2021-10-31 02:20:00", "2021-10-31T00:20:00Z", Hour::Summer),
        ]);
    }

    #[test]
    fn nodes_and_years_do_not_influence_each_other() {
        check(&[
            ("a", "2021-10-31 02:50:00", "2021-10-31T00:50:00Z", Hour::Summer),
            ("b", "2021-10-31 02:10:00", "2021-10-31T00:10:00Z", Hour::Summer),
            ("a", "2022-10-30 02:10:00", "2022-10-30T00:10:00Z", Hour::Summer),
            ("a", "2021-10-31 02:10:00", "2021-10-31T01:10:00Z", Hour::Winter),
        ]);
    }

    #[test]
    fn a_fixed_offset_repeats_and_skips_nothing() {
        let zone = TimeZone::UTC;
        let mut times = LocalTimes::new(&zone);
        let node = NodeId::new("a").unwrap();
        for local in ["2021-10-31 02:50:00", "2021-10-31 02:10:00"] {
            let (_, hour) = times.convert(&node, wall(local)).unwrap();
            assert_eq!(hour, Hour::Plain, "{local}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "gestern",
            "2018-06-30",
            "2018-06-30 15:16",
            "2018-02-30 15:16:15",
            "2018-06-30 24:00:00",
            "2018-06-30 15:16:15.",
            "2018-06-30 15:16:15.x",
            "2018-06-30 15:16:15+02:00",
            "2018/06/30 15:16:15",
            "2018-06-30_15:16:15",
            "2018-06-3ü 15:16:15",
            "-018-06-30 15:16:15",
        ] {
            let read = OldTime::read(Cell::Bytes(text.as_bytes()));
            assert_eq!(read, None, "{text:?}");
        }
        assert_eq!(OldTime::read(Cell::Null), None);
        assert_eq!(OldTime::read(Cell::Real(f64::NAN)), None);
    }

    #[test]
    fn a_bare_number_is_unix_seconds() {
        let unix = Some(OldTime::Unix(1_530_364_575));
        assert_eq!(OldTime::read(Cell::Integer(1_530_364_575)), unix);
        assert_eq!(OldTime::read(Cell::Real(1_530_364_575.9)), unix);
    }
}
