//! A scriptable log for tests of faults: rejects, loses an answer after writing, hangs.
//!
//! It keeps everything in memory and holds to [`EventLog`]'s contract but for durability. Calls beyond the
//! script are accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::{EventLog, LogError, OffsetRange, Record, StoredRecord};
use crate::clock::Clock;

/// What happens to one call.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It does what it should.
    Accept,
    /// It does nothing and returns the error.
    Reject(LogError),
    /// It does what it should, and returns [`LogError::Unavailable`] as if the answer had been lost.
    LoseAnswer,
    /// It does nothing and never returns.
    Hang,
    /// It does what it should and never returns.
    HangAfterwards,
}

/// An [`EventLog`] in memory that follows a script.
#[derive(Debug)]
pub struct FakeLog {
    log_id: Uuid,
    clock: Clock,
    partitions: Vec<watch::Sender<Kept>>,
    appends: Mutex<VecDeque<Outcome>>,
    fetches: Mutex<VecDeque<Outcome>>,
    health: Mutex<Result<(), String>>,
    longest: Mutex<usize>,
}

/// The records of a partition.
#[derive(Debug, Default)]
struct Kept {
    earliest: i64,
    records: Vec<StoredRecord>,
    released: i64,
}

impl Kept {
    fn range(&self) -> OffsetRange {
        OffsetRange {
            earliest: self.earliest,
            end: self.earliest + self.records.len() as i64,
        }
    }

    fn append(&mut self, records: Vec<Record>, clock: &Clock) -> i64 {
        let base = self.range().end;
        let appended_at = clock.now();
        let stored = (base..).zip(records).map(|(offset, record)| StoredRecord {
            offset,
            appended_at,
            key: record.key,
            value: record.value,
        });
        self.records.extend(stored);
        base
    }

    fn read(&self, offset: i64, max_bytes: usize) -> Vec<StoredRecord> {
        let skipped = usize::try_from(offset - self.earliest).unwrap_or(0);
        let mut bytes = 0;
        let fits = |record: &&StoredRecord| {
            let is_first = bytes == 0;
            bytes += record.value.len().max(1);
            is_first || bytes <= max_bytes
        };
        self.records
            .iter()
            .skip(skipped)
            .take_while(fits)
            .cloned()
            .collect()
    }
}

impl FakeLog {
    /// An empty log of `partitions`, which accepts everything.
    pub fn new(partitions: i32, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            log_id: Uuid::new_v4(),
            clock,
            partitions: (0..partitions)
                .map(|_| watch::Sender::new(Kept::default()))
                .collect(),
            appends: Mutex::default(),
            fetches: Mutex::default(),
            health: Mutex::new(Ok(())),
            longest: Mutex::new(usize::MAX),
        })
    }

    /// Adds outcomes of the next appends, one a call.
    pub fn script_appends(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        lock(&self.appends).extend(outcomes);
    }

    /// Adds outcomes of the next fetches, one a call.
    pub fn script_fetches(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        lock(&self.fetches).extend(outcomes);
    }

    /// Sets what [`EventLog::health`] says.
    pub fn set_health(&self, health: Result<(), String>) {
        *lock(&self.health) = health;
    }

    /// Sets how many bytes a value may have.
    pub fn set_longest(&self, bytes: usize) {
        *lock(&self.longest) = bytes;
    }

    /// Everything that a partition holds, whatever the script.
    pub fn records(&self, partition: i32) -> Vec<StoredRecord> {
        self.kept(partition)
            .map(|kept| kept.borrow().records.clone())
            .unwrap_or_default()
    }

    /// What was released of a partition.
    pub fn released(&self, partition: i32) -> i64 {
        self.kept(partition)
            .map(|kept| kept.borrow().released)
            .unwrap_or_default()
    }

    /// Deletes what is before `offset`, as a retention that waits for nobody would.
    pub fn delete_before(&self, partition: i32, offset: i64) {
        if let Ok(kept) = self.kept(partition) {
            kept.send_modify(|kept| {
                kept.records.retain(|record| record.offset >= offset);
                kept.earliest = kept.earliest.max(offset);
            });
        }
    }

    fn kept(&self, partition: i32) -> Result<&watch::Sender<Kept>, LogError> {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.partitions.get(index))
            .ok_or_else(|| LogError::Fatal(format!("there is no partition {partition}")))
    }
}

