//! The one thread that writes: gathers what waits, commits it with one fsync, then answers.

mod upkeep;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::active::Active;
use super::builder::{Builder, FRAME_BYTES, Sealed};
use super::retention::Policy;
use super::shared::{Shared, lock};
use crate::broker::{LogError, Record};

/// Bytes that go into one commit; more would only make its callers wait longer.
const COMMIT_BYTES: usize = 4 << 20;
/// Appends from this size on make frames of their own.
const SEAL_FROM: usize = 8 << 10;
/// Commits begin no closer than this. Where an fsync takes a tenth of it, a commit for each request would cost as
/// much of the processor as the requests do.
const PACE: Duration = Duration::from_millis(1);
/// A segment's bytes at the most, but for one commit; the grain of retention, and what a start verifies.
const SEGMENT_BYTES: u64 = 64 << 20;
/// How often a log that cannot write is tried again.
const MEND_EVERY: Duration = Duration::from_millis(500);

/// What the writer is asked to do.
pub(super) enum Command {
    Append(Append),
    /// Delete what is expired and released.
    Retain {
        answer: oneshot::Sender<Result<(), LogError>>,
    },
}

/// What an append brings for one partition.
pub(super) struct Part {
    pub(super) partition: usize,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// Few records: those of several appends share a frame.
    Records(Vec<Record>),
    /// Frames of its own, packed and compressed by the caller while the writer waits for the disk.
    Sealed(Vec<Sealed>),
}

impl Content {
    pub(super) fn of(records: Vec<Record>) -> Self {
        let bytes = records.iter().map(Builder::bytes).sum();
        if bytes < SEAL_FROM {
            return Self::Records(records);
        }
        Self::Sealed(Sealed::pack(&records, bytes))
    }
}

