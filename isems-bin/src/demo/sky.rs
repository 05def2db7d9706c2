//! Sun, clouds and air over one place: pure functions of time.

use isems_core::{Timestamp, time::DAY};

use super::noise::Noise;

/// Seconds in a year of the sun.
const YEAR: f64 = 365.2422 * 86_400.0;
/// Every panel of the fleet looks south, tilted by this many degrees.
const TILT: f64 = 40.0;
/// Least irradiance, in W/m², that still lifts a panel's voltage.
const DUSK: f64 = 3.0;

/// The weather over one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sky {
    /// Degrees north.
    pub(super) latitude: f64,
    /// Degrees east.
    pub(super) longitude: f64,
    /// Metres above the sea.
    pub(super) altitude: f64,
    /// Places with the same weather share it.
    pub(super) weather: Noise,
}

impl Sky {
    /// Power of the light on the panel in W/m², after clouds: 0 at night, about
    /// 1000 at most.
    pub(super) fn irradiance(&self, at: Timestamp) -> f64 {
        let (declination, hour_angle) = self.sun(at);
        let latitude = self.latitude.to_radians();
        let height = sine_of_height(latitude, declination, hour_angle);
        if height <= 0.0 {
            return 0.0;
        }
        // A panel tilted to the south sees the sun as level ground does that
        // lies so many degrees further south.
        let on_panel = sine_of_height(latitude - TILT.to_radians(), declination, hour_angle);
        let air_mass = 1.0 / (height + 0.05);
        let clear = 1_350.0 * 0.7_f64.powf(air_mass.powf(0.678));
        let clouds = self.clouds(at);
        let direct = clear * on_panel.max(0.0) * (1.0 - 0.9 * clouds);
        let diffuse = clear * height * (0.12 + 0.18 * clouds);
        let total = (direct + diffuse).min(1_050.0);
        if total < DUSK { 0.0 } else { total }
    }

    /// How much of the sky is covered, `0.0..=1.0`.
    fn clouds(&self, at: Timestamp) -> f64 {
        let seconds = at.as_unix();
        let fronts = self.weather.drifting(1, seconds, 9 * 3_600);
        let heaps = self.weather.drifting(2, seconds, 25 * 60);
        (1.3 * fronts * (0.55 + 0.45 * heaps) - 0.15).clamp(0.0, 1.0)
    }

    /// Temperature of the air in °C: season, time of day, height, weather.
    pub(super) fn air_temperature(&self, at: Timestamp) -> f64 {
        let turn = std::f64::consts::TAU;
        let season = -10.0 * (turn * (year_part(at) - 20.0 / 365.0)).cos();
        let solar_day = (at.as_unix().rem_euclid(DAY)) as f64 / 86_400.0 + self.longitude / 360.0;
        let daily = 4.0 * (turn * (solar_day - 0.625)).cos();
        let weather = 6.0 * (self.weather.drifting(3, at.as_unix(), 36 * 3_600) - 0.5);
        let latitude = 0.6 * (52.5 - self.latitude);
        9.5 + season + daily + weather + latitude - 0.0065 * self.altitude
    }

    /// Declination and hour angle of the sun in radians.
    fn sun(&self, at: Timestamp) -> (f64, f64) {
        let turn = std::f64::consts::TAU;
        let year = year_part(at);
        let declination = -23.44_f64.to_radians() * (turn * (year + 10.0 / 365.0)).cos();
        // The equation of time, in minutes.
        let b = turn * (year - 81.0 / 365.0);
        let sundial = 9.87 * (2.0 * b).sin() - 7.53 * b.cos() - 1.5 * b.sin();
        let day = at.as_unix().rem_euclid(DAY) as f64 / 86_400.0 + self.longitude / 360.0 - 0.5;
        (declination, turn * (day + sundial / 1_440.0))
    }
}

/// Part of the year that has gone by, `0.0..1.0`.
fn year_part(at: Timestamp) -> f64 {
    (at.as_unix() as f64 / YEAR).rem_euclid(1.0)
}

fn sine_of_height(latitude: f64, declination: f64, hour_angle: f64) -> f64 {
    latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * hour_angle.cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Sky =
        Sky { latitude: 52.5, longitude: 13.4, altitude: 40.0, weather: Noise::new(1) };
    /// 2025-06-21, 2025-12-21 and 2025-03-20 at 00:00 UTC.
    const SUMMER: i64 = 1_750_464_000;
    const WINTER: i64 = 1_766_275_200;
    const SPRING: i64 = 1_742_428_800;

    /// Height of the sun above the horizon in degrees.
    fn sun_elevation(at: Timestamp) -> f64 {
        let (declination, hour_angle) = BERLIN.sun(at);
        let sine = sine_of_height(BERLIN.latitude.to_radians(), declination, hour_angle);
        sine.asin().to_degrees()
    }

    fn at(midnight: i64, hour: i64, minute: i64) -> Timestamp {
        Timestamp::from_unix(midnight + hour * 3_600 + minute * 60)
    }

    #[test]
    fn the_sun_over_berlin_stands_where_almanacs_say() {
        // (what, moment in UTC, degrees)
        let table = [
            ("summer noon", at(SUMMER, 11, 8), 60.9),
            ("winter noon", at(WINTER, 11, 5), 14.1),
            ("spring noon", at(SPRING, 11, 14), 37.5),
            ("sunrise in summer", at(SUMMER, 2, 43), -0.5),
            ("sunset in summer", at(SUMMER, 19, 33), -0.5),
            ("sunrise in winter", at(WINTER, 7, 15), -0.5),
            ("sunset in spring", at(SPRING, 17, 18), -0.5),
        ];
        for (what, moment, expected) in table {
            let elevation = sun_elevation(moment);
            assert!((elevation - expected).abs() < 1.5, "{what}: {elevation}, expected {expected}");
        }
    }

    #[test]
    fn panels_get_light_only_while_the_sun_is_up() {
        for step in 0..365 * 48 {
            let moment = Timestamp::from_unix(WINTER + step * 1_800);
            let light = BERLIN.irradiance(moment);
            assert!((0.0..=1_050.0).contains(&light), "{light} W/m² at {moment}");
            if sun_elevation(moment) < 0.0 {
                assert!(light == 0.0, "{light} W/m² in the dark at {moment}");
            }
        }
    }

    #[test]
    fn summer_brings_more_light_and_warmth_than_winter() {
        let of_day = |midnight: i64, what: fn(&Sky, Timestamp) -> f64| {
            (0..10 * 144)
                .map(|step| what(&BERLIN, Timestamp::from_unix(midnight + step * 600)))
                .sum::<f64>()
                / 1_440.0
        };
        assert!(of_day(SUMMER, Sky::irradiance) > 2.0 * of_day(WINTER, Sky::irradiance));
        assert!(of_day(SUMMER, Sky::air_temperature) > 10.0 + of_day(WINTER, Sky::air_temperature));
    }
}
