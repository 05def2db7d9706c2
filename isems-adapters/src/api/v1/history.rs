//! A node's history in buckets.

use std::ops::RangeInclusive;

use isems_core::{Bucket, Field, HOUR, HistoryRange, NodeId, Spread, Timestamp, time::DAY};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::{node_view, params::Parameters, problem::Fault};
use crate::api::iso_time::IsoTime;

/// Without a wish there are at most so many buckets: a point for each few
/// pixels of a chart.
const AIM: i64 = 500;

/// More buckets are nobody's wish.
const MOST: i64 = 10_000;

/// Buckets that are not whole hours are made of the single measurements, which
/// takes its time.
const MOST_RAW: i64 = 31 * DAY;

/// What a client may choose as the length of a bucket, in seconds.
const STEPS: RangeInclusive<i64> = 1..=3_660 * DAY;

/// The lengths that the server chooses from; after these whole years of 365
/// days.
const ROUND: [i64; 9] = [60, 300, 900, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY];

/// The part of a history that `from` and `to` name.
pub(super) fn range(parameters: &Parameters) -> Result<HistoryRange, Fault> {
    Ok(HistoryRange { from: parameters.time("from")?, until: parameters.time("to")? })
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    from: Timestamp,
    to: Timestamp,
    /// The length of a bucket in seconds.
    pub(super) step: i64,
    /// Whether the client asked for that length.
    step_is_wish: bool,
    fields: Vec<Field>,
}

impl Asked {
    /// The last 24 hours in round steps with the fields that nodes show, unless
    /// asked otherwise.
    pub(super) fn of(parameters: &Parameters, now: Timestamp) -> Result<Self, Fault> {
        let HistoryRange { from, until } = range(parameters)?;
        let to = until.unwrap_or(now);
        let from = from.unwrap_or(to.plus(-DAY));
        let step = parameters.integer("step", STEPS)?;
        let fields = parameters.fields("fields")?;
        Ok(Self {
            from,
            to,
            step: step.unwrap_or_else(|| round_step(from, to)),
            step_is_wish: step.is_some(),
            fields: fields.unwrap_or_else(|| node_view::shown().collect()),
        })
    }

    /// The same, of a node whose measurements were pruned until then: where
    /// some are missing, hours know more than single measurements. Who asks for
    /// a length gets it.
    pub(super) fn of_what_is_left(mut self, pruned_until: Option<Timestamp>) -> Self {
        let begin = self.from.floor_to(self.step);
        if !self.step_is_wish && pruned_until.is_some_and(|until| begin <= until) {
            self.step = self.step.max(HOUR);
        }
        self
    }

    /// Bytes of memory that the buckets and their JSON take at most, also of what
    /// is left.
    pub(super) fn room(&self) -> usize {
        let buckets = buckets(self.from, self.to, self.step).min(MOST);
        size_of::<Bucket>().saturating_mul(2) * usize::try_from(buckets).unwrap_or(0)
    }

    /// The range widened to whole buckets, since half a bucket misleads.
    pub(super) fn whole_buckets(&self) -> Result<HistoryRange, Fault> {
        let Self { from, to, step, .. } = *self;
        let count = buckets(from, to, step);
        let long = to.since(from) > MOST_RAW;
        if count > MOST {
            let least = to.since(from) / (MOST - 1) + 1;
            let unit = if long { HOUR } else { 1 };
            let least = (least + unit - 1) / unit * unit;
            return Err(Fault::bad_request(format!(
                "That would be {count} buckets, at most {MOST} are possible: choose a `step` of \
                 at least {least} seconds or a shorter time"
            )));
        }
        if step % HOUR != 0 && long {
            let days = MOST_RAW / DAY;
            return Err(Fault::bad_request(format!(
                "For more than {days} days `step` must be whole hours (3600, 7200, …)"
            )));
        }
        let until = to.floor_to(step).plus(step - 1);
        Ok(HistoryRange { from: Some(from.floor_to(step)), until: Some(until) })
    }
}

/// How many buckets of `step` seconds there are at most.
fn buckets(from: Timestamp, to: Timestamp, step: i64) -> i64 {
    (to.floor_to(step).since(from.floor_to(step)) / step + 1).max(0)
}

/// The shortest round step that makes few enough buckets.
fn round_step(from: Timestamp, to: Timestamp) -> i64 {
    let few = |step: &i64| buckets(from, to, *step) <= AIM;
    let years = || (1..).map(|years| years * 365 * DAY);
    ROUND.into_iter().chain(years()).find(few).unwrap_or(DAY)
}

/// The history as JSON, with times in `zone`.
pub(super) fn json(
    node: &NodeId,
    asked: &Asked,
    buckets: &[Bucket],
    zone: &TimeZone,
) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Document<'a> {
        node: &'a str,
        from: IsoTime<'a>,
        to: IsoTime<'a>,
        step: i64,
        fields: Vec<&'static str>,
        buckets: Vec<BucketView<'a>>,
    }
    let iso = |time| IsoTime { time, zone };
    let fields = &asked.fields;
    serde_json::to_vec(&Document {
        node: node.as_str(),
        from: iso(asked.from),
        to: iso(asked.to),
        step: asked.step,
        fields: fields.iter().map(|field| field.name()).collect(),
        buckets: buckets
            .iter()
            .map(|bucket| BucketView {
                begin: iso(bucket.begin),
                count: bucket.count,
                status: format!("0x{:03x}", bucket.status.bits()),
                values: Values { bucket, fields },
            })
            .collect(),
    })
}

