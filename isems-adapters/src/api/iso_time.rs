//! Times as clients read them.

use std::fmt;

use isems_core::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};

/// The first second of the year 1 and the last moment that jiff can hold with
/// every offset; no believed time lies outside, but no stored number may panic
/// the server.
const SHOWN: std::ops::RangeInclusive<i64> = -62_135_510_400..=253_402_207_200;

/// A moment in ISO form with the numeric offset of a zone, whole seconds:
/// `2018-06-30T15:16:15+02:00`.
#[derive(Clone, Copy)]
pub(super) struct IsoTime<'a> {
    pub(super) time: Timestamp,
    pub(super) zone: &'a TimeZone,
}

impl fmt::Display for IsoTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_unix().clamp(*SHOWN.start(), *SHOWN.end());
        let moment = jiff::Timestamp::from_second(seconds).map_err(|_| fmt::Error)?;
        // ISO offsets have no seconds; some zones of a century ago did.
        let minutes = self.zone.to_offset(moment).seconds() / 60;
        let offset = Offset::from_seconds(minutes * 60).map_err(|_| fmt::Error)?;
        let local = offset.to_datetime(moment);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{:02}:{:02}",
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second(),
            if minutes < 0 { '-' } else { '+' },
            minutes.abs() / 60,
            minutes.abs() % 60,
        )
    }
}

impl Serialize for IsoTime<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_zone_with_its_offset_at_that_moment() {
        for (zone, unix, shown) in [
            ("Europe/Berlin", 1_530_364_575, "2018-06-30T15:16:15+02:00"),
            ("Europe/Berlin", 1_735_689_600, "2025-01-01T01:00:00+01:00"),
            // The hour that the autumn change repeats: two moments, one wall time.
            ("Europe/Berlin", 1_761_438_600, "2025-10-26T02:30:00+02:00"),
            ("Europe/Berlin", 1_761_442_200, "2025-10-26T02:30:00+01:00"),
            ("UTC", 0, "1970-01-01T00:00:00+00:00"),
            ("America/St_Johns", 1_735_689_600, "2024-12-31T20:30:00-03:30"),
            ("UTC", i64::MAX, "9999-12-30T22:00:00+00:00"),
            ("UTC", i64::MIN, "0001-01-02T00:00:00+00:00"),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            let time = Timestamp::from_unix(unix);
            assert_eq!(IsoTime { time, zone: &zone }.to_string(), shown);
        }
    }

    #[test]
    fn an_offset_with_seconds_is_shown_in_minutes_at_the_same_moment() {
        let zone = TimeZone::fixed(Offset::from_seconds(-(44 * 60 + 30)).unwrap());
        let time = Timestamp::from_unix(3_600);
        assert_eq!(IsoTime { time, zone: &zone }.to_string(), "1970-01-01T00:16:00-00:44");
    }
}