/// Records that wait to be written.
pub(super) struct Append {
    /// In rising order of their partitions.
    pub(super) parts: Vec<Part>,
    pub(super) bytes: usize,
    /// Hears the offset of the first record.
    pub(super) answer: oneshot::Sender<Result<i64, LogError>>,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Append {
    /// Answers the caller, whose share of the queue is free by then.
    fn answer(self, outcome: Result<i64, LogError>) {
        drop(self.permit);
        let _ = self.answer.send(outcome);
    }
}

/// Owns the last segment and the partitions' ends.
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Active,
    /// Ahead of what readers see only during a commit.
    ends: Vec<i64>,
    policy: Policy,
    builder: Builder,
    /// When the last commit began.
    began: Instant,
    /// Why nothing can be written, and when that was last tried to be mended.
    broken: Option<(String, Instant)>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, active: Active, ends: Vec<i64>) -> Self {
        let total_bytes = shared.settings.retention_size.as_u64();
        Self {
            policy: Policy {
                segment_bytes: (total_bytes / 16).clamp(64 << 10, SEGMENT_BYTES),
                retention: shared.settings.retention,
                total_bytes,
            },
            shared,
            active,
            ends,
            builder: Builder::default(),
            began: Instant::now(),
            broken: None,
        }
    }

    /// Works until the log hangs up.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let _announcer = DeathAnnouncer(self.shared.clone());
        let mut appends = Vec::new();
        loop {
            // While all is well, only a command wakes this thread.
            let wait = self.broken.as_ref().map_or(Duration::MAX, |_| MEND_EVERY);
            let hung_up = match commands.recv_timeout(wait) {
                Ok(command) => self.gather(command, commands, &mut appends),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.mend();
            if !appends.is_empty() {
                self.commit(std::mem::take(&mut appends));
            }
            if hung_up {
                return;
            }
        }
    }

    /// Collects appends until none waits or a commit is full. Returns whether the log hung up.
    fn gather(&mut self, first: Command, commands: &Receiver<Command>, appends: &mut Vec<Append>) -> bool {
        std::thread::sleep(PACE.saturating_sub(self.began.elapsed()));
        let mut bytes = 0;
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Command::Append(append)) => {
                    bytes += append.bytes;
                    appends.push(append);
                }
                Ok(Command::Retain { answer }) => {
                    let _ = answer.send(self.retain());
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
            if bytes >= COMMIT_BYTES {
                return false;
            }
            next = commands.try_recv();
        }
    }

    /// Writes all appends at once and answers each of them.
    fn commit(&mut self, mut appends: Vec<Append>) {
        self.began = Instant::now();
        let written = self.check().and_then(|()| self.write(&mut appends));
        match written {
            Ok(bases) => {
                self.publish();
                for (append, base) in appends.into_iter().zip(bases) {
                    append.answer(Ok(base));
                }
            }
            Err(reason) => {
                for append in appends {
                    append.answer(Err(LogError::Unavailable(reason.clone())));
                }
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        if let Some((reason, _)) = &self.broken {
            return Err(reason.clone());
        }
        self.shared.room(0)?;
        if self.active.is_due(&self.policy, false, self.shared.clock.now()) {
            self.roll()?;
        }
        Ok(())
    }

    /// Returns the offset of each append's first record.
    fn write(&mut self, appends: &mut [Append]) -> Result<Vec<i64>, String> {
        let now = self.shared.clock.now();
        let (bases, frames) = self.frames(appends);
        let mut ends = self.ends.clone();
        let frames = self.active.place(frames, &mut ends, now);
        let before = self.active.segment.durable();
        self.active
            .write(&frames, &ends, now)
            .map_err(|error| self.fail(&error.to_string()))?;
        let written = self.active.segment.durable() - before;
        self.shared.bytes.fetch_add(written, Ordering::AcqRel);
        self.ends = ends;
        Ok(bases)
    }

    /// Takes the appends' records as frames, each with its partition, and the offset of each append's first record.
    fn frames(&mut self, appends: &mut [Append]) -> (Vec<i64>, Vec<(usize, Sealed)>) {
        let mut bases = vec![None; appends.len()];
        let mut parts: Vec<_> = appends
            .iter_mut()
            .enumerate()
            .flat_map(|(append, Append { parts, .. })| parts.drain(..).map(move |part| (append, part)))
            .collect();
        // Stable, so that the appends to a partition keep their order.
        parts.sort_by_key(|(_, part)| part.partition);
        let mut frames = Vec::with_capacity(parts.len());
        let mut next = self.ends.clone();
        let mut open = None;
        for (append, Part { partition, content }) in parts {
            if open.is_some_and(|open| open != partition) {
                self.flush(open, &mut frames);
            }
            open = Some(partition);
            bases[append].get_or_insert(next[partition]);
            next[partition] += self.take(content, partition, &mut frames);
        }
        self.flush(open, &mut frames);
        (bases.into_iter().map(Option::unwrap_or_default).collect(), frames)
    }

    /// Adds records to the frames of their partition; returns how many.
    fn take(&mut self, content: Content, partition: usize, frames: &mut Vec<(usize, Sealed)>) -> i64 {
        match content {
            Content::Records(records) => {
                for record in &records {
                    self.builder.push(record);
                    if self.builder.len() >= FRAME_BYTES {
                        frames.push((partition, self.builder.seal()));
                    }
                }
                records.len() as i64
            }
            Content::Sealed(sealed) => {
                self.flush(Some(partition), frames);
                let records = sealed.iter().map(|sealed| i64::from(sealed.records())).sum();
                frames.extend(sealed.into_iter().map(|sealed| (partition, sealed)));
                records
            }
        }
    }

    fn flush(&mut self, partition: Option<usize>, frames: &mut Vec<(usize, Sealed)>) {
        if let Some(partition) = partition.filter(|_| self.builder.records() > 0) {
            frames.push((partition, self.builder.seal()));
        }
    }

    /// Shows readers what is on the disk now.
    fn publish(&self) {
        for (end, partition) in self.ends.iter().zip(&self.shared.partitions) {
            if *end > partition.range.borrow().end {
                partition.range.send_modify(|range| range.end = *end);
            }
        }
    }
}

/// Makes the log unhealthy when the writer ends, be it by a panic.
struct DeathAnnouncer(Arc<Shared>);

impl Drop for DeathAnnouncer {
    fn drop(&mut self) {
        *lock(&self.0.refusal) = Some("the event log's writer has stopped".to_owned());
    }
}
