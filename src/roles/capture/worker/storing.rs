//! Writing a fetch to PostgreSQL, whatever stands in its way.

use std::collections::{HashMap, HashSet};

use metrics::{counter, histogram};
use tokio::time::Instant;
use tracing::{error, warn};
use uuid::Uuid;

use super::super::sorting::{self, Bounds, Refusal};
use super::super::trouble::Trouble;
use super::{Owned, Worker};
use crate::broker::StoredRecord;
use crate::event::scan_object;
use crate::event::wire::{self, WireRecord};
use crate::store::batch::{Batch, Tally};
use crate::store::dedupe::Dedupe;
use crate::store::guilty::find_guilty;
use crate::store::months::ensure_month;
use crate::store::sqlstate::{Failure, describe, failure_of};
use crate::store::writer::{WriteError, write};
use crate::telemetry::metric;

/// For so many batches after a duplicate every id is looked up before COPY.
const PROBE_BATCHES: u32 = 20;

impl Worker {
    /// Writes fetched records; on return they are all accounted for.
    pub(super) async fn store(&mut self, owned: &mut Owned, records: &[StoredRecord]) -> Result<(), Trouble> {
        let bounds = Bounds::new(self.capture.backdate_from, self.capture.clock.now());
        let mut batch = sorting::sort(records, owned.next_offset, bounds)
            .map_err(|newer| Trouble::Paused(newer.to_string()))?;
        if self.is_draining {
            // A retry went to another log, and may have been stored before this, in a later month.
            batch.rows.iter_mut().for_each(|row| row.roams = true);
        }
        let begun = Instant::now();
        let written = loop {
            let dedupe = if self.probes_left > 0 {
                Dedupe::Probe
            } else {
                Dedupe::Roaming
            };
            let now = self.capture.clock.now();
            let (lease, memory) = (&owned.lease, &mut self.memory);
            let written = write(&mut owned.client, lease, &batch, dedupe, memory, now).await;
            match written {
                Ok(written) => break written,
                Err(error) => self.mend(owned, records, &mut batch, error).await?,
            }
        };
        self.account(owned, &batch, &written.tally, begun);
        self.count_properties(&batch, &written.copies);
        Ok(())
    }

    /// Removes what stood in a batch's way, so that it can be written again; anything else is trouble.
    async fn mend(
        &mut self,
        owned: &mut Owned,
        records: &[StoredRecord],
        batch: &mut Batch<'_>,
        error: WriteError,
    ) -> Result<(), Trouble> {
        let error = match error {
            WriteError::Fenced => return Err(Trouble::Fenced),
            WriteError::MissingMonths(months) => {
                for month in months {
                    ensure_month(&mut owned.client, month, self.capture.clock.now()).await?;
                }
                return Ok(());
            }
            WriteError::Database(error) => error,
        };
        match failure_of(&error) {
            Failure::Duplicate if self.probes_left < PROBE_BATCHES => {
                self.probes_left = PROBE_BATCHES;
                Ok(())
            }
            Failure::Poison => self.condemn(owned, records, batch, &error).await,
            _ => Err(error.into()),
        }
    }

    /// Makes dead letters of the rows that PostgreSQL refuses, unless they are too many to be the events' fault.
    async fn condemn(
        &mut self,
        owned: &mut Owned,
        records: &[StoredRecord],
        batch: &mut Batch<'_>,
        error: &tokio_postgres::Error,
    ) -> Result<(), Trouble> {
        let most = self.allowance.left(records.len());
        let guilty = match find_guilty(&mut owned.client, &owned.lease, batch, most).await {
            Ok(guilty) => guilty,
            Err(WriteError::Database(error)) => return Err(error.into()),
            Err(other) => return Err(Trouble::Transient(other.to_string())),
        };
        if guilty.is_empty() {
            return Err(Trouble::Paused(format!(
                "PostgreSQL refused {} events and takes each of them by itself: {}",
                records.len(),
                describe(error)
            )));
        }
        if guilty.len() > most {
            return Err(Trouble::Paused(format!(
                "PostgreSQL refuses {} of {} events or more, too many to be the events' fault: {}",
                guilty.len(),
                records.len(),
                describe(error)
            )));
        }
        self.allowance.spend(guilty.len());
        let mut reasons: HashMap<i64, _> = guilty.into_iter().map(|guilty| (guilty.offset, guilty)).collect();
        batch.rows.retain(|row| !reasons.contains_key(&row.offset));
        for record in records {
            if let Some(guilty) = reasons.remove(&record.offset) {
                warn!(
                    partition = self.partition,
                    offset = guilty.offset,
                    reason = guilty.reason,
                    "dead letter"
                );
                let refusal = Refusal::new(&format!("postgres_{}", guilty.code), "", &guilty.reason);
                let decoded = wire::decode(&record.value);
                let event = match &decoded {
                    Ok(WireRecord::Event(event)) => Some(&**event),
                    _ => None,
                };
                batch.dead_letters.push(sorting::refused(record, event, refusal));
            }
        }
        Ok(())
    }