#[derive(Serialize)]
struct BucketView<'a> {
    begin: IsoTime<'a>,
    count: u64,
    status: String,
    values: Values<'a>,
}

/// The asked fields of which something was measured.
struct Values<'a> {
    bucket: &'a Bucket,
    fields: &'a [Field],
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = |field: &Field| {
            let spread = self.bucket.get(*field)?;
            Some((field.name(), SpreadView::of(spread)))
        };
        serializer.collect_map(self.fields.iter().filter_map(known))
    }
}

#[derive(Serialize)]
struct SpreadView {
    min: f64,
    mean: f64,
    max: f64,
}

impl SpreadView {
    fn of(spread: &Spread) -> Self {
        // Sums are kept in millionths; further digits mean nothing.
        let mean = (spread.mean() * 1e6).round() / 1e6;
        Self { min: spread.min(), mean, max: spread.max() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_748_768_945);

    fn asked(query: &str) -> Asked {
        let known = &["from", "to", "step", "fields"];
        Asked::of(&Parameters::of(Some(query), known).unwrap(), NOW).unwrap()
    }

    #[test]
    fn the_range_is_the_last_day_unless_said_otherwise() {
        for (query, from, to) in [
            ("", NOW.plus(-DAY), NOW),
            ("from=1748700000", Timestamp::from_unix(1_748_700_000), NOW),
            ("to=1000000", Timestamp::from_unix(913_600), Timestamp::from_unix(1_000_000)),
            ("from=5&to=3", Timestamp::from_unix(5), Timestamp::from_unix(3)),
        ] {
            let asked = asked(query);
            assert_eq!((asked.from, asked.to), (from, to), "{query}");
        }
    }

    #[test]
    fn steps_are_round_and_make_at_most_500_buckets() {
        for (days, step) in [
            (0, 60),
            (1, 300),
            (4, 900),
            (7, HOUR),
            (30, 6 * HOUR),
            (365, DAY),
            (1_000, 7 * DAY),
            (10_000, 30 * DAY),
            (100_000, 365 * DAY),
            (2_000_000, 11 * 365 * DAY),
        ] {
            let step_chosen = round_step(NOW.plus(-days * DAY), NOW);
            assert_eq!(step_chosen, step, "{days} days");
        }
        assert_eq!(round_step(NOW, NOW.plus(-DAY)), 60, "backwards");
    }

    #[test]
    fn where_measurements_were_pruned_buckets_are_hours_unless_asked_otherwise() {
        let pruned = |query: &str, until: i64| {
            asked(query).of_what_is_left(Some(Timestamp::from_unix(until))).step
        };
        for (query, until, step) in [
            ("from=90000&to=93600", 89_999, 60),
            ("from=90000&to=93600", 90_000, HOUR),
            ("from=90030&to=93600", 90_000, HOUR),
            ("from=90000&to=93600", 1_000_000, HOUR),
            ("from=90000&to=93600&step=60", 1_000_000, 60),
            ("from=0&to=2592000", 1_000_000, 6 * HOUR),
        ] {
            assert_eq!(pruned(query, until), step, "{query}, pruned until {until}");
        }
        assert_eq!(asked("from=90000&to=93600").of_what_is_left(None).step, 60);
    }

    #[test]
    fn a_range_becomes_whole_buckets() {
        let range = asked("from=3601&to=7201&step=3600").whole_buckets().unwrap();
        let expected = (Some(Timestamp::from_unix(3_600)), Some(Timestamp::from_unix(10_799)));
        assert_eq!((range.from, range.until), expected);
    }

    #[test]
    fn too_many_buckets_and_too_many_single_measurements_are_refused() {
        for (query, possible) in [
            ("from=0&to=599999&step=60", true),
            ("from=0&to=600000&step=60", false),
            ("from=0&to=35999999&step=3600", true),
            ("from=0&to=36000000&step=3600", false),
            ("from=0&to=2678400&step=3599", true),
            ("from=0&to=2678401&step=3599", false),
            ("from=0&to=2678401&step=7200", true),
            ("from=253402300799&to=-62135596800&step=1", true),
            ("from=-62135596800&to=253402300799&step=1", false),
            ("from=-62135596800&to=253402300799", true),
        ] {
            assert_eq!(asked(query).whole_buckets().is_ok(), possible, "{query}");
        }
    }

    #[test]
    fn the_advice_for_too_many_buckets_can_be_followed() {
        for (to, step) in [(600_000, 59), (1_000_000, 60), (1_000_000_000, 3_600)] {
            let with = |step: i64| asked(&format!("from=0&to={to}&step={step}")).whole_buckets();
            let advice = format!("{:?}", with(step).unwrap_err());
            let words: Vec<_> = advice.split("at least ").collect();
            let least: i64 = words[1].split(' ').next().unwrap().parse().unwrap();
            assert!(with(least).is_ok(), "{advice}");
        }
    }
}
