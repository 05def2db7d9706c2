//! The import of the old Python collector's database.
//!
//! The old collector kept one table, `measurement`, with times as wall time of
//! its zone and without offset. [`import_legacy`] reads such a file, without
//! changing it or leaving anything beside it, into any
//! [`MeasurementRepo`], and reports what it could not convert.
//!
//! Repeating an import of the same file stores nothing new: every row is
//! converted to the same measurement again, which the repository knows.

mod cell;
mod convert;
mod error;
mod file;
mod local_time;
mod report;
mod text;

use std::path::Path;

use isems_core::{Batch, BatchOrigin, Measurement, MeasurementRepo, SourcePart, Timestamp};
use jiff::tz::TimeZone;

use convert::Converter;
pub use error::ImportError;
use file::LegacyFile;
pub use report::{ImportReport, Noted};

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    /// Rows read, and stored if they could be converted.
    pub done: u64,
    /// Rows in the file.
    pub total: u64,
}

/// Reads the old collector's database `file` into `into`.
///
/// Times are read as wall time of `zone`. In the hour that is repeated when
/// summer time ends, a time is summer time unless a row of the node with a
/// smaller id already has a later wall time in that hour. A time in the hour
/// that is skipped in spring, which the old collector cannot have written, is
/// moved on by the length of the gap and counted. Rows from before 2016 (UTC)
/// or from after `now` are not imported but counted, and so are rows without a
/// usable node id or time. A value that is no number makes only that value
/// unknown, not the row.
///
/// `progress` is called once at the beginning and after every few thousand
/// rows, each time when they are durable.
///
/// # Errors
/// See [`ImportError`]. What was stored before stays stored; the import can be
/// repeated.
pub async fn import_legacy(
    file: &Path,
    into: &dyn MeasurementRepo,
    zone: &TimeZone,
    now: Timestamp,
    progress: &mut (dyn FnMut(ImportProgress) + Send),
) -> Result<ImportReport, ImportError> {
    let mut legacy = LegacyFile::open(file).await?;
    let outcome = import_rows(&mut legacy, into, Converter::new(zone, now), progress).await;
    legacy.close().await;
    let report = outcome?;
    tracing::info!(
        file = %file.display(),
        rows = report.rows,
        imported = report.imported,
        duplicate = report.duplicate,
        conflict = report.conflict,
        not_imported = report.not_imported_in_all(),
        "imported the old collector's database"
    );
    Ok(report)
}

async fn import_rows(
    legacy: &mut LegacyFile,
    into: &dyn MeasurementRepo,
    mut converter: Converter<'_>,
    progress: &mut (dyn FnMut(ImportProgress) + Send),
) -> Result<ImportReport, ImportError> {
    let total = legacy.count().await?;
    progress(ImportProgress { done: 0, total });
    loop {
        let done = converter.report.rows;
        let rows = legacy.next_chunk().await.map_err(|error| error.after(done))?;
        if rows.is_empty() {
            return Ok(converter.report);
        }
        let mut measurements = Vec::with_capacity(rows.len());
        for row in &rows {
            let cells = legacy.cells(row).map_err(|error| error.after(done))?;
            measurements.extend(converter.convert(&cells));
        }
        if !measurements.is_empty() {
            store(into, measurements, &mut converter.report)
                .await
                .map_err(|cause| ImportError::Repo { done, total, cause })?;
        }
        let done = converter.report.rows;
        progress(ImportProgress {
            done,
            // The old collector may have gone on writing.
            total: total.max(done),
        });
    }
}

async fn store(
    into: &dyn MeasurementRepo,
    rows: Vec<Measurement>,
    report: &mut ImportReport,
) -> Result<(), isems_core::RepoError> {
    let batch = Batch {
        parts: vec![SourcePart { update: None, rows }],
        origin: BatchOrigin::Import,
        ..Batch::default()
    };
    for part in into.store(&batch).await?.parts {
        report.imported += part.stored;
        report.duplicate += part.duplicate;
        report.conflict += part.conflict;
    }
    Ok(())
}
