//! Writes what a batch's rows say of who is who.

use std::borrow::Cow;
use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::pairs::{KnownPairs, Pair};
use crate::identity::{Fact, Sighting, facts};
use crate::store::batch::Row;

/// What a batch adds, in the order of the pairs: every worker locks them in the same one.
pub(in crate::store) type News<'a> = BTreeMap<(Cow<'a, str>, &'a str, &'a str), Sighting<'a>>;

/// Writes the edges and claims of rows that are stored in this transaction, as far as they are news; at most a statement
/// each. What comes back is to be learned after the commit.
pub(in crate::store) async fn record<'a>(
    transaction: &Transaction<'_>,
    rows: &[&'a Row<'a>],
    known: &KnownPairs,
) -> Result<News<'a>, tokio_postgres::Error> {
    let news = news(rows, known);
    let (edges, claims): (Vec<_>, Vec<_>) = news
        .iter()
        .map(|((anonymous_id, user_id, claimed_by), sighting)| {
            (pair(anonymous_id, user_id, claimed_by), *sighting)
        })
        .partition(|(pair, _)| pair.claimed_by.is_empty());
    add(transaction, include_str!("../sql/add_edges.sql"), &edges).await?;
    add(transaction, include_str!("../sql/add_claims.sql"), &claims).await?;
    Ok(news)
}

/// Takes note of what [`record`] wrote.
pub(in crate::store) fn learn(known: &mut KnownPairs, news: &News<'_>) {
    known.learn(
        news.iter()
            .map(|((anonymous_id, user_id, claimed_by), sighting)| {
                (pair(anonymous_id, user_id, claimed_by), *sighting)
            }),
    );
}

fn pair<'a>(anonymous_id: &'a str, user_id: &'a str, claimed_by: &'a str) -> Pair<'a> {
    Pair {
        anonymous_id,
        user_id,
        claimed_by,
    }
}

fn news<'a>(rows: &[&'a Row<'a>], known: &KnownPairs) -> News<'a> {
    let mut news = News::new();
    for event in rows.iter().map(|row| &row.event) {
        for Fact {
            anonymous_id,
            user_id,
            evidence,
        } in facts(event)
        {
            let claimed_by = if event.trusted { "" } else { event.source.as_ref() };
            let sighting = Sighting::new(event.occurred_at, event.event_id, &event.source, evidence);
            if known.is_news(pair(&anonymous_id, user_id, claimed_by), &sighting) {
                news.entry((anonymous_id, user_id, claimed_by))
                    .and_modify(|seen| *seen = seen.merge(sighting))
                    .or_insert(sighting);
            }
        }
    }
    news
}

async fn add(
    transaction: &Transaction<'_>,
    statement: &str,
    seen: &[(Pair<'_>, Sighting<'_>)],
) -> Result<(), tokio_postgres::Error> {
    if seen.is_empty() {
        return Ok(());
    }
    let add = transaction.prepare_cached(statement).await?;
    transaction.execute(&add, &Columns::of(seen).parameters()).await?;
    Ok(())
}

/// Pairs by column, as `add_edges.sql` and `add_claims.sql` take them.
pub(super) struct Columns<'a> {
    anonymous_ids: Vec<&'a str>,
    user_ids: Vec<&'a str>,
    firsts: Vec<Timestamp>,
    lasts: Vec<Date>,
    sources: Vec<&'a str>,
    evidence: Vec<&'static str>,
    event_ids: Vec<Uuid>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(seen: &[(Pair<'a>, Sighting<'a>)]) -> Self {
        let pairs = || seen.iter().map(|(pair, _)| pair);
        let sightings = || seen.iter().map(|(_, sighting)| sighting);
        Self {
            anonymous_ids: pairs().map(|pair| pair.anonymous_id).collect(),
            user_ids: pairs().map(|pair| pair.user_id).collect(),
            firsts: sightings().map(|sighting| sighting.first_seen_at).collect(),
            lasts: sightings().map(|sighting| sighting.last_seen_on).collect(),
            sources: sightings().map(|sighting| sighting.source).collect(),
            evidence: sightings().map(|sighting| sighting.evidence.as_str()).collect(),
            event_ids: sightings().map(|sighting| sighting.event_id).collect(),
        }
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 7] {
        [
            &self.anonymous_ids,
            &self.user_ids,
            &self.firsts,
            &self.lasts,
            &self.sources,
            &self.evidence,
            &self.event_ids,
        ]
    }
}