/// Runs `act` or not, and answers or not, as the next outcome of a script says.
async fn follow<T>(
    script: &Mutex<VecDeque<Outcome>>,
    act: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    let outcome = lock(script).pop_front().unwrap_or(Outcome::Accept);
    match outcome {
        Outcome::Accept => act.await,
        Outcome::Reject(error) => Err(error),
        Outcome::LoseAnswer => {
            act.await?;
            Err(LogError::Unavailable("the answer was lost".to_owned()))
        }
        Outcome::Hang => std::future::pending().await,
        Outcome::HangAfterwards => {
            act.await?;
            std::future::pending().await
        }
    }
}

#[async_trait]
impl EventLog for FakeLog {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    fn kind(&self) -> &'static str {
        "fake"
    }

    fn partitions(&self) -> i32 {
        self.partitions.len() as i32
    }

    async fn append(&self, partition: i32, records: Vec<Record>) -> Result<i64, LogError> {
        let kept = self.kept(partition)?;
        follow(&self.appends, async {
            let longest = *lock(&self.longest);
            if records.iter().any(|record| record.value.len() > longest) {
                return Err(LogError::BadRecord("it is too long".to_owned()));
            }
            let mut base = 0;
            kept.send_modify(|kept| base = kept.append(records, &self.clock));
            Ok(base)
        })
        .await
    }

    async fn fetch(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let mut kept = self.kept(partition)?.subscribe();
        follow(&self.fetches, async {
            let check = |range: OffsetRange| match (range.earliest..=range.end).contains(&offset) {
                true => Ok(()),
                false => Err(LogError::OutOfRange {
                    partition,
                    offset,
                    range,
                }),
            };
            check(kept.borrow_and_update().range())?;
            let grown = kept.wait_for(|kept| kept.range().end > offset);
            let _ = tokio::time::timeout(max_wait, grown).await;
            let kept = kept.borrow();
            check(kept.range())?;
            Ok(kept.read(offset, max_bytes))
        })
        .await
    }

    async fn offsets(&self, partition: i32) -> Result<OffsetRange, LogError> {
        Ok(self.kept(partition)?.borrow().range())
    }

    fn release(&self, partition: i32, offset: i64) {
        if let Ok(kept) = self.kept(partition) {
            kept.send_modify(|kept| kept.released = kept.released.max(offset));
        }
    }

    fn health(&self) -> Result<(), String> {
        lock(&self.health).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(value: &'static str) -> Vec<Record> {
        vec![Record {
            key: "k".into(),
            value: value.into(),
        }]
    }

    fn values(log: &FakeLog) -> Vec<bytes::Bytes> {
        log.records(0).into_iter().map(|record| record.value).collect()
    }

    #[tokio::test]
    async fn each_append_takes_the_next_outcome() {
        let log = FakeLog::new(1, Clock::system());
        log.script_appends([
            Outcome::Reject(LogError::Unavailable("full".to_owned())),
            Outcome::LoseAnswer,
            Outcome::Accept,
        ]);
        assert!(log.append(0, record("rejected")).await.is_err());
        assert!(log.append(0, record("lost")).await.is_err());
        assert_eq!(log.append(0, record("accepted")).await.unwrap(), 1);
        assert_eq!(log.append(0, record("unscripted")).await.unwrap(), 2);
        assert_eq!(values(&log), ["lost", "accepted", "unscripted"]);
    }

    #[tokio::test]
    async fn a_hanging_append_never_answers_whether_or_not_it_wrote() {
        let log = FakeLog::new(1, Clock::system());
        log.script_appends([Outcome::Hang, Outcome::HangAfterwards]);
        for value in ["unwritten", "written"] {
            let append = log.append(0, record(value));
            assert!(
                tokio::time::timeout(Duration::from_millis(20), append)
                    .await
                    .is_err()
            );
        }
        assert_eq!(values(&log), ["written"]);
    }

    #[tokio::test]
    async fn fetches_follow_their_own_script_and_see_deletions() {
        let log = FakeLog::new(1, Clock::system());
        log.append(0, record("a")).await.unwrap();
        log.append(0, record("b")).await.unwrap();
        log.script_fetches([Outcome::Reject(LogError::Unavailable("away".to_owned()))]);
        assert!(log.fetch(0, 0, 100, Duration::ZERO).await.is_err());
        log.delete_before(0, 1);
        let gone = log.fetch(0, 0, 100, Duration::ZERO).await;
        assert!(matches!(gone, Err(LogError::OutOfRange { range, .. }) if range.earliest == 1));
        assert_eq!(log.fetch(0, 1, 100, Duration::ZERO).await.unwrap()[0].value, "b");
    }
}
