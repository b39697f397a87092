//! Taking an anonymous id away from a user, for ever.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::{Client, Error};

use super::look::{Link, link};

/// Events that go from one person to another; `None` is the visitor alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub from: Option<String>,
    pub to: Option<String>,
    pub events: i64,
}

/// The edge of that number.
pub async fn find(client: &Client, edge_id: i64) -> Result<Option<Link>, Error> {
    let row = client
        .query_opt(include_str!("../sql/show_link.sql"), &[&edge_id])
        .await?;
    Ok(row.as_ref().map(link))
}

/// What a revocation would change, among the events that are stored now.
pub async fn preview(client: &Client, link: &Link) -> Result<Vec<Change>, Error> {
    let preview = include_str!("../sql/preview_revocation.sql");
    let rows = client
        .query(preview, &[&link.anonymous_id, &link.user_id])
        .await?;
    let change = |row: &tokio_postgres::Row| Change {
        from: row.get("from"),
        to: row.get("to"),
        events: row.get("events"),
    };
    Ok(rows.iter().map(change).collect())
}

/// Revokes the pair of an edge. Repeating it changes nothing.
pub async fn revoke(client: &Client, link: &Link, reason: Option<&str>, now: Timestamp) -> Result<(), Error> {
    let add = include_str!("../sql/add_revocation.sql");
    client
        .execute(add, &[&link.anonymous_id, &link.user_id, &now, &reason])
        .await?;
    Ok(())
}
