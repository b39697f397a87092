//! Dead letters: events that were kept out of the store, whole, with the reason.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::batch::DeadLetter;
use super::lease::Lease;
use crate::event::Origin;

/// Adds dead letters.
pub(super) async fn add_dead_letters(
    transaction: &Transaction<'_>,
    lease: &Lease,
    letters: &[&DeadLetter],
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let insert = transaction
        .prepare_cached(include_str!("sql/add_dead_letters.sql"))
        .await?;
    for letter in letters {
        let parameters: [&(dyn ToSql + Sync); 18] = [
            &letter.received_at,
            &now,
            &letter.stage.as_str(),
            &letter.code,
            &letter.pointer,
            &letter.detail,
            &letter.source,
            &letter.event_id,
            &letter.message_id,
            &letter.trusted,
            &letter.origin.map(Origin::as_str),
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

/// Which dead letters are meant: those with these ids, or all that wait; of a code and a source if given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Empty for all.
    pub ids: Vec<i64>,
    pub code: Option<String>,
    pub source: Option<String>,
}

/// A dead letter without its payload.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub id: i64,
    pub received_at: Timestamp,
    pub stage: String,
    pub code: String,
    pub pointer: String,
    pub detail: String,
    pub source: Option<String>,
    pub event_id: Option<Uuid>,
    pub payload_length: i64,
    pub replayed_at: Option<Timestamp>,
    pub discarded_at: Option<Timestamp>,
}

/// A dead letter that waits, with its payload.
#[derive(Clone, Debug)]
pub struct Letter {
    pub id: i64,
    pub received_at: Timestamp,
    /// `ingest`: the payload is the client's JSON; `capture`: the log record.
    pub stage: String,
    pub source: Option<String>,
    pub event_id: Option<Uuid>,
    pub message_id: Option<String>,
    /// Whether its source was trusted then; known of those that ingest refused.
    pub trusted: Option<bool>,
    pub origin: Option<String>,
    pub scope: Option<serde_json::Value>,
    pub payload: Vec<u8>,
    /// Of the whole payload; longer than `payload` where that was cut.
    pub payload_length: i64,
}

/// Those that wait, by reason.
pub async fn count_waiting(client: &Client) -> Result<BTreeMap<String, i64>, tokio_postgres::Error> {
    let rows = client
        .query(include_str!("sql/count_dead_letters.sql"), &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get("code"), row.get("waiting")))
        .collect())
}

/// Lists the newest dead letters; with `settled` also those replayed or discarded.
pub async fn list(
    client: &Client,
    selection: &Selection,
    settled: bool,
    limit: i64,
) -> Result<Vec<Summary>, tokio_postgres::Error> {
    let rows = client
        .query(
            include_str!("sql/list_dead_letters.sql"),
            &[&selection.code, &selection.source, &settled, &limit],
        )
        .await?;
    Ok(rows.iter().map(summary).collect())
}

fn summary(row: &Row) -> Summary {
    Summary {
        id: row.get("id"),
        received_at: row.get("received_at"),
        stage: row.get("stage"),
        code: row.get("code"),
        pointer: row.get("pointer"),
        detail: row.get("detail"),
        source: row.get("source"),
        event_id: row.get("event_id"),
        payload_length: row.get("payload_length"),
        replayed_at: row.get("replayed_at"),
        discarded_at: row.get("discarded_at"),
    }
}

/// Reads one dead letter with everything that is known of it.
pub async fn show(client: &Client, id: i64) -> Result<Option<(Summary, Letter)>, tokio_postgres::Error> {
    let row = client
        .query_opt(include_str!("sql/show_dead_letter.sql"), &[&id])
        .await?;
    Ok(row.map(|row| (summary(&row), letter(&row))))
}

fn letter(row: &Row) -> Letter {
    Letter {
        id: row.get("id"),
        received_at: row.get("received_at"),
        stage: row.get("stage"),
        source: row.get("source"),
        event_id: row.get("event_id"),
        message_id: row.get("message_id"),
        trusted: row.get("trusted"),
        origin: row.get("origin"),
        scope: row.get("scope"),
        payload: row.get("payload"),
        payload_length: row.get("payload_length"),
    }
}

/// The id of the newest dead letter; 0 where there is none.
pub async fn newest(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let row = client
        .query_one(include_str!("sql/newest_dead_letter.sql"), &[])
        .await?;
    Ok(row.get(0))
}

/// Reads up to `limit` waiting dead letters of a selection with an id above `after` and up to `until`, oldest
/// first.
pub async fn read(
    client: &Client,
    selection: &Selection,
    after: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<Letter>, tokio_postgres::Error> {
    let parameters: [&(dyn ToSql + Sync); 6] = [
        &selection.ids,
        &selection.code,
        &selection.source,
        &after,
        &limit,
        &until,
    ];
    let rows = client
        .query(include_str!("sql/read_dead_letters.sql"), &parameters)
        .await?;
    Ok(rows.iter().map(letter).collect())
}

/// Notes that dead letters were sent again.
pub async fn mark_replayed(
    client: &Client,
    ids: &[i64],
    now: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    client
        .execute(include_str!("sql/mark_replayed.sql"), &[&ids, &now])
        .await?;
    Ok(())
}

/// Gives dead letters up: their payloads go, the account of them stays. Returns how many.
pub async fn discard(
    client: &Client,
    selection: &Selection,
    now: Timestamp,
) -> Result<u64, tokio_postgres::Error> {
    let parameters: [&(dyn ToSql + Sync); 4] = [&selection.ids, &selection.code, &selection.source, &now];
    client
        .execute(include_str!("sql/discard_dead_letters.sql"), &parameters)
        .await
}
