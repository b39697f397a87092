//! Counts what the event store holds of a file, by the ids of its lines.

use std::collections::HashSet;
use std::path::Path;

use uuid::Uuid;

use super::super::databases::open_events;
use super::lines::{Defaults, Lines};
use crate::cli::ImportFormat;
use crate::config::Config;
use crate::event::{event_id_for, message_id};

const LOOK_UP: usize = 5_000;

/// How many different events of the file are stored.
pub(super) async fn count_stored(
    config: &Config,
    file: &Path,
    format: ImportFormat,
    defaults: Defaults,
    source: &str,
) -> anyhow::Result<u64> {
    let client = open_events(config).await?;
    let mut lines = Lines::open(file, format, defaults)?;
    let mut seen: HashSet<Uuid> = HashSet::new();
    let mut ids: Vec<Uuid> = Vec::new();
    let mut stored = 0;
    loop {
        let line = lines.next_line()?;
        if ids.len() >= LOOK_UP || (line.is_none() && !ids.is_empty()) {
            let found = client
                .query_one(include_str!("../../store/sql/count_ids.sql"), &[&ids])
                .await?;
            stored += found.get::<_, i64>(0).unsigned_abs();
            ids.clear();
        }
        let Some(line) = line else { return Ok(stored) };
        if let Some(id) = message_id(&line.event) {
            let id = event_id_for(source, true, &id);
            if seen.insert(id) {
                ids.push(id);
            }
        }
    }
}
