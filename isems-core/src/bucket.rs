//! Many measurements in few numbers: the rule of rollups and of history.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{Field, Measurement, NodeStatus, Sample, Timestamp};

/// Seconds in an hour: the span of a rollup.
pub const HOUR: i64 = 3_600;

/// Count, minimum, mean and maximum of a field.
///
/// The sum behind the mean is kept in millionths, so that it does not depend on
/// the order in which measurements came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    count: u64,
    min: f64,
    max: f64,
    sum: i128,
}

impl Spread {
    const MILLIONTH: f64 = 1e6;

    /// Values beyond this are no measurements of anything.
    const LIMIT: f64 = 1e9;

    /// The spread of one value; `None` if it is beyond all measure.
    #[must_use]
    pub fn of(value: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "within the limit it fits by far")]
        let sum = (value * Self::MILLIONTH).round() as i128;
        (value.abs() <= Self::LIMIT).then_some(Self { count: 1, min: value, max: value, sum })
    }

    /// A spread from its parts, for repositories that keep it; `sum` is in
    /// millionths. `None` if there is nothing in it.
    #[must_use]
    pub fn from_parts(count: u64, min: f64, max: f64, sum: i128) -> Option<Self> {
        (count > 0).then_some(Self { count, min, max, sum })
    }

    /// How many values.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The least value.
    #[must_use]
    pub const fn min(&self) -> f64 {
        self.min
    }

    /// The greatest value.
    #[must_use]
    pub const fn max(&self) -> f64 {
        self.max
    }

    /// The sum in millionths.
    #[must_use]
    pub const fn sum(&self) -> i128 {
        self.sum
    }

    /// The arithmetic mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.count as f64 / Self::MILLIONTH
    }

    /// Adds the values of `other`.
    pub const fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
    }
}

/// The measurements of a node within a span of time, in few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// The first moment of the span.
    pub begin: Timestamp,
    /// How many measurements lie in it, with or without values.
    pub count: u64,
    /// Every status bit that was set in one of them.
    pub status: NodeStatus,
    /// The fields, in the order of [`Field::ALL`]; `None` if nothing was
    /// measured.
    pub fields: [Option<Spread>; Field::COUNT],
}

impl Bucket {
    /// A bucket without measurements.
    #[must_use]
    pub const fn empty(begin: Timestamp) -> Self {
        Self { begin, count: 0, status: NodeStatus::from_bits(0), fields: [None; Field::COUNT] }
    }

    /// The numbers of a field.
    #[must_use]
    pub const fn get(&self, field: Field) -> Option<&Spread> {
        self.fields[field.index()].as_ref()
    }

    /// Adds one measurement. Of its fields those count that
    /// [were measured](Field::measured).
    pub fn add(&mut self, sample: &Sample) {
        let mut one = Self::empty(self.begin);
        one.count = 1;
        one.status = sample.status.unwrap_or_default();
        for field in Field::ALL {
            one.fields[field.index()] = field.measured(sample).and_then(Spread::of);
        }
        self.merge(&one);
    }

    /// Adds the measurements of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.status = self.status.union(other.status);
        for (mine, theirs) in self.fields.iter_mut().zip(&other.fields) {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => mine.merge(theirs),
                (mine @ None, Some(theirs)) => *mine = Some(*theirs),
                (_, None) => {}
            }
        }
    }
}

/// Sorts measurements of one node into buckets of `step` seconds, counted from
/// the epoch: the rule that every rollup must equal. Oldest first; a span
/// without measurements has no bucket.
pub fn roll_up<'a>(
    measurements: impl IntoIterator<Item = &'a Measurement>,
    step: i64,
) -> Vec<Bucket> {
    let mut buckets = Buckets::of(step);
    for measurement in measurements {
        buckets.add(measurement);
    }
    buckets.into_sorted()
}

/// Buckets of one length that measurements or smaller buckets are sorted into.
#[derive(Clone, Debug)]
pub struct Buckets {
    step: i64,
    by_begin: BTreeMap<Timestamp, Bucket>,
}

impl Buckets {
    /// Buckets of `step` seconds, counted from the epoch; at least one second.
    #[must_use]
    pub fn of(step: i64) -> Self {
        Self { step: step.max(1), by_begin: BTreeMap::new() }
    }

    /// Adds one measurement.
    pub fn add(&mut self, measurement: &Measurement) {
        self.at(measurement.observed).add(&measurement.sample);
    }

    /// Adds a bucket that lies within one of these.
    pub fn merge(&mut self, bucket: &Bucket) {
        let begin = bucket.begin.floor_to(self.step);
        match self.by_begin.entry(begin) {
            Entry::Occupied(known) => known.into_mut().merge(bucket),
            Entry::Vacant(free) => {
                free.insert(Bucket { begin, ..bucket.clone() });
            }
        }
    }

    /// The buckets, oldest first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Bucket> {
        self.by_begin.into_values().collect()
    }

    fn at(&mut self, time: Timestamp) -> &mut Bucket {
        let begin = time.floor_to(self.step);
        self.by_begin.entry(begin).or_insert_with(|| Bucket::empty(begin))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(values: &[f64]) -> Spread {
        let mut all = values.iter().filter_map(|value| Spread::of(*value));
        let mut spread = all.next().unwrap();
        all.for_each(|other| spread.merge(&other));
        spread
    }

    #[test]
    fn a_spread_knows_least_mean_and_greatest() {
        let spread = spread(&[12.0, 12.5, 11.0]);
        assert_eq!((spread.count(), spread.min(), spread.max()), (3, 11.0, 12.5));
        assert!((spread.mean() - 35.5 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_beyond_all_measure_does_not_count() {
        for value in [1e10, -1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(Spread::of(value), None, "{value}");
        }
    }

    #[test]
    fn buckets_begin_at_multiples_of_their_step() {
        let mut buckets = Buckets::of(HOUR);
        for time in [0, 3_599, 3_600, -1, -3_600] {
            let bucket = Bucket { count: 1, ..Bucket::empty(Timestamp::from_unix(time)) };
            buckets.merge(&bucket);
        }
        let sorted: Vec<_> =
            buckets.into_sorted().iter().map(|b| (b.begin.as_unix(), b.count)).collect();
        assert_eq!(sorted, [(-3_600, 2), (0, 2), (3_600, 1)]);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(mut values in prop::collection::vec(-1e4..1e4, 1..50)) {
            let forward = spread(&values);
            values.reverse();
            prop_assert_eq!(spread(&values), forward);
            values.sort_by(f64::total_cmp);
            prop_assert_eq!(spread(&values), forward);
        }
    }
}
