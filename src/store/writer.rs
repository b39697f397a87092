//! Writes a batch of log records to the event store in one transaction.
//!
//! Rows go by binary COPY straight into their month's partition. Ids that may be there already are looked up
//! first and left out; when an id was taken meanwhile, COPY fails as a whole and the caller repeats the batch
//! with [`Dedupe::Probe`].

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;

use deadpool_postgres::{Client, Transaction};
use futures_util::SinkExt;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::batch::{Batch, Row, Tally};
use super::copy::{COLUMNS, CopyBuffer, Lineage};
use super::dead_letters::add_dead_letters;
use super::dedupe::{Dedupe, conflicts, stored_ids};
use super::lease::Lease;
use super::month::Month;
use super::months::{Destination, hold_months};
use super::names::Names;
use super::rollup::{add_minutes, add_properties};

/// Why a batch was not written. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The lease is lost or the position moved: somebody else owns the partition.
    #[error("the partition has another owner")]
    Fenced,
    /// These months have no partition yet.
    #[error("months without a partition: {0:?}")]
    MissingMonths(Vec<Month>),
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
}

/// What a batch has come to.
#[derive(Debug, Default)]
pub struct Written {
    pub tally: Tally,
    /// The ids of its rows that were stored before.
    pub copies: HashSet<Uuid>,
}

/// Writes rows, dead letters, counts and the new position, all or nothing.
///
/// # Errors
/// See [`WriteError`]; after a database error the fate of a commit is unknown, and the position tells it.
pub async fn write(
    client: &mut Client,
    lease: &Lease,
    batch: &Batch<'_>,
    dedupe: Dedupe,
    names: &mut Names,
    now: Timestamp,
) -> Result<Written, WriteError> {
    let transaction = client.transaction().await?;
    let destinations = destinations(&transaction, batch).await?;
    let stored = stored_ids(&transaction, batch, &destinations, dedupe, now).await?;
    let (copies, fresh): (Vec<_>, Vec<_>) = batch
        .rows
        .iter()
        .partition(|row| stored.contains(&row.event.event_id));

    copy_rows(&transaction, lease, &fresh, &destinations).await?;
    add_dead_letters(&transaction, lease, batch, now).await?;
    add_gaps(&transaction, lease, batch, now).await?;
    add_minutes(&transaction, lease, &fresh, names).await?;
    add_properties(&transaction, lease, batch, now).await?;

    let tally = Tally {
        stored: fresh.len() as i64,
        duplicate: copies.len() as i64 + batch.duplicates,
        dead_letter: batch.dead_letters.len() as i64 - batch.foreign,
        foreign: batch.foreign,
        gap: batch.gaps.iter().map(|gap| gap.end - gap.start).sum(),
        conflict: conflicts(&transaction, &copies).await? + batch.conflicts,
    };
    advance(&transaction, lease, batch, &tally, now).await?;
    transaction.commit().await?;
    Ok(Written {
        tally,
        copies: stored,
    })
}

async fn destinations(
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
) -> Result<BTreeMap<Month, Destination>, WriteError> {
    let months = batch.months();
    if months.is_empty() {
        return Ok(BTreeMap::new());
    }
    let destinations = hold_months(transaction, &months).await?;
    let missing: Vec<_> = months
        .into_iter()
        .filter(|month| !destinations.contains_key(month))
        .collect();
    if missing.is_empty() {
        Ok(destinations)
    } else {
        Err(WriteError::MissingMonths(missing))
    }
}

async fn copy_rows(
    transaction: &Transaction<'_>,
    lease: &Lease,
    rows: &[&Row<'_>],
    destinations: &BTreeMap<Month, Destination>,
) -> Result<(), tokio_postgres::Error> {
    for (month, destination) in destinations {
        let Some(data) = encode_month(rows, *month, lease) else {
            continue;
        };
        let statement = transaction
            .prepare_cached(&copy_statement(destination.table()))
            .await?;
        let mut sink = pin!(transaction.copy_in(&statement).await?);
        sink.send(data).await?;
        sink.finish().await?;
    }
    Ok(())
}

fn encode_month(rows: &[&Row<'_>], month: Month, lease: &Lease) -> Option<bytes::Bytes> {
    let rows: Vec<_> = rows.iter().filter(|row| row.month == month).copied().collect();
    (!rows.is_empty()).then(|| encode(&rows, lease))
}

/// The statement that takes what [`encode`] makes.
pub(super) fn copy_statement(table: &str) -> String {
    format!("COPY {table} ({COLUMNS}) FROM STDIN (FORMAT binary)")
}

/// Encodes rows for COPY.
pub(super) fn encode(rows: &[&Row<'_>], lease: &Lease) -> bytes::Bytes {
    const ROW_ESTIMATE: usize = 1_024;
    let mut buffer = CopyBuffer::with_capacity(rows.len() * ROW_ESTIMATE);
    for row in rows {
        let lineage = Lineage {
            log: lease.log,
            partition: lease.partition,
            offset: row.offset,
        };
        buffer.push(&row.event, lineage);
    }
    buffer.finish()
}

/// Keeps the bounds of what the log no longer held.
async fn add_gaps(
    transaction: &Transaction<'_>,
    lease: &Lease,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    for gap in &batch.gaps {
        let parameters: [&(dyn ToSql + Sync); 5] = [&lease.log, &lease.partition, &gap.start, &gap.end, &now];
        transaction
            .execute(include_str!("sql/add_gap.sql"), &parameters)
            .await?;
    }
    Ok(())
}

async fn advance(
    transaction: &Transaction<'_>,
    lease: &Lease,
    batch: &Batch<'_>,
    tally: &Tally,
    now: Timestamp,
) -> Result<(), WriteError> {
    let advance = transaction
        .prepare_cached(include_str!("sql/advance.sql"))
        .await?;
    let parameters: [&(dyn ToSql + Sync); 14] = [
        &lease.log,
        &lease.partition,
        &lease.epoch,
        &batch.from,
        &lease.ttl.as_secs_f64(),
        &batch.to,
        &tally.stored,
        &tally.duplicate,
        &tally.dead_letter,
        &tally.foreign,
        &tally.gap,
        &tally.conflict,
        &batch.fingerprint,
        &now,
    ];
    match transaction.execute(&advance, &parameters).await? {
        1 => Ok(()),
        _ => Err(WriteError::Fenced),
    }
}
