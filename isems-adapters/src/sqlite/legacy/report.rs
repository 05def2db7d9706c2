//! What an import says of itself.

use std::{collections::BTreeMap, fmt};

use isems_core::NodeId;

/// What became of the rows of an old database.
///
/// `rows` is the sum of `imported`, `duplicate`, `conflict` and
/// [`not_imported_in_all`](Self::not_imported_in_all).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Rows read.
    pub rows: u64,
    /// Rows that are new in the repository.
    pub imported: u64,
    /// Rows that were there already with the same values.
    pub duplicate: u64,
    /// Rows for whose node and moment other values were there; those stay.
    pub conflict: u64,
    /// Rows that could not be imported, by reason.
    pub not_imported: BTreeMap<String, Noted>,
    /// Values that could not be converted and are unknown now, by column and
    /// reason. Their rows were imported.
    pub unknown_values: BTreeMap<String, Noted>,
    /// Node names whose umlauts had been garbled, each with the right name.
    pub repaired_names: BTreeMap<String, NodeId>,
    /// Rows in whose other texts (firmware, revision) umlauts were repaired.
    pub repaired_texts: u64,
    /// Rows from the hour that is repeated when summer time ends, read as
    /// summer time.
    pub repeated_hour_summer: u64,
    /// Rows from that hour, read as winter time.
    pub repeated_hour_winter: u64,
    /// Rows from the hour that summer time skips, moved on by that hour.
    pub skipped_hour: u64,
}

/// How often something occurred, with the first example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// How often.
    pub count: u64,
    /// The id of the first such row in the old database.
    pub row: i64,
    /// What that row holds, for people.
    pub found: String,
}

impl ImportReport {
    /// Rows that could not be imported, in all.
    #[must_use]
    pub fn not_imported_in_all(&self) -> u64 {
        self.not_imported.values().map(|noted| noted.count).sum()
    }

    /// Values that became unknown, in all.
    #[must_use]
    pub fn unknown_values_in_all(&self) -> u64 {
        self.unknown_values.values().map(|noted| noted.count).sum()
    }
}

/// Counts one more under `key`; `found` is only asked for the first.
pub(super) fn note(
    notes: &mut BTreeMap<String, Noted>,
    key: String,
    row: i64,
    found: impl FnOnce() -> String,
) {
    notes.entry(key).or_insert_with(|| Noted { count: 0, row, found: found() }).count += 1;
}

/// So many rows, in words.
pub(super) fn rows(number: u64) -> String {
    format!("{number} row{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for ImportReport {
    /// Several lines, without a line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} read: {} imported, {} already there, {} in conflict with what is there \
             (which stays), {} not imported",
            rows(self.rows),
            self.imported,
            self.duplicate,
            self.conflict,
            self.not_imported_in_all()
        )?;
        list(f, "Not imported:", &self.not_imported)?;
        list(
            f,
            "Imported with an unknown value, because a value could not be converted:",
            &self.unknown_values,
        )?;
        if !self.repaired_names.is_empty() {
            write!(f, "\nNode names repaired:")?;
            for (old, new) in &self.repaired_names {
                write!(f, "\n  {old:?} is {new:?}")?;
            }
        }
        if self.repaired_texts > 0 {
            write!(f, "\nOther texts repaired: in {}", rows(self.repaired_texts))?;
        }
        if self.repeated_hour_summer + self.repeated_hour_winter > 0 {
            write!(
                f,
                "\nRepeated hour at the end of summer time: {} read as summer time, \
                 {} as winter time",
                rows(self.repeated_hour_summer),
                self.repeated_hour_winter
            )?;
        }
        if self.skipped_hour > 0 {
            write!(
                f,
                "\nTimes that do not exist in this time zone (is it the right one?): \
                 {}, moved on by the hour that summer time skips",
                rows(self.skipped_hour)
            )?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, notes: &BTreeMap<String, Noted>) -> fmt::Result {
    if notes.is_empty() {
        return Ok(());
    }
    write!(f, "\n{title}")?;
    for (reason, noted) in notes {
        write!(
            f,
            "\n  {}: {} (for example row {}: {})",
            reason, noted.count, noted.row, noted.found
        )?;
    }
    Ok(())
}
