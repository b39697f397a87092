//! Writes a batch of log records to the event store in one transaction.
//!
//! Rows go by binary COPY straight into their month's partition. Ids that may be there already are looked up
//! first and left out; when an id was taken meanwhile, COPY fails as a whole and the caller repeats the batch
//! with [`Dedupe::Probe`].

use std::collections::{BTreeMap, HashSet};

use deadpool_postgres::{Client, Transaction};
use futures_util::{TryFutureExt, try_join};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::batch::{Batch, Row, Tally};
use super::copy::{COLUMNS, Lineage, send};
use super::dead_letters::add_dead_letters;
use super::dedupe::{Dedupe, conflicts, stored_ids};
use super::identity::{self, suppress};
use super::lease::Lease;
use super::memory::Memory;
use super::month::Month;
use super::months::{Destination, hold_months};
use super::rollup::{add_minutes, add_properties};
use crate::event::Event;

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
    /// The ids of its rows that were stored before, or are not to be.
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
    memory: &mut Memory,
    now: Timestamp,
) -> Result<Written, WriteError> {
    memory.keep_to(lease);
    let transaction = client.transaction().await?;
    // Their statements go to the server together.
    let (destinations, screened) = try_join!(destinations(&transaction, batch), async {
        Ok(suppress(&transaction, batch, &mut memory.suppressions).await?)
    })?;
    let stored = stored_ids(&transaction, batch, &destinations, dedupe, now).await?;
    let (copies, fresh): (Vec<_>, Vec<_>) = screened
        .rows()
        .partition(|row| stored.contains(&row.event.event_id));

    copy_rows(&transaction, lease, &fresh, &destinations).await?;
    add_dead_letters(&transaction, lease, &screened.dead_letters, now).await?;
    add_gap(&transaction, lease, batch, now).await?;
    add_properties(&transaction, lease, batch, now).await?;
    let news = identity::record(&transaction, &fresh, &memory.pairs).await?;

    let tally = Tally {
        stored: fresh.len() as i64,
        duplicate: copies.len() as i64 + batch.duplicates,
        dead_letter: screened.dead_letters.len() as i64 - batch.foreign,
        foreign: batch.foreign,
        suppressed: screened.left_out(batch),
        gap: batch.gap.iter().map(|gap| gap.end - gap.start).sum::<i64>() + batch.holes,
        conflict: conflicts(&transaction, &copies).await? + batch.conflicts,
    };
    // Both at once, which saves a round trip; PostgreSQL takes them in this order.
    try_join!(
        add_minutes(&transaction, lease, &fresh, &mut memory.names).map_err(WriteError::from),
        advance(&transaction, lease, batch, &tally, now),
    )?;
    transaction.commit().await?;
    identity::learn(&mut memory.pairs, &news);
    let mut copies = stored;
    copies.extend(&screened.suppressed);
    Ok(Written { tally, copies })
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
        let rows: Vec<_> = rows.iter().filter(|row| row.month == *month).copied().collect();
        if !rows.is_empty() {
            let statement = copy_statement(destination.table());
            let statement = transaction.prepare_cached(&statement).await?;
            let sink = transaction.copy_in(&statement).await?;
            send(sink, with_lineage(&rows, lease)).await?;
        }
    }
    Ok(())
}

/// The statement that takes what [`send`] sends.
pub(super) fn copy_statement(table: &str) -> String {
    format!("COPY {table} ({COLUMNS}) FROM STDIN (FORMAT binary)")
}

/// Events with their places in the log.
pub(super) fn with_lineage<'a>(
    rows: &'a [&Row<'a>],
    lease: &Lease,
) -> impl Iterator<Item = (&'a Event<'a>, Lineage)> {
    let (log, partition) = (lease.log, lease.partition);
    rows.iter().map(move |row| {
        let lineage = Lineage {
            log,
            partition,
            offset: row.offset,
        };
        (&row.event, lineage)
    })
}

/// Keeps the bounds of what the log no longer held.
async fn add_gap(
    transaction: &Transaction<'_>,
    lease: &Lease,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    if let Some(gap) = &batch.gap {
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
    let parameters: [&(dyn ToSql + Sync); 15] = [
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
        &tally.suppressed,
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
