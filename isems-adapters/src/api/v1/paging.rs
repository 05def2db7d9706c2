//! Long lists in pages.

use serde::Serialize;

use super::{params::Parameters, problem::Fault};

/// So much is on a page at most, and if nothing else is asked for.
const MOST: i64 = 1_000;

/// The page that is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    limit: usize,
    after: Option<String>,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    is_last: bool,
}

impl Asked {
    /// What `limit` and `after` say.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Fault> {
        let limit = parameters.integer("limit", 1..=MOST)?.unwrap_or(MOST);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Self { limit, after: parameters.get("after").map(str::to_owned) })
    }

    /// What it is after; empty: nothing.
    pub(super) fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// So many rows tell what is on the page, and whether it is the last one.
    pub(super) const fn most(&self) -> usize {
        self.limit + 1
    }

    /// That page of rows, which are sorted by their names.
    pub(super) fn page<T>(&self, mut rows: Vec<T>, name: impl Fn(&T) -> &str) -> Page<T> {
        if let Some(after) = &self.after {
            rows.retain(|row| name(row) > after.as_str());
        }
        self.first_of(rows)
    }

    /// That page of rows, of which those that it is after are left out.
    pub(super) fn first_of<T>(&self, mut rows: Vec<T>) -> Page<T> {
        let is_last = rows.len() <= self.limit;
        rows.truncate(self.limit);
        Page { rows, is_last }
    }
}

/// What an answer says of the next page.
#[derive(Debug, Serialize)]
pub(super) struct Next<'a> {
    /// What it is `after`; `None` on the last page.
    next: Option<&'a str>,
}

impl<T> Page<T> {
    /// How to go on after this page.
    pub(super) fn next<'a>(&'a self, name: impl Fn(&'a T) -> &'a str) -> Next<'a> {
        Next { next: self.rows.last().map(name).filter(|_| !self.is_last) }
    }
}
