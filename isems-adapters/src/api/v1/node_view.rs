//! Nodes in their present state, as JSON.

use isems_core::{
    ActivityRule, Check, Field, Level, Measurement, Reported, Sample, StoredMeasurement, Timestamp,
    checks, time::DAY,
};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::paging::{Next, Page};
use crate::api::iso_time::IsoTime;

/// A node whose newest measurement this is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    id: &'a str,
    name: &'a str,
    active: bool,
    state: State,
    checks: Vec<CheckView>,
    last_heard: IsoTime<'a>,
    received_at: Option<IsoTime<'a>>,
    reported_at: Option<IsoTime<'a>>,
    clock: &'static str,
    position: Option<Position>,
    values: Values<'a>,
    measured: Values<'a>,
    power_save: bool,
    firmware: &'a str,
    revision: &'a str,
    status: String,
    measurement_id: i64,
    /// Not in a list, which says it once.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'a str>,
}

/// The worst check, or that nothing is known.
#[derive(Serialize)]
struct State {
    check: Option<&'static str>,
    level: &'static str,
}

#[derive(Serialize)]
struct CheckView {
    check: &'static str,
    level: &'static str,
}

#[derive(Serialize)]
struct Position {
    latitude: f64,
    longitude: f64,
}

/// The numbers of a sample but its coordinates, as sent or as measured.
struct Values<'a> {
    sample: &'a Sample,
    value: fn(Field, &Sample) -> Option<f64>,
}

/// The fields of which nodes show values, in the order of the CSV line.
pub(super) fn shown() -> impl Iterator<Item = Field> {
    Field::ALL.into_iter().filter(|field| !matches!(field, Field::Latitude | Field::Longitude))
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(shown().map(|field| (field.name(), (self.value)(field, self.sample))))
    }
}

/// The core promises finite numbers; a repository that breaks the promise must
/// not break the answer.
fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|number| number.is_finite())
}

fn view<'a>(
    stored: &'a StoredMeasurement,
    now: Timestamp,
    activity: ActivityRule,
    zone: &'a TimeZone,
) -> Node<'a> {
    let measurement = &stored.measurement;
    let sample = &measurement.sample;
    let iso = |time| IsoTime { time, zone };
    let checks = checks(measurement, now);
    Node {
        id: measurement.node.as_str(),
        name: measurement.node.as_str(),
        active: activity.is_active(measurement.observed, now),
        state: State {
            check: checks.first().map(|check| check.as_str()),
            level: checks.first().map_or(Level::Info, |check| check.level()).as_str(),
        },
        checks: checks.into_iter().map(check_view).collect(),
        last_heard: iso(measurement.observed),
        received_at: measurement.received.map(iso),
        reported_at: reported(measurement).map(iso),
        clock: measurement.basis.as_str(),
        position: position(sample),
        values: Values { sample, value: |field, sample| finite(field.sent(sample)) },
        measured: Values { sample, value: |field, sample| finite(field.measured(sample)) },
        power_save: sample.power_save,
        firmware: &sample.firmware,
        revision: &sample.revision,
        status: format!("0x{:03x}", sample.status.unwrap_or_default().bits()),
        measurement_id: stored.id,
        time_zone: None,
    }
}

fn check_view(check: Check) -> CheckView {
    CheckView { check: check.as_str(), level: check.level().as_str() }
}

/// The time that the node gave, if it gave any.
pub(super) const fn reported(measurement: &Measurement) -> Option<Timestamp> {
    match measurement.reported {
        Reported::Time(time) => Some(time),
        Reported::Fingerprint(_) => None,
    }
}

/// Nodes that were never told their place say 0, 0.
fn position(sample: &Sample) -> Option<Position> {
    let latitude = finite(Field::Latitude.measured(sample))?;
    let longitude = finite(Field::Longitude.measured(sample))?;
    (latitude != 0.0 || longitude != 0.0).then_some(Position { latitude, longitude })
}

/// The name of the zone whose offsets times have.
fn name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// One node with what one must know to read it.
pub(super) fn node(
    newest: &StoredMeasurement,
    now: Timestamp,
    activity: ActivityRule,
    zone: &TimeZone,
) -> Result<Vec<u8>, serde_json::Error> {
    let node = view(newest, now, activity, zone);
    serde_json::to_vec(&Node { time_zone: Some(name(zone)), ..node })
}

/// A page of nodes with what one must know to read it.
pub(super) fn nodes(
    page: &Page<StoredMeasurement>,
    now: Timestamp,
    activity: ActivityRule,
    zone: &TimeZone,
) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Document<'a> {
        now: IsoTime<'a>,
        time_zone: &'a str,
        hide_inactive_after_days: i64,
        nodes: Vec<Node<'a>>,
        #[serde(flatten)]
        next: Next<'a>,
    }
    serde_json::to_vec(&Document {
        now: IsoTime { time: now, zone },
        time_zone: name(zone),
        hide_inactive_after_days: now.since(activity.active_since(now)) / DAY,
        nodes: page.rows.iter().map(|row| view(row, now, activity, zone)).collect(),
        next: page.next(|row| row.measurement.node.as_str()),
    })
}
