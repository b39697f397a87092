//! What is known of an id.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

/// The most links, and the most claims, that are shown of an id.
pub const MOST: i64 = 100;

/// An edge, revoked or not.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    pub edge_id: i64,
    pub anonymous_id: String,
    pub user_id: String,
    pub source: String,
    pub evidence: String,
    pub event_id: Uuid,
    pub first_seen_at: Timestamp,
    /// In UTC.
    pub last_seen_on: Date,
    pub revoked_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// The events without a user that it gives to its user.
    pub joined_events: i64,
    pub is_shared: bool,
    /// An alias whose previous id is a user's too: it moves nothing.
    pub names_two_users: bool,
}

/// The word of a source that is not trusted.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    pub anonymous_id: String,
    pub user_id: String,
    pub source: String,
    pub evidence: String,
    pub event_id: Uuid,
    pub first_seen_at: Timestamp,
    /// In UTC.
    pub last_seen_on: Date,
}

/// Events of an anonymous id that are one person's.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// `None` for the visitor's own.
    pub user_id: Option<String>,
    pub events: i64,
    /// Those of them that name the user themselves.
    pub signed_in_events: i64,
    pub first_event_at: Timestamp,
    pub last_event_at: Timestamp,
}

/// Events that name a user.
#[derive(Clone, Debug, Serialize)]
pub struct UserEvents {
    pub events: i64,
    pub first_event_at: Option<Timestamp>,
    pub last_event_at: Option<Timestamp>,
    /// Those of sources that are not trusted, which are not the user's.
    pub claimed_events: i64,
}

/// Everything that is known of an id, which may be a user's, an anonymous one, or both.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    pub id: String,
    /// As an anonymous id.
    pub shares: Vec<Share>,
    /// When the visitor asked to be forgotten.
    pub forgotten_at: Option<Timestamp>,
    /// As a user's.
    pub user: UserEvents,
    pub links: Vec<Link>,
    /// How many there are; more than `links` where they are too many to show.
    pub total_links: i64,
    pub claims: Vec<Claim>,
    pub total_claims: i64,
}

impl Known {
    /// Whether the id stands anywhere.
    pub fn is_anybody(&self) -> bool {
        let user = &self.user;
        !(self.shares.is_empty() && self.links.is_empty() && self.claims.is_empty())
            || self.forgotten_at.is_some()
            || user.events + user.claimed_events > 0
    }

    /// The edges of the id as an anonymous one that may move events.
    pub fn joins(&self) -> impl Iterator<Item = &Link> {
        let is_join = |link: &&Link| link.anonymous_id == self.id && !link.names_two_users;
        self.links.iter().filter(is_join)
    }

    /// The users whom it is joined to as an anonymous id.
    pub fn users(&self) -> Vec<&str> {
        let live = self.joins().filter(|link| link.revoked_at.is_none());
        live.map(|link| link.user_id.as_str()).collect()
    }
}

/// Looks an id up.
pub async fn look(client: &Client, id: &str) -> Result<Known, Error> {
    let links = client
        .query(include_str!("../sql/list_links.sql"), &[&id, &MOST])
        .await?;
    let claims = client
        .query(include_str!("../sql/list_claims.sql"), &[&id, &MOST])
        .await?;
    let shares = client
        .query(include_str!("../sql/show_visitor.sql"), &[&id])
        .await?;
    let user = client
        .query_one(include_str!("../sql/show_user.sql"), &[&id])
        .await?;
    let forgotten = client
        .query_opt(include_str!("../sql/find_suppressions.sql"), &[&[id].as_slice()])
        .await?;
    let total = |rows: &[Row]| rows.first().map_or(0, |row| row.get("total"));
    Ok(Known {
        id: id.to_owned(),
        shares: shares.iter().map(share).collect(),
        forgotten_at: forgotten.map(|row| row.get("accepted_from")),
        user: UserEvents {
            events: user.get("events"),
            first_event_at: user.get("first_event_at"),
            last_event_at: user.get("last_event_at"),
            claimed_events: user.get("claimed_events"),
        },
        total_links: total(&links),
        links: links.iter().map(link).collect(),
        total_claims: total(&claims),
        claims: claims.iter().map(claim).collect(),
    })
}

pub(super) fn link(row: &Row) -> Link {
    Link {
        edge_id: row.get("edge_id"),
        anonymous_id: row.get("anonymous_id"),
        user_id: row.get("user_id"),
        source: row.get("source"),
        evidence: row.get("evidence"),
        event_id: row.get("event_id"),
        first_seen_at: row.get("first_seen_at"),
        last_seen_on: row.get("last_seen_on"),
        revoked_at: row.get("revoked_at"),
        reason: row.get("reason"),
        joined_events: row.get("joined_events"),
        is_shared: row.get("is_shared"),
        names_two_users: row.get("names_two_users"),
    }
}

fn claim(row: &Row) -> Claim {
    Claim {
        anonymous_id: row.get("anonymous_id"),
        user_id: row.get("user_id"),
        source: row.get("source"),
        evidence: row.get("evidence"),
        event_id: row.get("event_id"),
        first_seen_at: row.get("first_seen_at"),
        last_seen_on: row.get("last_seen_on"),
    }
}

fn share(row: &Row) -> Share {
    Share {
        user_id: row.get("user_id"),
        events: row.get("events"),
        signed_in_events: row.get("signed_in_events"),
        first_event_at: row.get("first_event_at"),
        last_event_at: row.get("last_event_at"),
    }
}
