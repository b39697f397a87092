//! Derives once more who is who from the events that are stored, beside captures that go on. What it finds is added as
//! capture would have added it: nothing is taken away, and revocations are facts of their own.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::{Client, Error, Row};

use super::pairs::Pair;
use super::record::Columns;
use crate::identity::{Evidence, Sighting};
use crate::store::month::Month;

/// Pairs that are written, and locked, at once.
const CHUNK: i64 = 1000;

/// What was not written before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    pub edges: u64,
    pub claims: u64,
}

impl Found {
    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: Self) {
        self.edges += other.edges;
        self.claims += other.claims;
    }
}

/// A rebuild on a connection of its own.
pub struct Rebuild<'a>(&'a mut Client);

impl<'a> Rebuild<'a> {
    /// Begins one; at most one on a connection.
    pub async fn begin(client: &'a mut Client) -> Result<Self, Error> {
        client
            .execute(include_str!("../sql/make_rebuilt.sql"), &[])
            .await?;
        Ok(Self(client))
    }

    /// The months that have events, from the oldest on.
    pub async fn months(&self) -> Result<Vec<Month>, Error> {
        let months = self
            .0
            .query("SELECT month FROM months ORDER BY month", &[])
            .await?;
        Ok(months
            .iter()
            .map(|row| Month::from_first_day(row.get(0)))
            .collect())
    }

    /// Finds what a month's events say and nobody has written, and writes it if `writes`. A pair that other months name as
    /// well is counted with each that says more of it.
    pub async fn month(&mut self, month: Month, writes: bool) -> Result<Found, Error> {
        self.0.execute("TRUNCATE rebuilt RESTART IDENTITY", &[]).await?;
        let find = include_str!("../sql/rebuild_month.sql");
        self.0
            .execute(find, &[&month.start(), &month.next().start()])
            .await?;
        let mut found = Found::default();
        for first in (1_i64..).step_by(CHUNK as usize) {
            let next = "SELECT * FROM rebuilt WHERE number >= $1 AND number < $1 + $2 ORDER BY number";
            let rows = self.0.query(next, &[&first, &CHUNK]).await?;
            if rows.is_empty() {
                break;
            }
            let (edges, claims): (Vec<_>, Vec<_>) = rows
                .iter()
                .map(seen)
                .partition(|(pair, _)| pair.claimed_by.is_empty());
            found.add(Found {
                edges: edges.len() as u64,
                claims: claims.len() as u64,
            });
            if writes {
                self.write(include_str!("../sql/add_edges.sql"), &edges).await?;
                self.write(include_str!("../sql/add_claims.sql"), &claims).await?;
            }
        }
        Ok(found)
    }

    /// Finds wishes to be forgotten that were stored and are not on the list, and puts them on it if `writes`.
    pub async fn wishes(&mut self, writes: bool) -> Result<u64, Error> {
        let list = include_str!("../sql/list_stored_wishes.sql");
        let rows = self.0.query(list, &[]).await?;
        if writes && !rows.is_empty() {
            let ids: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
            let since: Vec<Timestamp> = rows.iter().map(|row| row.get(1)).collect();
            let transaction = self.0.transaction().await?;
            transaction
                .execute(include_str!("../sql/lock_suppressions.sql"), &[])
                .await?;
            transaction
                .execute(include_str!("../sql/add_suppressions.sql"), &[&ids, &since])
                .await?;
            transaction.commit().await?;
        }
        Ok(rows.len() as u64)
    }

    async fn write(&self, add: &str, seen: &[(Pair<'_>, Sighting<'_>)]) -> Result<(), Error> {
        if !seen.is_empty() {
            self.0.execute(add, &Columns::of(seen).parameters()).await?;
        }
        Ok(())
    }
}

fn seen(row: &Row) -> (Pair<'_>, Sighting<'_>) {
    let evidence: &str = row.get("evidence");
    let known = [Evidence::Alias, Evidence::Identify];
    let pair = Pair {
        anonymous_id: row.get("anonymous_id"),
        user_id: row.get("user_id"),
        claimed_by: row.get("claimed_by"),
    };
    let sighting = Sighting {
        first_seen_at: row.get("first_seen_at"),
        event_id: row.get("event_id"),
        source: row.get("source"),
        evidence: known
            .into_iter()
            .find(|known| known.as_str() == evidence)
            .unwrap_or(Evidence::Event),
        last_seen_on: row.get("last_seen_on"),
    };
    (pair, sighting)
}