    /// Counts the properties of what was stored.
    fn count_properties(&mut self, batch: &Batch<'_>, copies: &HashSet<Uuid>) {
        for row in &batch.rows {
            let Some(properties) = &row.event.properties else {
                continue;
            };
            if copies.contains(&row.event.event_id) {
                continue;
            }
            let name = self.memory.names.of(&row.event);
            let mut entry = self.catalog.entry(&row.event, name);
            // It was validated before.
            let _ = scan_object(properties.get(), |key, _, json_type| entry.note(key, json_type));
        }
    }

    /// Writes what the catalogue has counted, apart from the events, which its failure must not hold up.
    pub(super) async fn store_counts(&mut self, owned: &mut Owned) -> Result<(), Trouble> {
        let batch = Batch {
            from: owned.next_offset,
            to: owned.next_offset,
            properties: self.catalog.take(),
            ..Batch::default()
        };
        if batch.properties.is_empty() {
            return Ok(());
        }
        self.write_books(owned, &batch).await
    }

    /// Offsets that the log no longer has are counted, and said loudly.
    pub(super) async fn record_gap(&mut self, owned: &mut Owned, earliest: i64) -> Result<(), Trouble> {
        error!(
            partition = self.partition,
            from = owned.next_offset,
            to = earliest,
            "the log no longer holds these offsets: events are lost"
        );
        let batch = Batch {
            from: owned.next_offset,
            to: earliest,
            gap: Some(owned.next_offset..earliest),
            ..Batch::default()
        };
        self.write_books(owned, &batch).await?;
        counter!(metric::CAPTURE_RECORDS_TOTAL, "partition" => self.partition.to_string(), "outcome" => "gap")
            .increment((earliest - owned.next_offset).unsigned_abs());
        owned.next_offset = earliest;
        Ok(())
    }

    /// Writes a batch without rows.
    async fn write_books(&mut self, owned: &mut Owned, batch: &Batch<'_>) -> Result<(), Trouble> {
        let now = self.capture.clock.now();
        let (lease, memory) = (&owned.lease, &mut self.memory);
        match write(&mut owned.client, lease, batch, Dedupe::Roaming, memory, now).await {
            Ok(_) => Ok(()),
            Err(WriteError::Fenced) => Err(Trouble::Fenced),
            Err(WriteError::Database(error)) => Err(error.into()),
            Err(other) => Err(Trouble::Transient(other.to_string())),
        }
    }

    /// Takes note of a commit: position, log, metrics, status.
    fn account(&mut self, owned: &mut Owned, batch: &Batch<'_>, tally: &Tally, begun: Instant) {
        owned.next_offset = batch.to;
        self.capture.log.release(self.partition, batch.to);
        self.allowance.earn(tally.stored);
        self.probes_left = if tally.duplicate > 0 {
            PROBE_BATCHES
        } else {
            self.probes_left.saturating_sub(1)
        };
        let now = self.capture.clock.now();
        let partition = self.partition.to_string();
        for (outcome, count) in [
            ("stored", tally.stored),
            ("duplicate", tally.duplicate),
            ("dead_letter", tally.dead_letter),
            ("foreign", tally.foreign),
            ("suppressed", tally.suppressed),
        ] {
            counter!(metric::CAPTURE_RECORDS_TOTAL, "partition" => partition.clone(), "outcome" => outcome)
                .increment(count.unsigned_abs());
        }
        counter!(metric::CAPTURE_CONFLICTS_TOTAL, "partition" => partition)
            .increment(tally.conflict.unsigned_abs());
        histogram!(metric::CAPTURE_COMMIT_SECONDS).record(begun.elapsed().as_secs_f64());
        if let Some(oldest) = batch.rows.iter().map(|row| row.event.accepted_at).min() {
            histogram!(metric::CAPTURE_DELAY_SECONDS).record(now.duration_since(oldest).as_secs_f64());
        }
        self.capture.status.update(self.partition, |status| {
            status.stored += tally.stored;
            status.advance(batch.to);
            status.last_commit_at = Some(now);
        });
    }
}
