//! Clients that take all measurements of a node, some of them slowly, some of
//! them only the beginning.

use std::{io::Read as _, thread, time::Duration};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::{
    Client,
    exchange::{Pace, begin, take},
};
use crate::{collector::Life, fleet::ARCHIVE};

const GZIP: &str = "Accept-Encoding: gzip\r\n";

impl Client {
    pub(super) fn exports(mut self) {
        let pause = (Duration::from_millis(100), Duration::from_secs(1));
        // Nothing is ever removed.
        let mut most = 0;
        while !self.is_enough() {
            thread::sleep(self.rng.duration(pause));
            let Some(life) = self.presence.now() else { continue };
            if self.rng.percent(25) {
                self.breaks_off(life);
            } else {
                self.exports_once(life, &mut most);
            }
        }
        if let Some(life) = self.presence.now() {
            self.compares_with_chart(life);
        }
    }

    /// Nothing changes any more: files and charts tell of as many measurements.
    fn compares_with_chart(&self, life: Life) {
        let count = |format: &str| {
            let path = format!("/api/v1/nodes/{ARCHIVE}/export.{format}");
            let file = take(life.api, "GET", &path, "", Pace::AtOnce)?;
            lines_of(&file.body, format, false)
        };
        let counts: Result<_, String> =
            (|| Ok((count("csv")?, count("ndjson")?, charted(life)?)))();
        match counts {
            Ok((csv, json, charted)) if csv == json && csv == charted => {
                self.counters.count("exports that equal the charts in the end");
            }
            other => self.counters.find(format!("{ARCHIVE} as CSV, JSON, chart: {other:?}")),
        }
    }

    fn exports_once(&mut self, life: Life, most: &mut usize) {
        let format = self.rng.pick(&["csv", "ndjson"]);
        let pace = self.rng.pick(&[Pace::AtOnce, Pace::Slowly]);
        let is_packed = self.rng.percent(30);
        let path = format!("/api/v1/nodes/{ARCHIVE}/export.{format}");
        let is_known = self.is_known();
        let answer = take(life.api, "GET", &path, if is_packed { GZIP } else { "" }, pace);
        let rows = match answer {
            Ok(answer) if answer.status == 200 => lines_of(&answer.body, format, is_packed),
            Ok(answer) if answer.status == 404 && !is_known => return,
            Ok(answer) => Err(format!("was answered {}", answer.status)),
            Err(_) if !self.presence.is_still(life) => {
                self.counters.count("exports while the process ended");
                return;
            }
            Err(what) => Err(what),
        };
        match rows {
            Ok(rows) if rows >= *most => {
                *most = rows;
                self.note_known();
                self.counters.count(match pace {
                    Pace::AtOnce => "exports that came whole",
                    Pace::Slowly => "exports that came whole, taken slowly",
                });
            }
            Ok(rows) => {
                let what = format!("{path} ({pace:?}) has {rows} measurements, it had {most}");
                self.counters.find(what);
            }
            Err(what) => self.counters.find(format!("{path} ({pace:?}): {what}")),
        }
    }

    /// Takes the beginning and goes away.
    fn breaks_off(&self, life: Life) {
        let path = format!("/api/v1/nodes/{ARCHIVE}/export.csv");
        let Ok(mut stream) = begin(life.api, "GET", &path, "") else { return };
        if stream.read_exact(&mut [0; 2_000]).is_ok() {
            self.counters.count("exports that the client broke off");
        }
    }
}

/// How many measurements a chart of the node is made of.
fn charted(life: Life) -> Result<usize, String> {
    let chart = take(life.api, "GET", &super::history(), "", Pace::AtOnce)?;
    let chart: Value = serde_json::from_slice(&chart.body).map_err(|error| error.to_string())?;
    let buckets = chart["buckets"].as_array().ok_or_else(|| chart.to_string())?;
    let counts = buckets.iter().filter_map(|bucket| bucket["count"].as_u64());
    usize::try_from(counts.sum::<u64>()).map_err(|error| error.to_string())
}

/// How many measurements an export holds, each line of which is whole.
fn lines_of(body: &[u8], format: &str, is_packed: bool) -> Result<usize, String> {
    let mut text = String::new();
    let read = if is_packed {
        GzDecoder::new(body).read_to_string(&mut text)
    } else {
        { body }.read_to_string(&mut text)
    };
    read.map_err(|error| error.to_string())?;
    if format == "csv" { csv_lines(&text) } else { json_lines(&text) }
}

fn csv_lines(text: &str) -> Result<usize, String> {
    let mut lines = text.split_inclusive('\n');
    let head = lines.next().filter(|head| head.starts_with("nodeId,observed,"));
    // No text of this node needs quotes.
    let fields = |line: &str| line.split(',').count();
    let count = fields(head.ok_or("no line with names")?);
    let begin = format!("{ARCHIVE},");
    let is_whole =
        |line: &&str| line.starts_with(&begin) && line.ends_with("\r\n") && fields(line) == count;
    let lines: Vec<&str> = lines.collect();
    match lines.iter().find(|line| !is_whole(line)) {
        None => Ok(lines.len()),
        Some(torn) => Err(format!("a line is {torn:?}")),
    }
}

fn json_lines(text: &str) -> Result<usize, String> {
    let is_whole = |line: &&str| {
        let row = serde_json::from_str::<Value>(line);
        line.ends_with('\n') && row.is_ok_and(|row| row["nodeId"] == ARCHIVE)
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    match lines.iter().find(|line| !is_whole(line)) {
        None => Ok(lines.len()),
        Some(torn) => Err(format!("a line is {torn:?}")),
    }
}
