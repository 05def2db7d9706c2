//! The fields of a rollup as bytes.
//!
//! A column for each number would be 52 of them: reading a year of hours would
//! spend its time on cells, and an hour would take twice the room. So for each
//! field that was measured, in the order of [`Field::ALL`]:
//! - one byte: the place of the field in [`Field::ALL`], and the flags
//!   [`SAME`] and [`RAW`];
//! - the count;
//! - the least value;
//! - unless all values are the [`SAME`], the greatest and the sum.
//!
//! Values are whole millionths as the sum is, but with [`RAW`] they are eight
//! bytes of IEEE 754, little-endian: what comes back is exactly what was there.
//! Whole numbers are base 128 with the lowest digit first, the sign in the
//! lowest bit.

use isems_core::{Field, Spread};

/// The fields of a bucket.
type Spreads = [Option<Spread>; Field::COUNT];

/// Flag: all values are the least one.
const SAME: u8 = 0x80;
/// Flag: a value is no whole number of millionths.
const RAW: u8 = 0x40;

const MILLIONTH: f64 = 1e6;

/// No plausible sum is greater, per value; so sums of sums never overflow.
const SUM_LIMIT: u128 = 1 << 50;

/// The fields as bytes.
pub(super) fn encode(spreads: &Spreads) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    for (field, spread) in Field::ALL.into_iter().zip(spreads) {
        if let Some(spread) = spread {
            encode_one(&mut bytes, field, spread);
        }
    }
    bytes
}

fn encode_one(bytes: &mut Vec<u8>, field: Field, spread: &Spread) {
    let (min, max) = (spread.min(), spread.max());
    let decimals = millionths(min).zip(millionths(max));
    let sum_of_same = decimals.map(|(least, _)| i128::from(least) * i128::from(spread.count()));
    let same = min.to_bits() == max.to_bits() && sum_of_same == Some(spread.sum());
    let mut head = u8::try_from(field.index()).unwrap_or(u8::MAX);
    head |= if same { SAME } else { 0 };
    head |= if decimals.is_none() { RAW } else { 0 };
    bytes.push(head);
    put_number(bytes, spread.count().into());
    match decimals {
        Some((min, _)) if same => return put_number(bytes, min.into()),
        Some((min, max)) => {
            put_number(bytes, min.into());
            put_number(bytes, max.into());
        }
        None => {
            bytes.extend(min.to_le_bytes());
            bytes.extend(max.to_le_bytes());
        }
    }
    put_number(bytes, spread.sum());
}

/// A value in millionths, if nothing of it is lost.
fn millionths(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is compared away")]
    let rounded = (value * MILLIONTH).round() as i64;
    (from_millionths(rounded).to_bits() == value.to_bits()).then_some(rounded)
}

#[expect(clippy::cast_precision_loss, reason = "measurements in millionths fit by far")]
fn from_millionths(number: i64) -> f64 {
    number as f64 / MILLIONTH
}

fn put_number(bytes: &mut Vec<u8>, number: i128) {
    let mut rest = number.unsigned_abs() << 1 | u128::from(number < 0);
    loop {
        let digit = (rest & 0x7F) as u8;
        rest >>= 7;
        if rest == 0 {
            return bytes.push(digit);
        }
        bytes.push(digit | 0x80);
    }
}

/// The fields from bytes that [`encode`] made for a bucket of `count`
/// measurements; `None` if it cannot have made them.
pub(super) fn decode(mut bytes: &[u8], count: u64) -> Option<Spreads> {
    let mut spreads = [None; Field::COUNT];
    while let Some(head) = take::<1>(&mut bytes) {
        let [head] = head;
        let spread = decode_one(&mut bytes, head & SAME != 0, head & RAW != 0)?;
        let place = usize::from(head & !(SAME | RAW));
        *spreads.get_mut(place)? = Some(spread).filter(|spread| spread.count() <= count);
        spreads[place]?;
    }
    Some(spreads)
}

