//! The event catalogue: which events exist and what their properties look like.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

/// An event that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct CatalogEntry {
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Empty for calls without a name.
    pub event: String,
    pub events: i64,
    /// To the minute.
    pub first_seen_at: Timestamp,
    /// To the minute.
    pub last_seen_at: Timestamp,
    pub properties: Vec<CatalogProperty>,
}

/// A property of an event, with how often each JSON type was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CatalogProperty {
    pub property: String,
    pub types: BTreeMap<String, i64>,
}

impl CatalogProperty {
    /// How many values have another type than the usual one; null is nobody's conflict.
    pub fn conflicts(&self) -> i64 {
        let typed = || {
            self.types
                .iter()
                .filter(|(name, _)| *name != "null")
                .map(|(_, seen)| *seen)
        };
        typed().sum::<i64>() - typed().max().unwrap_or(0)
    }
}

/// Reads the catalogue, most frequent events first.
pub async fn list(client: &Client, event: Option<&str>) -> Result<Vec<CatalogEntry>, tokio_postgres::Error> {
    let rows = client
        .query(include_str!("sql/list_catalog.sql"), &[&event])
        .await?;
    rows.iter()
        .map(|row| {
            let properties: tokio_postgres::types::Json<Vec<CatalogProperty>> = row.try_get("properties")?;
            Ok(CatalogEntry {
                source: row.get("source"),
                kind: row.get("type"),
                event: row.get("event"),
                events: row.get("events"),
                first_seen_at: row.get("first_seen_at"),
                last_seen_at: row.get("last_seen_at"),
                properties: properties.0,
            })
        })
        .collect()
}

/// The names of all sources that events are stored with.
pub async fn sources(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client.query(include_str!("sql/list_sources.sql"), &[]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_no_conflict() {
        let types = BTreeMap::from([
            ("null".to_owned(), 9),
            ("string".to_owned(), 5),
            ("number".to_owned(), 2),
        ]);
        let property = CatalogProperty {
            property: "price".to_owned(),
            types,
        };
        assert_eq!(property.conflicts(), 2);
    }
}
