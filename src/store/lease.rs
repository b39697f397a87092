//! Leases on log partitions, and the positions that they guard.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

/// The right to move one partition's position, until somebody with a higher epoch takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// `logs.id`.
    pub log: i32,
    pub partition: i32,
    pub epoch: i64,
    pub ttl: Duration,
}

/// A partition's position as it stands in the event store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub next_offset: i64,
    /// SHA-256 of the record before `next_offset`; none before the first.
    pub fingerprint: Option<Vec<u8>>,
}

/// The answer to a wish for a lease.
#[derive(Debug)]
pub enum Acquired {
    Owned {
        lease: Lease,
        position: Position,
        /// The owner before, where it had let the lease expire.
        taken_from: Option<String>,
    },
    /// Somebody else's lease has not expired.
    HeldBy(String),
}

/// Finds or adds the row of a log and returns `logs.id`.
pub async fn register_log(
    client: &Client,
    log_id: Uuid,
    kind: &str,
    now: Timestamp,
) -> Result<i32, tokio_postgres::Error> {
    if let Some(known) = client
        .query_opt(include_str!("sql/find_log.sql"), &[&log_id])
        .await?
    {
        return Ok(known.get(0));
    }
    let row = client
        .query_one(include_str!("sql/register_log.sql"), &[&log_id, &kind, &now])
        .await?;
    Ok(row.get(0))
}

/// Takes a partition's lease where it is free, expired, or `owner`'s own from before.
///
/// The owner before is ended first: its backend may hang in the middle of a COPY, waiting for a client that is
/// stopped, and would block the new owner on the same ids. `first_offset` is where a new position begins.
/// The lease belongs to the session of `client`, which must be the one that writes.
pub async fn acquire(
    client: &mut Client,
    owner: &str,
    log: i32,
    partition: i32,
    first_offset: i64,
    ttl: Duration,
    now: Timestamp,
) -> Result<Acquired, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute(
            include_str!("sql/add_position.sql"),
            &[&log, &partition, &first_offset, &now],
        )
        .await?;
    let before = transaction
        .query_opt(
            include_str!("sql/end_old_backend.sql"),
            &[&log, &partition, &owner],
        )
        .await?;
    let taken = transaction
        .query_one(
            include_str!("sql/take_lease.sql"),
            &[&log, &partition, &owner, &ttl.as_secs_f64()],
        )
        .await?;
    let holder: Option<String> = taken.get("holder");
    if let Some(holder) = holder {
        return Ok(Acquired::HeldBy(holder));
    }
    let position = transaction
        .query_one(include_str!("sql/read_position.sql"), &[&log, &partition])
        .await?;
    transaction.commit().await?;
    let lease = Lease {
        log,
        partition,
        epoch: taken.get("epoch"),
        ttl,
    };
    let position = Position {
        next_offset: position.get("next_offset"),
        fingerprint: position.get("fingerprint"),
    };
    Ok(Acquired::Owned {
        lease,
        position,
        taken_from: before
            .filter(|before| before.get("is_lapsed"))
            .map(|before| before.get("owner")),
    })
}

/// The position that a lease guards; `None` where somebody else has the lease.
pub async fn position(client: &Client, lease: &Lease) -> Result<Option<Position>, tokio_postgres::Error> {
    let row = client
        .query_opt(
            include_str!("sql/reread_position.sql"),
            &[&lease.log, &lease.partition, &lease.epoch],
        )
        .await?;
    Ok(row.map(|row| Position {
        next_offset: row.get("next_offset"),
        fingerprint: row.get("fingerprint"),
    }))
}

/// Gives a lease up, so that the next owner need not wait for its expiry. Other hosts are told.
pub async fn give_up(client: &Client, lease: &Lease) -> Result<(), tokio_postgres::Error> {
    client
        .query(
            include_str!("sql/give_up_lease.sql"),
            &[&lease.log, &lease.partition, &lease.epoch],
        )
        .await?;
    Ok(())
}
