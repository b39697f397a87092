//! How far the views have come, and what they are compared with.

use std::collections::BTreeSet;

use deadpool_postgres::{Client, Transaction};
use jiff::civil::Date;

use super::delta::Marks;
use super::known::person_key;
use crate::views::{Day, PersonKey, Shares};

/// Held by the one who changes views; any number that nobody else uses.
const LOCK: i64 = 0x6d6f_6d73_7669_6577;

/// What the states were made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub definition_version: i32,
    pub zone: String,
    pub shares_of: Option<Day>,
}

/// Makes this transaction the only one that changes views. False where another is.
pub async fn lock(transaction: &Transaction<'_>) -> Result<bool, tokio_postgres::Error> {
    let row = transaction
        .query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    Ok(row.get(0))
}

/// Keeps all others from changing views, until [`release`] or the end of the session. Waits for who is at it.
pub async fn hold(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    Ok(())
}

/// Lets others change views again.
pub async fn release(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    Ok(())
}

/// The day whose rows were written last; `None` before the first run.
pub async fn last_day(transaction: &Transaction<'_>) -> Result<Option<Day>, tokio_postgres::Error> {
    let row = transaction
        .query_opt("SELECT as_of FROM view_run ORDER BY run_id DESC LIMIT 1", &[])
        .await?;
    Ok(row.map(|row| row.get::<_, Date>(0).into()))
}

/// How far the views have come. Nothing is there before the first run.
pub async fn marks(transaction: &Transaction<'_>) -> Result<Marks, tokio_postgres::Error> {
    let rows = transaction
        .query("SELECT log_id, log_partition, next_offset FROM marks", &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect())
}

/// Moves the marks.
pub async fn write_marks(transaction: &Transaction<'_>, marks: &Marks) -> Result<(), tokio_postgres::Error> {
    let logs: Vec<_> = marks.keys().map(|(log, _)| *log).collect();
    let partitions: Vec<_> = marks.keys().map(|(_, partition)| *partition).collect();
    let offsets: Vec<_> = marks.values().copied().collect();
    transaction
        .execute(
            include_str!("../sql/views/write_marks.sql"),
            &[&logs, &partitions, &offsets],
        )
        .await?;
    Ok(())
}

/// What the states were made by; `None` before the first run.
pub async fn meta(transaction: &Transaction<'_>) -> Result<Option<Meta>, tokio_postgres::Error> {
    let row = transaction
        .query_opt("SELECT definition_version, zone, shares_of FROM meta", &[])
        .await?;
    Ok(row.map(|row| Meta {
        definition_version: row.get(0),
        zone: row.get(1),
        shares_of: row.get::<_, Option<Date>>(2).map(Day::from),
    }))
}

/// Notes what the states are made by.
pub async fn write_meta(transaction: &Transaction<'_>, meta: &Meta) -> Result<(), tokio_postgres::Error> {
    let shares_of = meta.shares_of.map(Day::date);
    transaction
        .execute(
            include_str!("../sql/views/write_meta.sql"),
            &[&meta.definition_version, &meta.zone, &shares_of],
        )
        .await?;
    Ok(())
}

/// Has all views made anew at the next run: events have gone.
pub async fn ask_for_rebuild(client: &tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
    client
        .execute("UPDATE state.meta SET definition_version = 0", &[])
        .await?;
    Ok(())
}

/// Persons whose row changes by time alone until `today`, at most `most`.
pub async fn due(
    transaction: &Transaction<'_>,
    today: Day,
    most: i64,
) -> Result<Vec<PersonKey>, tokio_postgres::Error> {
    let rows = transaction
        .query(include_str!("../sql/views/due.sql"), &[&today.date(), &most])
        .await?;
    Ok(rows.iter().map(person_key).collect())
}

/// Of the revoked pairs those that the views do not know of yet.
pub async fn new_revocations(
    transaction: &Transaction<'_>,
    mut revoked: BTreeSet<(String, String)>,
) -> Result<BTreeSet<(String, String)>, tokio_postgres::Error> {
    if !revoked.is_empty() {
        let known = transaction
            .query("SELECT anonymous_id, user_id FROM links WHERE is_revoked", &[])
            .await?;
        for row in &known {
            revoked.remove(&(row.get(0), row.get(1)));
        }
    }
    Ok(revoked)
}

/// What readers like on the average, as it was frozen.
pub async fn read_shares(transaction: &Transaction<'_>) -> Result<Shares, tokio_postgres::Error> {
    let mut shares = Shares::default();
    for row in transaction
        .query("SELECT kind, name, share FROM shares", &[])
        .await?
    {
        let of_kind = match row.get::<_, &str>(0) {
            "topic" => &mut shares.topics,
            _ => &mut shares.authors,
        };
        of_kind.insert(row.get(1), row.get(2));
    }
    Ok(shares)
}

/// Freezes what readers like on the average before a day. Everybody is compared with it from then on.
pub async fn freeze_shares(
    transaction: &Transaction<'_>,
    today: Day,
) -> Result<Shares, tokio_postgres::Error> {
    transaction.execute("DELETE FROM shares", &[]).await?;
    transaction
        .execute(include_str!("../sql/views/freeze_shares.sql"), &[&today.date()])
        .await?;
    transaction
        .execute("UPDATE people SET next_change = $1", &[&today.date()])
        .await?;
    read_shares(transaction).await
}
