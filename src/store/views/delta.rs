//! The events that are new, read from the event store by their place in the log.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::{Client, Transaction};
use jiff::Timestamp;
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use crate::event::{Event, EventKind, Origin, RawJson};
use crate::views::{Act, Verb, Zone};

/// A partition of a log.
pub type Partition = (Uuid, i32);
/// The next offset to read of each partition.
pub type Marks = BTreeMap<Partition, i64>;

/// The most names of unknown events that are noted.
const MOST_NAMES: usize = 50;

/// What came since the last time.
#[derive(Debug, Default)]
pub struct Delta {
    pub acts: Vec<Act>,
    pub rows_read: i64,
    /// Where to read on.
    pub marks: Marks,
    /// Whether that is where capture stood.
    pub is_all: bool,
    /// Some names of track events that the vocabulary does not have.
    pub unknown_events: BTreeSet<String>,
    /// Pairs that are not to be joined, all of them.
    pub revoked: BTreeSet<(String, String)>,
}

/// Reads events that capture has committed and that are not before `marks`, at most `most`; all of one moment.
///
/// # Errors
/// When the event store cannot be reached.
pub async fn read(
    client: &mut Client,
    marks: &Marks,
    until: Option<&Marks>,
    most: usize,
    zone: &Zone,
) -> Result<Delta, tokio_postgres::Error> {
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let mut delta = Delta {
        marks: marks.clone(),
        is_all: true,
        ..Delta::default()
    };
    let positions = snapshot
        .query(include_str!("../sql/views/positions.sql"), &[])
        .await?;
    for position in &positions {
        let partition: Partition = (position.get("log_id"), position.get("log_partition"));
        let from = marks.get(&partition).copied().unwrap_or(0);
        let reached: i64 = position.get("next_offset");
        let to = match until {
            Some(until) => until.get(&partition).copied().unwrap_or(0).min(reached),
            None => reached,
        };
        if from >= to {
            continue;
        }
        let left = most.saturating_sub(delta.rows_read as usize);
        if left == 0 {
            delta.is_all = false;
            break;
        }
        let next = read_partition(
            &snapshot,
            position.get("id"),
            partition.1,
            from..to,
            left,
            zone,
            &mut delta,
        )
        .await?;
        delta.is_all &= next == to;
        delta.marks.insert(partition, next);
    }
    let revoked = snapshot
        .query("SELECT anonymous_id, user_id FROM identity_revocations", &[])
        .await?;
    delta.revoked = revoked.iter().map(|row| (row.get(0), row.get(1))).collect();
    snapshot.commit().await?;
    Ok(delta)
}

/// About how many events there are.
pub async fn total(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let row = client
        .query_one("SELECT coalesce(sum(stored), 0)::bigint FROM positions", &[])
        .await?;
    Ok(row.get(0))
}

/// Returns where to read on.
async fn read_partition(
    snapshot: &Transaction<'_>,
    log: i32,
    partition: i32,
    offsets: std::ops::Range<i64>,
    most: usize,
    zone: &Zone,
    delta: &mut Delta,
) -> Result<i64, tokio_postgres::Error> {
    let statement = snapshot
        .prepare_cached(include_str!("../sql/views/delta.sql"))
        .await?;
    let rows = snapshot
        .query(
            &statement,
            &[&log, &partition, &offsets.start, &offsets.end, &(most as i64)],
        )
        .await?;
    for row in &rows {
        delta.take(row, zone);
    }
    Ok(match rows.last() {
        Some(last) if rows.len() == most => last.get::<_, i64>("log_offset") + 1,
        _ => offsets.end,
    })
}

impl Delta {
    fn take(&mut self, row: &Row, zone: &Zone) {
        self.rows_read += 1;
        let event = event(row);
        let is_unknown = |name: &&str| Verb::named(name) == Verb::Other;
        if let Some(name) = event.event.as_deref().filter(is_unknown)
            && self.unknown_events.len() < MOST_NAMES
            && !self.unknown_events.contains(name)
        {
            self.unknown_events.insert(name.to_owned());
        }
        self.acts.extend(Act::new(&event, zone));
    }
}

/// The part of an event that views need.
fn event(row: &Row) -> Event<'_> {
    let text = |column: &str| row.get::<_, Option<&str>>(column).map(Cow::Borrowed);
    let json = |column: &str| text(column).map(RawJson::Scanned);
    let occurred_at: Timestamp = row.get("occurred_at");
    Event {
        v: 1,
        event_id: row.get("event_id"),
        kind: row.get::<_, &str>("type").parse().unwrap_or(EventKind::Track),
        received_at: occurred_at,
        accepted_at: row.get("accepted_at"),
        occurred_at,
        original_timestamp: None,
        sent_at: None,
        event: text("event"),
        name: None,
        user_id: text("user_id"),
        anonymous_id: text("anonymous_id"),
        group_id: None,
        previous_id: text("previous_id"),
        message_id: None,
        source: Cow::Borrowed(row.get("source")),
        trusted: row.get("trusted"),
        is_bot: row.get("is_bot"),
        origin: Origin::Live,
        properties: json("properties"),
        traits: None,
        context: json("context"),
    }
}
