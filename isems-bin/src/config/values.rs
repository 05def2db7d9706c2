//! One text → one value, or what is wrong with it.

use std::{
    fmt::Display,
    num::NonZeroUsize,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use isems_adapters::{
    http_polling::{NodeAddress, parse_addresses},
    mqtt::{TopicFilter, check_authorities, parse_filters},
};
use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;

use super::{LogFormat, Secret, duration as durations};

/// A value that knows how to read itself.
pub(super) fn parsed<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A whole number within `range`.
pub(super) fn whole(range: RangeInclusive<u32>) -> impl FnOnce(&str) -> Result<u32, String> {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err("is out of range".to_owned()),
        Err(_) => Err("is no such number".to_owned()),
    }
}

/// How many nodes are polled at once.
pub(super) fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let number = whole(1..=1_000)(text)?;
    NonZeroUsize::new(number as usize).ok_or_else(|| "is out of range".to_owned())
}

/// A duration from `shortest` to `longest`, both written as operators do.
pub(super) fn duration(
    shortest: &'static str,
    longest: &'static str,
) -> impl FnOnce(&str) -> Result<Duration, String> {
    move |text| {
        let value = durations::parse(text)?;
        if value < durations::parse(shortest)? {
            return Err(format!("is shorter than {shortest}"));
        }
        if value > durations::parse(longest)? {
            return Err(format!("is longer than {longest}"));
        }
        Ok(value)
    }
}

/// The nodes to poll.
pub(super) fn addresses(text: &str) -> Result<Vec<NodeAddress>, String> {
    parse_addresses(text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("holds what is no address: {}", lines.join("; "))
    })
}

/// Topic filters of MQTT.
pub(super) fn topics(text: &str) -> Result<Vec<TopicFilter>, String> {
    parse_filters(text).map_err(|error| error.to_string())
}

/// A client id that every log can show.
pub(super) fn client_id(text: &str) -> Result<String, String> {
    if text.len() > 256 || text.chars().any(char::is_control) {
        return Err("is no client id".to_owned());
    }
    Ok(text.to_owned())
}

/// The first line of a file, as a password.
pub(super) fn password_file(text: &str) -> Result<Secret, String> {
    let content = std::fs::read_to_string(text).map_err(|error| cannot_read(&error))?;
    let password = content.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err("is a file without a password in its first line".to_owned());
    }
    Ok(Secret::new(password))
}

/// A file with certificates of authorities.
pub(super) fn authorities(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    // Looked at before it is opened: opening a pipe would wait for its writer.
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => check_authorities(&path).map(|()| path),
        Ok(_) => Err("is not a file".to_owned()),
        Err(error) => Err(cannot_read(&error)),
    }
}

fn cannot_read(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}

/// A folder that holds a built isems-app.
pub(super) fn app_dir(text: &str) -> Result<PathBuf, String> {
    let folder = Path::new(text);
    if !folder.is_dir() {
        return Err("is not a folder".to_owned());
    }
    if !folder.join("index.html").is_file() {
        return Err("is a folder without index.html".to_owned());
    }
    Ok(folder.to_path_buf())
}

/// Where errors are reported.
pub(super) fn dsn(text: &str) -> Result<sentry::types::Dsn, String> {
    // The library's messages quote nothing of the text.
    text.parse().map_err(|error| format!("is no Sentry DSN ({error})"))
}

/// Sentry's rules for the name of an environment.
pub(super) fn environment_name(text: &str) -> Result<String, String> {
    if text.len() > 64
        || text == "None"
        || text.chars().any(|c| c == '/' || c.is_whitespace() || c.is_control())
    {
        return Err("is no name of an environment".to_owned());
    }
    Ok(text.to_owned())
}

/// A time zone by its name.
pub(super) fn time_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| "is no time zone known here".to_owned())
}

/// A filter for log lines, kept as text: two layers need their own.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::builder()
        .parse(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("is no filter ({error})"))
}

/// How log lines are written.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is no format of the log".to_owned()),
    }
}
