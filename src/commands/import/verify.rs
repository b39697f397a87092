//! Counts what the event store holds of a file, by the ids of its lines.

use std::collections::HashSet;

use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

use super::lines::Lines;
use crate::event::{event_id_for, message_id};

const LOOK_UP: usize = 5_000;

/// What a file should have made, and what there is of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Different events among the accepted lines.
    pub(super) different: u64,
    pub(super) stored: u64,
    /// Those of them that this import brought.
    pub(super) new: u64,
}

/// Whose ids are counted.
#[derive(Clone, Copy)]
pub(super) struct Ids<'a> {
    pub(super) source: &'a str,
    /// As it was when the lines were sent.
    pub(super) trusted: bool,
    /// When the import began, by the clock that stamps `accepted_at`.
    pub(super) since: Timestamp,
}

/// Counts the events of all lines but those that `is_rejected` names.
pub(super) async fn count(
    client: &Client,
    mut lines: Lines,
    is_rejected: impl Fn(u64) -> bool,
    ids: Ids<'_>,
) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let mut seen: HashSet<Uuid> = HashSet::new();
    let mut looked_up: Vec<Uuid> = Vec::new();
    loop {
        let line = lines.next_line()?;
        if looked_up.len() >= LOOK_UP || (line.is_none() && !looked_up.is_empty()) {
            let found = client
                .query_one(
                    include_str!("../../store/sql/count_ids.sql"),
                    &[&looked_up, &ids.since],
                )
                .await?;
            counted.different += looked_up.len() as u64;
            counted.stored += found.get::<_, i64>(0).unsigned_abs();
            counted.new += found.get::<_, i64>(1).unsigned_abs();
            looked_up.clear();
        }
        let Some(line) = line else { return Ok(counted) };
        if is_rejected(lines.number()) {
            continue;
        }
        if let Some(id) = line.text().and_then(message_id) {
            let id = event_id_for(ids.source, ids.trusted, &id);
            if seen.insert(id) {
                looked_up.push(id);
            }
        }
    }
}
