//! Finds the events of a batch that PostgreSQL refuses, without storing anything.

use deadpool_postgres::{Client, Transaction};

use super::batch::{Batch, Row};
use super::copy::send;
use super::lease::Lease;
use super::month::Month;
use super::months::hold_months;
use super::sqlstate::{Failure, describe, failure_of};
use super::writer::{WriteError, copy_statement, with_lineage};

/// A row that PostgreSQL refuses, and its words for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Guilty {
    pub offset: i64,
    /// SQLSTATE.
    pub code: String,
    pub reason: String,
}

/// Bisects a batch by COPY under savepoints, in a transaction that is rolled back. Stops when it has found more
/// than `most`: there is no end to them then. Who is found is tried once more at the end: a cause that passed meanwhile
/// made those look guilty that came first, while all others were taken.
///
/// # Errors
/// Anything but a data error, such as an outage in the middle: to be tried again.
pub async fn find_guilty(
    client: &mut Client,
    lease: &Lease,
    batch: &Batch<'_>,
    most: usize,
) -> Result<Vec<Guilty>, WriteError> {
    let mut transaction = client.transaction().await?;
    let destinations = hold_months(&transaction, &batch.months()).await?;
    let mut guilty = Vec::new();
    let mut unchecked: Vec<(Month, Vec<&Row<'_>>)> = batch
        .months()
        .into_iter()
        .map(|month| {
            (
                month,
                batch.rows.iter().filter(|row| row.month == month).collect(),
            )
        })
        .collect();
    while let Some((month, rows)) = unchecked.pop()
        && guilty.len() <= most
    {
        let Some(destination) = destinations.get(&month) else {
            return Err(WriteError::MissingMonths(vec![month]));
        };
        match try_rows(&mut transaction, lease, &rows, destination.table()).await? {
            None => {}
            Some(_) if rows.len() == 1 => guilty.push((rows, destination.table())),
            Some(_) => {
                let (first, second) = rows.split_at(rows.len() / 2);
                unchecked.extend([(month, first.to_vec()), (month, second.to_vec())]);
            }
        }
    }
    let mut confirmed = Vec::new();
    for (rows, table) in guilty {
        if let Some((code, reason)) = try_rows(&mut transaction, lease, &rows, table).await? {
            let offset = rows[0].offset;
            confirmed.push(Guilty { offset, code, reason });
        }
    }
    transaction.rollback().await?;
    confirmed.sort_by_key(|guilty| guilty.offset);
    Ok(confirmed)
}

/// Tries to copy rows and takes that back; the data error if there was one.
async fn try_rows(
    transaction: &mut Transaction<'_>,
    lease: &Lease,
    rows: &[&Row<'_>],
    table: &str,
) -> Result<Option<(String, String)>, tokio_postgres::Error> {
    let savepoint = transaction.savepoint("bisect").await?;
    let copied = async {
        let sink = savepoint.copy_in(&copy_statement(table)).await?;
        send(sink, with_lineage(rows, lease)).await
    }
    .await;
    savepoint.rollback().await?;
    match copied {
        Ok(_) => Ok(None),
        // An id that is stored already hides nothing: the row was good before.
        Err(error) if failure_of(&error) == Failure::Duplicate && rows.len() == 1 => Ok(None),
        Err(error) if matches!(failure_of(&error), Failure::Poison | Failure::Duplicate) => {
            let code = error
                .code()
                .map(|code| code.code().to_owned())
                .unwrap_or_default();
            Ok(Some((code, describe(&error))))
        }
        Err(error) => Err(error),
    }
}
