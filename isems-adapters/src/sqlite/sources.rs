//! The account of each source.

use std::collections::BTreeMap;

use isems_core::{
    PartReport, ReadPosition, SourceId, SourceKind, SourceSummary, SourceUpdate, Tally, Timestamp,
};
use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    accounts,
    row::{signed, unsigned},
};

/// The columns of a summary, in the order in which [`summary`] reads them.
macro_rules! columns {
    () => {
        "id, name, kind, last_success, last_error_at, last_error, stored, duplicate, conflict, \
         expired, retimed, clock_offset, day, bytes_on_day"
    };
}

const SAVE: &str = "INSERT INTO source \
    (name, kind, last_success, last_error_at, last_error, stored, duplicate, conflict, expired, \
     retimed, clock_offset, day, bytes_on_day, read_position) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (name) DO UPDATE SET \
     kind = excluded.kind, last_success = excluded.last_success, \
     last_error_at = excluded.last_error_at, last_error = excluded.last_error, \
     stored = excluded.stored, duplicate = excluded.duplicate, conflict = excluded.conflict, \
     expired = excluded.expired, retimed = excluded.retimed, \
     clock_offset = excluded.clock_offset, day = excluded.day, \
     bytes_on_day = excluded.bytes_on_day, \
     read_position = coalesce(excluded.read_position, read_position) \
    RETURNING id";

/// Enters an update of a source and what became of its rows, by the core's
/// rule of accounting. Returns the number of the source.
pub(super) async fn enter(
    connection: &mut SqliteConnection,
    update: &SourceUpdate,
    rows: &PartReport,
) -> Result<i64, sqlx::Error> {
    let mut account = load(connection, update).await?;
    account.note(update, rows);
    save(connection, &account, update).await
}

/// The account so far, of the reasons for rejection those that `update` adds to.
async fn load(
    connection: &mut SqliteConnection,
    update: &SourceUpdate,
) -> Result<SourceSummary, sqlx::Error> {
    let found = sqlx::query(concat!("SELECT ", columns!(), " FROM source WHERE name = ?"))
        .bind(update.source.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(found) = found else {
        return Ok(SourceSummary::new(update.source.clone(), update.kind));
    };
    let mut rejected = BTreeMap::new();
    for reason in update.tally.rejected.keys() {
        let amount: Option<i64> =
            sqlx::query_scalar("SELECT amount FROM rejection WHERE source = ? AND reason = ?")
                .bind(found.try_get::<i64, _>(0)?)
                .bind(reason.as_str())
                .fetch_optional(&mut *connection)
                .await?;
        if let Some(amount) = amount {
            rejected.insert(reason.clone(), unsigned(amount)?);
        }
    }
    summary(&found, rejected)
}

async fn save(
    connection: &mut SqliteConnection,
    account: &SourceSummary,
    update: &SourceUpdate,
) -> Result<i64, sqlx::Error> {
    let tally = &account.tally;
    let (error_at, error) = account
        .last_error
        .as_ref()
        .map_or((None, None), |error| (Some(error.0.as_unix()), Some(error.1.as_str())));
    let source: i64 = sqlx::query_scalar(SAVE)
        .bind(account.source.as_str())
        .bind(account.kind.as_str())
        .bind(account.last_success.map(Timestamp::as_unix))
        .bind(error_at)
        .bind(error)
        .bind(signed(tally.stored))
        .bind(signed(tally.duplicate))
        .bind(signed(tally.conflict))
        .bind(signed(tally.expired))
        .bind(signed(tally.retimed))
        .bind(account.clock_offset)
        .bind(account.day.as_unix())
        .bind(signed(account.bytes_on_day))
        .bind(update.position.as_ref().map(|position| position.0.as_str()))
        .fetch_one(&mut *connection)
        .await?;
    for (reason, amount) in &tally.rejected {
        sqlx::query(
            "INSERT INTO rejection (source, reason, amount) VALUES (?, ?, ?) \
             ON CONFLICT (source, reason) DO UPDATE SET amount = excluded.amount",
        )
        .bind(source)
        .bind(reason.as_str())
        .bind(signed(*amount))
        .execute(&mut *connection)
        .await?;
    }
    Ok(source)
}

/// What is known of every source, as of one moment, sorted by id.
pub(super) async fn summaries(pool: &SqlitePool) -> Result<Vec<SourceSummary>, sqlx::Error> {
    let mut snapshot = pool.begin().await?;
    let rejections = sqlx::query("SELECT source, reason, amount FROM rejection")
        .fetch_all(&mut *snapshot)
        .await?;
    let sources = sqlx::query(concat!("SELECT ", columns!(), " FROM source ORDER BY name"))
        .fetch_all(&mut *snapshot)
        .await?;
    let mut nodes = accounts::all(&mut snapshot).await?;
    snapshot.rollback().await?;

    let mut rejected: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for rejection in &rejections {
        rejected
            .entry(rejection.try_get(0)?)
            .or_default()
            .insert(rejection.try_get(1)?, unsigned(rejection.try_get(2)?)?);
    }
    sources
        .iter()
        .map(|source| {
            let number = source.try_get(0)?;
            let rejected = rejected.remove(&number).unwrap_or_default();
            let nodes = nodes.remove(&number).unwrap_or_default();
            Ok(SourceSummary { nodes, ..summary(source, rejected)? })
        })
        .collect()
}

fn summary(
    source: &SqliteRow,
    rejected: BTreeMap<String, u64>,
) -> Result<SourceSummary, sqlx::Error> {
    let time = |column: usize| -> Result<Option<Timestamp>, sqlx::Error> {
        Ok(source.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix))
    };
    let count = |column: usize| unsigned(source.try_get(column)?);
    let error: Option<String> = source.try_get(5)?;
    Ok(SourceSummary {
        source: SourceId::new(source.try_get(1)?),
        kind: SourceKind::from_word(source.try_get(2)?),
        last_success: time(3)?,
        last_error: time(4)?.zip(error),
        tally: Tally {
            stored: count(6)?,
            duplicate: count(7)?,
            conflict: count(8)?,
            expired: count(9)?,
            retimed: count(10)?,
            rejected,
        },
        clock_offset: source.try_get(11)?,
        day: Timestamp::from_unix(source.try_get(12)?),
        bytes_on_day: count(13)?,
        nodes: BTreeMap::new(),
    })
}

/// How far each source was read.
pub(super) async fn positions(
    pool: &SqlitePool,
) -> Result<BTreeMap<SourceId, ReadPosition>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT name, read_position FROM source WHERE read_position IS NOT NULL")
            .fetch_all(pool)
            .await?;
    rows.iter()
        .map(|row| Ok((SourceId::new(row.try_get(0)?), ReadPosition(row.try_get(1)?))))
        .collect()
}
