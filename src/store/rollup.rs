//! Counts that are kept with the events: by minute, and of the properties seen.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::batch::{Batch, Minutes, Row};
use super::lease::Lease;
use super::names::Names;

pub(super) async fn add_minutes(
    transaction: &Transaction<'_>,
    lease: &Lease,
    rows: &[&Row<'_>],
    names: &mut Names,
) -> Result<(), tokio_postgres::Error> {
    let mut minutes = Minutes::default();
    for row in rows {
        let name = names.of(&row.event);
        minutes.add(&row.event, name);
    }
    let minutes = minutes.sorted();
    if minutes.is_empty() {
        return Ok(());
    }
    let at: Vec<_> = minutes.iter().map(|entry| entry.0).collect();
    let sources: Vec<_> = minutes.iter().map(|entry| entry.1).collect();
    let kinds: Vec<_> = minutes.iter().map(|entry| entry.2.as_str()).collect();
    let events: Vec<_> = minutes.iter().map(|entry| entry.3).collect();
    let people: Vec<_> = minutes.iter().map(|entry| entry.4).collect();
    let bots: Vec<_> = minutes.iter().map(|entry| entry.5).collect();
    let add = transaction
        .prepare_cached(include_str!("sql/add_minutes.sql"))
        .await?;
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&lease.partition, &at, &sources, &kinds, &events, &people, &bots];
    transaction.execute(&add, &parameters).await?;
    Ok(())
}

pub(super) async fn add_properties(
    transaction: &Transaction<'_>,
    lease: &Lease,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    let counts = &batch.properties;
    if counts.is_empty() {
        return Ok(());
    }
    let sources: Vec<_> = counts.iter().map(|count| count.source.as_str()).collect();
    let kinds: Vec<_> = counts.iter().map(|count| count.kind.as_str()).collect();
    let events: Vec<_> = counts.iter().map(|count| count.event.as_str()).collect();
    let properties: Vec<_> = counts.iter().map(|count| count.property.as_str()).collect();
    let types: Vec<_> = counts.iter().map(|count| count.json_type).collect();
    let seen: Vec<_> = counts.iter().map(|count| count.events).collect();
    let add = transaction
        .prepare_cached(include_str!("sql/add_properties.sql"))
        .await?;
    let parameters: [&(dyn ToSql + Sync); 8] = [
        &lease.partition,
        &now,
        &sources,
        &kinds,
        &events,
        &properties,
        &types,
        &seen,
    ];
    transaction.execute(&add, &parameters).await?;
    Ok(())
}