fn decode_one(bytes: &mut &[u8], same: bool, raw: bool) -> Option<Spread> {
    let count = u64::try_from(take_number(bytes)?).ok()?;
    let (min, max, sum);
    if raw {
        min = f64::from_le_bytes(take(bytes)?);
        max = f64::from_le_bytes(take(bytes)?);
        sum = take_number(bytes)?;
    } else {
        let least = take_number(bytes)?;
        min = from_millionths(i64::try_from(least).ok()?);
        if same {
            max = min;
            sum = least.checked_mul(count.into())?;
        } else {
            max = from_millionths(i64::try_from(take_number(bytes)?).ok()?);
            sum = take_number(bytes)?;
        }
    }
    let plausible = min <= max && sum.unsigned_abs() <= u128::from(count).checked_mul(SUM_LIMIT)?;
    plausible.then(|| Spread::from_parts(count, min, max, sum)).flatten()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<i128> {
    // 18 digits are 126 bits, more than any number here.
    const DIGITS: usize = 18;
    let mut number = 0_u128;
    let mut at = 0;
    // A year of hours has hundreds of thousands of digits, so they are not taken
    // one by one.
    while at < DIGITS && at < bytes.len() {
        let digit = bytes[at];
        number |= u128::from(digit & 0x7F) << (7 * at);
        at += 1;
        if digit < 0x80 {
            *bytes = &bytes[at..];
            let size = i128::try_from(number >> 1).ok()?;
            return Some(if number & 1 == 1 { -size } else { size });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use isems_core::{Bucket, Timestamp, testing::sample};
    use proptest::prelude::*;

    use super::*;

    fn spread_of(values: &[f64]) -> Option<Spread> {
        let mut spreads = values.iter().filter_map(|value| Spread::of(*value));
        let mut all = spreads.next()?;
        spreads.for_each(|one| all.merge(&one));
        Some(all)
    }

    fn voltage(values: &[f64]) -> Spreads {
        let mut spreads = [None; Field::COUNT];
        spreads[Field::BatteryVoltage.index()] = spread_of(values);
        spreads
    }

    /// What nodes send, and what they never would.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-2_000_000..2_000_000_i32).prop_map(|thousandths| f64::from(thousandths) / 1e3),
            -1e9..1e9_f64,
            prop::sample::select(vec![0.0, -0.0, 1e9, -1e9, 1e-7, 12.5, f64::MIN_POSITIVE]),
        ]
    }

    proptest! {
        #[test]
        fn what_comes_back_is_what_was_there(
            fields in prop::collection::vec(prop::collection::vec(value(), 0..5), Field::COUNT),
        ) {
            let mut spreads = [None; Field::COUNT];
            for (spread, values) in spreads.iter_mut().zip(&fields) {
                *spread = spread_of(values);
            }
            prop_assert_eq!(decode(&encode(&spreads), 5), Some(spreads));
        }

        #[test]
        fn no_bytes_panic_or_lead_to_sums_that_overflow(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            if let Some(spreads) = decode(&bytes, u64::MAX / 2) {
                for mut spread in spreads.into_iter().flatten() {
                    let once = spread;
                    spread.merge(&once);
                }
            }
        }
    }

    #[test]
    fn the_form_on_disk_is_settled() {
        const V: u8 = 3;
        for (values, bytes) in [
            (&[][..], &[][..]),
            (&[0.0], &[V | SAME, 2, 0]),
            (&[-0.000_001; 2], &[V | SAME, 4, 3]),
            (&[0.000_064, -0.000_001], &[V, 4, 3, 0x80, 1, 126]),
        ] {
            assert_eq!(encode(&voltage(values)), bytes, "{values:?}");
        }
        let raw = encode(&voltage(&[1e-7]));
        assert_eq!(
            raw,
            [&[V | RAW, 2][..], &1e-7_f64.to_le_bytes(), &1e-7_f64.to_le_bytes(), &[0]].concat()
        );
    }

    #[test]
    fn a_field_keeps_its_place() {
        // The places are on disk: a new field goes to the end, or needs a migration.
        let names = Field::ALL.map(Field::name);
        assert_eq!(
            names,
            [
                "timeToShutdown",
                "openCircuitVoltage",
                "mppVoltage",
                "batteryVoltage",
                "batteryChargeEstimate",
                "batteryHealthEstimate",
                "batteryTemperature",
                "lowVoltageDisconnectVoltage",
                "temperatureCorrectedVoltage",
                "rateBatteryCapacity",
                "ratedSolarModuleCapacity",
                "latitude",
                "longitude",
            ]
        );
    }

    #[test]
    fn an_hour_of_a_healthy_node_is_small() {
        let mut bucket = Bucket::empty(Timestamp::default());
        for minute in 0..60 {
            bucket.add(&sample(12.0 + f64::from(minute) / 1e3));
        }
        let bytes = encode(&bucket.fields).len();
        assert!(bytes < 110, "{bytes} bytes");
    }

    #[test]
    fn what_was_never_written_is_noticed() {
        const V: u8 = 3;
        for (what, bytes) in [
            ("an unknown field", &[0x0D | SAME, 2, 0][..]),
            ("no values", &[V | SAME, 0, 0]),
            ("more values than measurements", &[V | SAME, 22, 0]),
            ("a negative count", &[V | SAME, 3, 0]),
            ("cut off", &[V, 4, 3]),
            ("the least above the greatest", &[V, 4, 4, 2, 6]),
            ("a number without end", &[V, 4, 3, 0x80, 0x80, 0x80]),
        ] {
            assert_eq!(decode(bytes, 10), None, "{what}");
        }
        let nan = f64::NAN.to_le_bytes();
        assert_eq!(decode(&[&[V | RAW, 2][..], &nan, &nan, &[0]].concat(), 10), None);
    }
}
