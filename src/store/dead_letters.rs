//! Dead letters: events that were kept out of the store, whole, with the reason.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::batch::Batch;
use super::lease::Lease;

/// Adds a batch's dead letters.
pub(super) async fn add_dead_letters(
    transaction: &Transaction<'_>,
    lease: &Lease,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    if batch.dead_letters.is_empty() {
        return Ok(());
    }
    let insert = transaction
        .prepare_cached(include_str!("sql/add_dead_letters.sql"))
        .await?;
    for letter in &batch.dead_letters {
        let parameters: [&(dyn ToSql + Sync); 16] = [
            &letter.received_at,
            &now,
            &letter.stage.as_str(),
            &letter.code,
            &letter.pointer,
            &letter.detail,
            &letter.source,
            &letter.event_id,
            &letter.message_id,
            &letter.scope,
            &letter.payload,
            &letter.payload_length,
            &letter.payload_sha256,
            &lease.log,
            &lease.partition,
            &letter.offset,
        ];
        transaction.execute(&insert, &parameters).await?;
    }
    Ok(())
}
