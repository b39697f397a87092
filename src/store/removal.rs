//! Takes all events of one source out of the store again, and everything that was made of them.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Transaction};
use uuid::Uuid;

/// A source's events of a month.
#[derive(Clone, Debug, Serialize)]
pub struct MonthOfSource {
    /// Its first day.
    pub month: Date,
    pub events: i64,
    /// A closed month never changes.
    pub is_open: bool,
}

/// What a removal took away.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Removed {
    pub events: u64,
    /// Pairs of anonymous id and user that only those events spoke of.
    pub edges: u64,
    /// Their payload is gone, their row stays.
    pub dead_letters: u64,
    /// Events of closed months, which stay.
    pub left: u64,
}

/// A source's events, by the month that they were received in.
pub async fn months(client: &Client, source: &str) -> Result<Vec<MonthOfSource>, Error> {
    let rows = client
        .query(include_str!("sql/list_months_of_source.sql"), &[&source])
        .await?;
    let month = |row: &tokio_postgres::Row| MonthOfSource {
        month: row.get("month"),
        events: row.get("events"),
        is_open: row.get("open"),
    };
    Ok(rows.iter().map(month).collect())
}

/// When anything was last stored, of whatever source.
pub async fn last_stored(client: &Client) -> Result<Option<Timestamp>, Error> {
    let row = client.query_one(include_str!("sql/last_stored.sql"), &[]).await?;
    row.try_get(0)
}

/// How many events of a source have an id from `first` to `last`.
pub async fn count_between(client: &Client, source: &str, first: Uuid, last: Uuid) -> Result<u64, Error> {
    let count = include_str!("sql/count_between_ids.sql");
    let row = client.query_one(count, &[&source, &first, &last]).await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// How many events there are of all sources but one.
pub async fn count_of_others(client: &Client, source: &str) -> Result<u64, Error> {
    let row = client
        .query_one(include_str!("sql/count_of_other_sources.sql"), &[&source])
        .await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Removes a source's events from all open months in one transaction, with their claims, counts, catalogue and dead
/// letters; edges and claims of identity become what the events that stay say. Captures go on meanwhile, and take
/// their leases anew after it, since what they remember of the store is not so any more.
pub async fn remove(client: &mut Client, source: &str, now: Timestamp) -> Result<Removed, Error> {
    let months = months(client, source).await?;
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(include_str!("sql/begin_removal.sql"))
        .await?;
    let mut removed = Removed::default();
    for month in months {
        removed.events += remove_month(&transaction, source, &month).await?;
    }
    // From here on captures wait with their commits.
    transaction
        .execute(include_str!("sql/renew_leases.sql"), &[])
        .await?;
    let later = include_str!("sql/remove_later_events.sql");
    removed.events += count(&transaction, later, &[&source]).await?;
    removed.edges = mend_edges(&transaction).await?;
    for statement in [
        include_str!("sql/remove_identity_claims.sql"),
        include_str!("sql/remove_properties.sql"),
    ] {
        transaction.execute(statement, &[&source]).await?;
    }
    let left = include_str!("sql/remove_counts.sql");
    removed.left = count(&transaction, left, &[&source]).await?;
    transaction
        .execute(include_str!("sql/restore_totals.sql"), &[&source])
        .await?;
    let ids: Vec<i64> = Vec::new();
    let letters: [&(dyn ToSql + Sync); 4] = [&ids, &None::<String>, &source, &now];
    removed.dead_letters = transaction
        .execute(include_str!("sql/discard_dead_letters.sql"), &letters)
        .await?;
    transaction.commit().await?;
    Ok(removed)
}

/// Holds the month, as a writer does, and leaves it alone where it is closed by now.
async fn remove_month(
    transaction: &Transaction<'_>,
    source: &str,
    month: &MonthOfSource,
) -> Result<u64, Error> {
    let held = transaction
        .query(include_str!("sql/hold_months.sql"), &[&vec![month.month]])
        .await?;
    if !held.iter().any(|row| row.get("open")) {
        return Ok(0);
    }
    let statement = include_str!("sql/remove_events.sql");
    count(transaction, statement, &[&source, &month.month]).await
}

/// Of the pairs that the removed events spoke of.
async fn mend_edges(transaction: &Transaction<'_>) -> Result<u64, Error> {
    transaction
        .batch_execute(include_str!("sql/find_remaining_edges.sql"))
        .await?;
    transaction
        .execute(include_str!("sql/mend_edges.sql"), &[])
        .await?;
    transaction
        .execute(include_str!("sql/remove_edges.sql"), &[])
        .await
}

async fn count(
    transaction: &Transaction<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<u64, Error> {
    let row = transaction.query_one(statement, parameters).await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}
