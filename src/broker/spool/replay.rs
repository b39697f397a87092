//! Sending what is spooled to the log, past what cannot be sent.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::aside::Aside;
use super::{EMPTY_BYTES, PARTITION, PROBE_AFTER, Spool, TICK};
use crate::broker::intake::{Log, append_by_key};
use crate::broker::{EventLog, LogError, Record, StoredRecord};
use crate::retry::Backoff;
use crate::telemetry::metric;

/// Bytes of values that are sent to the log at once.
const REPLAY_BYTES: usize = 1 << 20;
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often what was set aside is tried again, beside at each start.
const ASIDE_AGAIN: Duration = Duration::from_secs(3600);

/// A log, and how records without a key are spread over it.
struct Target<'a> {
    log: &'a dyn EventLog,
    spread: &'a AtomicU32,
}

impl Target<'_> {
    async fn append(&self, records: Vec<Record>) -> Result<(), LogError> {
        append_by_key(self.log, records, self.spread, REPLAY_TIMEOUT).await
    }
}

impl Spool {
    /// Sends what is spooled to the log as soon as it is there and takes it, for ever.
    pub async fn keep_replaying(&self, log: Log) {
        tokio::select! {
            () = self.replay(log) => {}
            // Apart: an append to a log that is away takes its time.
            () = self.keep_measuring() => {}
        }
    }

    async fn replay(&self, mut log: Log) {
        let spread = AtomicU32::new(rand::random());
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut aside_due = Instant::now();
        loop {
            let Some(found) = log.borrow_and_update().clone() else {
                let _ = tokio::time::timeout(TICK, log.changed()).await;
                continue;
            };
            let target = Target {
                log: &*found,
                spread: &spread,
            };
            match self.replay_some(&target).await {
                Ok(0) => {
                    self.probe_if_due();
                    self.tidy().await;
                    if Instant::now() >= aside_due && !self.stands_in() {
                        self.replay_aside(&target).await;
                        aside_due = Instant::now() + ASIDE_AGAIN;
                    }
                    let _ = tokio::time::timeout(TICK, self.appended.notified()).await;
                }
                Ok(_) => backoff.reset(),
                Err(error) => {
                    self.stand_in(&error.to_string());
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    /// Sends the next records; returns how many.
    async fn replay_some(&self, target: &Target<'_>) -> Result<usize, LogError> {
        let next = self.state().next;
        let stored = match self
            .log
            .fetch(PARTITION, next, REPLAY_BYTES, Duration::ZERO)
            .await
        {
            Err(LogError::Fatal(reason)) => return self.pass_damage(next, &reason).await,
            stored => stored?,
        };
        let Some(last) = stored.last() else { return Ok(0) };
        let (count, next) = (stored.len(), last.offset + 1);
        self.state().oldest = stored.first().map(|record| record.appended_at);
        self.send(target, &stored).await?;
        counter!(metric::SPOOL_REPLAYED_TOTAL).increment(count as u64);
        self.replayed(next).await;
        Ok(count)
    }

    /// Sends records, and finds the ones among them that the log does not take.
    async fn send(&self, target: &Target<'_>, stored: &[StoredRecord]) -> Result<(), LogError> {
        let mut waiting = vec![stored];
        while let Some(part) = waiting.pop() {
            let records = part.iter().map(|record| Record {
                key: record.key.clone(),
                value: (self.mark)(record.value.clone()),
            });
            match (target.append(records.collect()).await, part) {
                (Ok(()), _) => {}
                (Err(LogError::BadRecord(reason)), [record]) => self.set_aside(record, &reason)?,
                (Err(LogError::BadRecord(_)), _) => {
                    let (head, tail) = part.split_at(part.len() / 2);
                    waiting.extend([tail, head]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts a record into a file of its own, so that it holds nothing up.
    fn set_aside(&self, record: &StoredRecord, reason: &str) -> Result<(), LogError> {
        let kept = self.aside.keep(record, reason);
        let file = kept.map_err(|error| LogError::Unavailable(format!("cannot be set aside: {error}")))?;
        error!(
            reason,
            bytes = record.value.len(),
            file = %file.display(),
            "the event log does not take a spooled event; it is kept in a file and tried again"
        );
        self.look_aside();
        Ok(())
    }

    /// Goes on behind what cannot be read; whether a part was passed or can be read after all, the next call tells.
    async fn pass_damage(&self, from: i64, reason: &str) -> Result<usize, LogError> {
        let unusable = |error: std::io::Error| LogError::Unavailable(error.to_string());
        let folder = self.aside.folder().map_err(unusable)?;
        let passed = self.log.pass_damage(from, folder).await?;
        if passed.next == from {
            return Err(LogError::Unavailable(reason.to_owned()));
        }
        let (to, file) = (passed.next, passed.kept);
        match file {
            Some(file) => {
                let file = file.display();
                error!(reason, from, to, %file, "events in the spool cannot be read and are not sent; the damaged file is kept");
            }
            None => {
                let note = self.aside.note_missing(from, to, reason).map_err(unusable)?;
                let note = note.display();
                error!(reason, from, to, %note, "events of the spool are missing");
            }
        }
        self.look_aside();
        self.replayed(passed.next).await;
        Ok(usize::try_from(passed.next - from).unwrap_or(1))
    }

    /// Tries what was set aside again: the log may take more by now.
    async fn replay_aside(&self, target: &Target<'_>) {
        for file in self.aside.records().unwrap_or_default() {
            let sent = match Aside::read(&file) {
                Ok(record) => {
                    let value = (self.mark)(record.value);
                    target.append(vec![Record { value, ..record }]).await
                }
                Err(error) => Err(LogError::BadRecord(error.to_string())),
            };
            let file_name = file.display();
            match sent {
                Ok(()) => match std::fs::remove_file(&file) {
                    Ok(()) => info!(file = %file_name, "the event log has taken an event that was set aside"),
                    Err(error) => warn!(file = %file_name, %error, "sent, but the file cannot be deleted"),
                },
                Err(error @ LogError::BadRecord(_)) => {
                    error!(file = %file_name, %error, "the event log still does not take an event that was set aside");
                }
                Err(_) => break,
            }
        }
        self.look_aside();
    }

    /// The log has everything before `next`.
    async fn replayed(&self, next: i64) {
        let end = self.log.offsets(PARTITION).await.map_or(next, |range| range.end);
        {
            let mut state = self.state();
            state.next = next;
            if next == end {
                state.oldest = None;
            }
            if let Some((since, _)) = state.stands_in.take() {
                let seconds = since.elapsed().as_secs();
                info!(
                    seconds,
                    left = end - next,
                    "the event log takes events again; the spool is replayed"
                );
            }
        }
        self.log.release(PARTITION, next);
        self.tidy().await;
        self.measure().await;
    }

    /// Deletes what was replayed a while ago.
    async fn tidy(&self) {
        if self.log.bytes() > EMPTY_BYTES
            && let Err(error) = self.log.retain().await
        {
            warn!(%error, "what was replayed from the spool could not be deleted; will try again");
        }
    }

    /// With nothing to replay, only a new append can tell whether the log is back.
    fn probe_if_due(&self) {
        let mut state = self.state();
        if state
            .stands_in
            .as_ref()
            .is_some_and(|(since, _)| since.elapsed() >= PROBE_AFTER)
        {
            state.stands_in = None;
        }
    }
}
