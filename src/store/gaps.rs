//! Offsets that a log had lost before capture read them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;
use uuid::Uuid;

/// A run of lost offsets: `from` is the first, `to` the first behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub log_id: Uuid,
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    pub noticed_at: Timestamp,
}

/// All that was ever lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    pub count: i64,
    /// Offsets in all of them.
    pub records: i64,
    /// Up to 20.
    pub newest: Vec<Gap>,
}

/// Reads what is known to be lost.
///
/// # Errors
/// When the database fails.
pub async fn list(client: &Client) -> Result<Gaps, tokio_postgres::Error> {
    let rows = client.query(include_str!("sql/list_gaps.sql"), &[]).await?;
    let gap = |row: &tokio_postgres::Row| Gap {
        log_id: row.get("log_id"),
        partition: row.get("log_partition"),
        from: row.get("from_offset"),
        to: row.get("to_offset"),
        noticed_at: row.get("noticed_at"),
    };
    Ok(Gaps {
        count: rows.first().map_or(0, |row| row.get("gaps")),
        records: rows.first().map_or(0, |row| row.get("records")),
        newest: rows.iter().map(gap).collect(),
    })
}
