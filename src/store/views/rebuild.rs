//! A copy of all tables beside the live ones: to make everything anew, or to see whether it would come to the same.

use deadpool_postgres::{Client, Transaction};
use tokio_postgres::Error;

use crate::views::DEFINITION_VERSION;

/// Tables that people read.
pub const VIEWS: [&str; 13] = [
    "user_views",
    "person_days",
    "sessions",
    "items",
    "user_topic_affinity",
    "user_author_affinity",
    "user_lifecycle_transition",
    "content_day",
    "author_day",
    "topic_day",
    "channel_day",
    "daily_active_all",
    "view_run",
];
/// Tables that only runs read.
const STATES: [&str; 6] = ["marks", "stream_days", "links", "people", "shares", "meta"];
/// Columns that say when and not what.
const NOT_COMPARED: &str = "updated_at";

/// Which tables a transaction reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Live,
    Copy,
}

/// Makes a transaction use the live tables, or the copy.
pub async fn use_schema(transaction: &Transaction<'_>, schema: Schema) -> Result<(), Error> {
    let path = match schema {
        Schema::Live => "public, state",
        Schema::Copy => "views_copy",
    };
    transaction
        .batch_execute(&format!("SET LOCAL search_path = {path}"))
        .await
}

/// Makes an empty copy, with the live tables' averages: they are an input.
pub async fn make_copy(client: &Client, zone: &str) -> Result<(), Error> {
    drop_copy(client).await?;
    let mut statements = "CREATE SCHEMA views_copy;".to_owned();
    let all = VIEWS
        .map(|name| ("public", name))
        .into_iter()
        .chain(STATES.map(|name| ("state", name)));
    for (schema, name) in all {
        statements.push_str(&format!(
            "CREATE TABLE views_copy.{name} (LIKE {schema}.{name} INCLUDING ALL);"
        ));
    }
    statements.push_str("INSERT INTO views_copy.shares SELECT * FROM state.shares;");
    client.batch_execute(&statements).await?;
    client
        .execute(
            include_str!("../sql/views/copy_meta.sql"),
            &[&DEFINITION_VERSION, &zone],
        )
        .await?;
    Ok(())
}

/// Drops the copy, if there is one.
pub async fn drop_copy(client: &Client) -> Result<(), Error> {
    client
        .batch_execute("DROP SCHEMA IF EXISTS views_copy CASCADE")
        .await
}

/// Fills the live tables with what is in the copy, all or nothing. Readers wait meanwhile; what others have built on the
/// tables stays.
pub async fn swap_in(transaction: &Transaction<'_>) -> Result<(), Error> {
    let mut statements = String::new();
    let views = VIEWS.into_iter().filter(|name| *name != "view_run");
    for (schema, name) in views
        .map(|name| ("public", name))
        .chain(STATES.map(|name| ("state", name)))
    {
        statements.push_str(&format!(
            "TRUNCATE {schema}.{name}; INSERT INTO {schema}.{name} SELECT * FROM views_copy.{name};"
        ));
    }
    statements.push_str("DROP SCHEMA views_copy CASCADE;");
    transaction.batch_execute(&statements).await
}

/// How many rows of each table are in one of live tables and copy and not in the other; only tables that differ.
pub async fn compare(client: &Client) -> Result<Vec<(String, i64)>, Error> {
    let mut differences = Vec::new();
    let compared = VIEWS
        .into_iter()
        .filter(|name| *name != "view_run")
        .map(|name| ("public", name))
        .chain(["stream_days", "links", "people"].map(|name| ("state", name)));
    for (schema, name) in compared {
        let columns = client
            .query_one(
                include_str!("../sql/views/columns.sql"),
                &[&schema, &name, &NOT_COMPARED],
            )
            .await?;
        let columns: String = columns.get(0);
        let row = client
            .query_one(
                &format!(
                    "SELECT count(*) FROM ((SELECT {columns} FROM {schema}.{name} EXCEPT ALL SELECT {columns} FROM views_copy.{name}) \
                     UNION ALL (SELECT {columns} FROM views_copy.{name} EXCEPT ALL SELECT {columns} FROM {schema}.{name})) AS d"
                ),
                &[],
            )
            .await?;
        let count: i64 = row.get(0);
        if count > 0 {
            differences.push((name.to_owned(), count));
        }
    }
    Ok(differences)
}
