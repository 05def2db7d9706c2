//! Randomness that is a pure function of a seed and a place: no state, so a
//! history comes out the same however it is cut into steps.

/// A source of repeatable noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(u64);

impl Noise {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly spread in `0.0..1.0`, independent for every `channel` and `step`.
    pub(super) fn at(self, channel: u64, step: i64) -> f64 {
        let mixed = mix(mix(self.0 ^ mix(channel)) ^ step.cast_unsigned());
        // The upper 53 bits: as many as a float holds.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly spread in `-1.0..1.0`.
    pub(super) fn around_zero(self, channel: u64, step: i64) -> f64 {
        2.0 * self.at(channel, step) - 1.0
    }

    /// A smooth curve through random points, one for every `period` seconds,
    /// in `0.0..=1.0`.
    pub(super) fn drifting(self, channel: u64, seconds: i64, period: i64) -> f64 {
        let step = seconds.div_euclid(period);
        let part = seconds.rem_euclid(period) as f64 / period as f64;
        let eased = part * part * (3.0 - 2.0 * part);
        let from = self.at(channel, step);
        let to = self.at(channel, step + 1);
        from + (to - from) * eased
    }
}

/// The finaliser of `SplitMix64`: spreads every bit over the whole word.
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let (one, other) = (Noise::new(7), Noise::new(7));
        for step in -50..50 {
            assert_eq!(one.at(3, step).to_bits(), other.at(3, step).to_bits(), "{step}");
        }
    }

    #[test]
    fn seeds_channels_and_steps_differ() {
        let base = Noise::new(1).at(1, 1).to_bits();
        assert_ne!(base, Noise::new(2).at(1, 1).to_bits());
        assert_ne!(base, Noise::new(1).at(2, 1).to_bits());
        assert_ne!(base, Noise::new(1).at(1, 2).to_bits());
    }

    #[test]
    fn noise_fills_its_range_evenly() {
        let noise = Noise::new(42);
        let mean = (0..10_000).map(|step| noise.at(0, step)).sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "mean {mean}");
    }

    #[test]
    fn drift_has_no_jumps() {
        let noise = Noise::new(9);
        for second in -7_200..7_200 {
            let jump = noise.drifting(1, second + 1, 600) - noise.drifting(1, second, 600);
            assert!(jump.abs() < 0.01, "{jump} at second {second}");
        }
    }
}
