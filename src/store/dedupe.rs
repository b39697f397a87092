//! Finds out which events of a batch are in the store already.

use std::collections::{BTreeMap, HashSet};

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::batch::{Batch, Row};
use super::month::Month;
use super::months::Destination;

/// The year 1, before any event.
const EARLIEST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// How much is done to find duplicates before COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// Only events that may have a copy in another month are looked up.
    Roaming,
    /// Every id is looked up: duplicates have been seen of late.
    Probe,
}

/// The ids of the batch that are in the store already, as far as `dedupe` says to look.
///
/// A row of a sealed month goes to another table than a copy from before, so that no index would notice it.
pub(super) async fn stored_ids(
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
    destinations: &BTreeMap<Month, Destination>,
    dedupe: Dedupe,
    now: Timestamp,
) -> Result<HashSet<Uuid>, tokio_postgres::Error> {
    let mut stored = HashSet::new();
    let late = |row: &Row<'_>| destinations.get(&row.month) == Some(&Destination::Late);
    let (roaming, settled): (Vec<_>, Vec<_>) = batch.rows.iter().partition(|row| row.roams || late(row));
    let roaming = sorted_ids(&roaming);
    if !roaming.is_empty() {
        // Claim first, then look: a copy in flight elsewhere holds its claim until it has committed.
        let claim = transaction
            .prepare_cached(include_str!("sql/claim_ids.sql"))
            .await?;
        let claimed: HashSet<Uuid> = transaction
            .query(&claim, &[&roaming, &now])
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let unclaimed = roaming.iter().filter(|id| !claimed.contains(*id)).copied();
        stored.extend(unclaimed);
        stored.extend(find_ids(transaction, &roaming, EARLIEST, Timestamp::MAX).await?);
    }
    if dedupe == Dedupe::Probe {
        let settled = sorted_ids(&settled);
        let months = batch.months();
        if let (Some(first), Some(last), false) = (months.first(), months.last(), settled.is_empty()) {
            stored.extend(find_ids(transaction, &settled, first.start(), last.next().start()).await?);
        }
    }
    Ok(stored)
}

fn sorted_ids(rows: &[&Row<'_>]) -> Vec<Uuid> {
    let mut ids: Vec<_> = rows.iter().map(|row| row.event.event_id).collect();
    ids.sort_unstable();
    ids
}

async fn find_ids(
    transaction: &Transaction<'_>,
    ids: &[Uuid],
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Uuid>, tokio_postgres::Error> {
    // A partition that was not analysed yet looks small, and a scan of it cheap. It is neither.
    transaction
        .batch_execute("SET LOCAL enable_seqscan = off")
        .await?;
    let find = transaction
        .prepare_cached(include_str!("sql/find_ids.sql"))
        .await?;
    let rows = transaction.query(&find, &[&ids, &from, &to]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Counts the copies that say something else than what is stored under their id.
pub(super) async fn conflicts(
    transaction: &Transaction<'_>,
    copies: &[&Row<'_>],
) -> Result<i64, tokio_postgres::Error> {
    if copies.is_empty() {
        return Ok(0);
    }
    let events = || copies.iter().map(|row| &row.event);
    let ids: Vec<_> = events().map(|event| event.event_id).collect();
    let kinds: Vec<_> = events().map(|event| event.kind.as_str()).collect();
    let names: Vec<_> = events().map(|event| event.event.as_deref()).collect();
    let pages: Vec<_> = events().map(|event| event.name.as_deref()).collect();
    let users: Vec<_> = events().map(|event| event.user_id.as_deref()).collect();
    let visitors: Vec<_> = events().map(|event| event.anonymous_id.as_deref()).collect();
    let properties: Vec<_> = events()
        .map(|event| event.properties.as_ref().map(|json| json.get()))
        .collect();
    let count = transaction
        .prepare_cached(include_str!("sql/count_conflicts.sql"))
        .await?;
    let parameters: [&(dyn ToSql + Sync); 7] = [&ids, &kinds, &names, &pages, &users, &visitors, &properties];
    Ok(transaction.query_one(&count, &parameters).await?.get(0))
}
