//! Counts what the event store holds of a file, by the ids of its lines.

use std::collections::HashSet;

use tokio_postgres::Client;
use uuid::Uuid;

use super::lines::Lines;
use super::progress::Progress;
use crate::event::{event_id_for, message_id};

const LOOK_UP: usize = 5_000;

/// What a file should have made, and what there is of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Different events among the accepted lines.
    pub(super) different: u64,
    pub(super) stored: u64,
}

/// Counts the events of the accepted lines; `trusted` as it was when they were sent.
pub(super) async fn count(
    client: &Client,
    mut lines: Lines,
    progress: &Progress,
    source: &str,
    trusted: bool,
) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let mut seen: HashSet<Uuid> = HashSet::new();
    let mut ids: Vec<Uuid> = Vec::new();
    loop {
        let line = lines.next_line()?;
        if ids.len() >= LOOK_UP || (line.is_none() && !ids.is_empty()) {
            let found = client
                .query_one(include_str!("../../store/sql/count_ids.sql"), &[&ids])
                .await?;
            counted.different += ids.len() as u64;
            counted.stored += found.get::<_, i64>(0).unsigned_abs();
            ids.clear();
        }
        let Some(line) = line else { return Ok(counted) };
        if progress.is_rejected(lines.number()) {
            continue;
        }
        if let Some(id) = message_id(&line.event) {
            let id = event_id_for(source, trusted, &id);
            if seen.insert(id) {
                ids.push(id);
            }
        }
    }
}
