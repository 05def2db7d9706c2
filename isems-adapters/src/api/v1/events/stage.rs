//! What a client is told before the news: how far it has caught up.

use std::sync::Arc;

use isems_core::{RowId, StoredMeasurement};

use super::{
    Shared,
    changes::{Known, write_id},
    lowest::Lowest,
    missed::{Missed, SeenLast},
};
use crate::api::respond::Problem;

/// How long a client whose connection broke waits before it comes again.
const RETRY_MILLISECONDS: u32 = 5_000;

/// What comes before the news.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// Nothing was told yet; what was seen last, if anything.
    First(Option<RowId>),
    More(Missed),
    Over,
}

impl Stage {
    /// What is told next, and what comes after it. Sees to it that somebody
    /// watches for one who is to `follow`.
    pub(super) async fn piece(
        self,
        shared: &Arc<Shared>,
        follow: bool,
    ) -> Result<(Vec<u8>, Self), Problem> {
        let mut text = Vec::new();
        let mut missed = match self {
            Self::First(last) => {
                let retry = format!("retry: {RETRY_MILLISECONDS}\n\n");
                text.extend_from_slice(retry.as_bytes());
                match last {
                    Some(last) => Some(missed_since(last, shared).await?),
                    None => None,
                }
            }
            Self::More(missed) => Some(missed),
            Self::Over => None,
        };
        let told = shared.told();
        let mut known = (follow && !shared.is_watched()).then(Known::default);
        let (mut highest, mut lacking) = (0, Lowest::of(Missed::KEPT));
        let mut see = |row: StoredMeasurement| {
            highest = RowId::max(highest, row.id);
            if let Some(known) = &mut known {
                told.note(&row, known);
            }
            if missed.as_ref().is_some_and(|missed| missed.lacks(&row, &told)) {
                lacking.add(row);
            }
        };
        shared.each(&mut see).await?;
        if follow {
            shared.watch_from(known);
        }
        if let Some(missed) = &mut missed {
            let written = missed.write_some(lacking, &told, &mut text);
            if !written.map_err(|error| Problem::unwritable(&error))? {
                return Ok((text, Self::More(*missed)));
            }
        }
        write_id(highest, &mut text);
        Ok((text, Self::Over))
    }
}

async fn missed_since(last: RowId, shared: &Shared) -> Result<Missed, Problem> {
    let mut seen = SeenLast::default();
    shared.each(&mut |row| seen.see(last, &row)).await?;
    Ok(Missed::since(last, &seen))
}
