//! Keeps the monthly partitions: made ahead and on demand, under a short lock_timeout.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::Client;
use tracing::info;

use super::month::Month;
use super::sqlstate::is_lock_contention;
use crate::retry::Backoff;

/// How often a lock_timeout is tried again before the caller hears of it.
const DDL_ATTEMPTS: u32 = 20;

/// Where a month's rows go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The partition of an open month.
    Partition(String),
    /// `events_late`: the month is sealed.
    Late,
}

impl Destination {
    /// The table to write to.
    pub fn table(&self) -> &str {
        match self {
            Self::Partition(name) => name,
            Self::Late => "events_late",
        }
    }
}

/// Looks up where months' rows go, and holds the months open until the transaction ends.
/// A month without a row is not in the answer: it has to be made first.
pub async fn hold_months(
    transaction: &Transaction<'_>,
    months: &[Month],
) -> Result<BTreeMap<Month, Destination>, tokio_postgres::Error> {
    let days: Vec<_> = months.iter().map(|month| month.first_day()).collect();
    let hold = transaction
        .prepare_cached(include_str!("sql/hold_months.sql"))
        .await?;
    let rows = transaction.query(&hold, &[&days]).await?;
    let known: BTreeMap<jiff::civil::Date, Destination> = rows
        .iter()
        .map(|row| {
            let open: bool = row.get("open");
            let destination = if open {
                Destination::Partition(row.get("partition"))
            } else {
                Destination::Late
            };
            (row.get("month"), destination)
        })
        .collect();
    Ok(months
        .iter()
        .filter_map(|month| Some((*month, known.get(&month.first_day())?.clone())))
        .collect())
}

/// Makes a month's partition with its indexes and attaches it, unless it is there already.
///
/// Runs under a short lock_timeout and tries again, so that a long query on `events` is not in anybody's way.
///
/// # Errors
/// The last error, when the lock was not to be had in many attempts, or something else failed.
pub async fn ensure_month(
    client: &mut Client,
    month: Month,
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        match create_month(client, month, now).await {
            Ok(created) => {
                if created {
                    info!(%month, "partition made");
                }
                return Ok(());
            }
            Err(error) if is_lock_contention(&error) && backoff.attempts() < DDL_ATTEMPTS => {
                tokio::time::sleep(backoff.next_wait()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn create_month(
    client: &mut Client,
    month: Month,
    now: Timestamp,
) -> Result<bool, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    // Two hosts may want the same month: the lock makes the second one see the first one's row.
    transaction
        .batch_execute(include_str!("sql/lock_months.sql"))
        .await?;
    let partition = format!("events_{month}");
    let added = transaction
        .execute(
            include_str!("sql/add_month.sql"),
            &[&month.first_day(), &partition, &now],
        )
        .await?;
    if added == 1 {
        // The name is made of digits only, and bounds are literals: DDL takes no parameters.
        let ddl = include_str!("sql/create_month.sql")
            .replace("{partition}", &partition)
            .replace("{from}", &month.start().to_string())
            .replace("{to}", &month.next().start().to_string());
        transaction.batch_execute(&ddl).await?;
    }
    transaction.commit().await?;
    Ok(added == 1)
}

/// Forgets the claims from before `before`.
pub async fn prune_claims(client: &Client, before: Timestamp) -> Result<(), tokio_postgres::Error> {
    client
        .execute(include_str!("sql/prune_claims.sql"), &[&before])
        .await?;
    Ok(())
}
