//! The one thread that writes: gathers what waits, commits it with one fsync, then answers.

mod upkeep;

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::frame::{Builder, FRAME_BYTES, Sealed};
use super::mark::Mark;
use super::segment::{Policy, Segments};
use super::shared::{Shared, lock};
use super::store::{FrameWrite, Inventory, Store};
use crate::broker::{LogError, Record};
use crate::telemetry::metric;

/// Bytes that go into one commit; more would only make its callers wait longer.
const COMMIT_BYTES: usize = 4 << 20;
/// A closed segment's bytes at the most; the grain of retention.
const SEGMENT_BYTES: u64 = 4 << 20;
/// How often a broken store is tried again.
const REOPEN_EVERY: Duration = Duration::from_millis(500);

/// What the writer is asked to do.
pub(super) enum Command {
    Append(Append),
    /// Move the earliest offsets; the answer names the partitions that have fallen idle.
    Retain {
        answer: oneshot::Sender<Result<Vec<usize>, LogError>>,
    },
}

/// What an append brings.
pub(super) enum Content {
    /// Few records: those of several appends share a frame.
    Records(Vec<Record>),
    /// Frames of its own, packed and compressed by the caller while the writer waits for the disk.
    Sealed(Vec<Sealed>),
}

/// Records that wait to be written.
pub(super) struct Append {
    pub(super) partition: usize,
    pub(super) content: Content,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<i64, LogError>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// The writer's own view of a partition, ahead of what readers see only during a commit.
struct Tail {
    end: i64,
    segments: Segments,
    released: i64,
    /// Since the last call of `retain`.
    wrote: bool,
    /// Since its memory was last flushed for want of writes.
    unflushed: bool,
}

/// Owns the partitions' ends and the store's writes.
pub(super) struct Writer {
    shared: Arc<Shared>,
    tails: Vec<Tail>,
    policy: Policy,
    builder: Builder,
    /// Why the store must be opened anew, and when that was last tried.
    broken: Option<(String, Instant)>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, inventories: Vec<Inventory>) -> Self {
        let total_bytes = shared.settings.retention_size.as_u64();
        let share = total_bytes / (inventories.len().max(1) as u64 * 16);
        Self {
            policy: Policy {
                segment_bytes: share.clamp(64 << 10, SEGMENT_BYTES),
                retention: shared.settings.retention,
                total_bytes,
            },
            shared,
            tails: inventories.into_iter().map(Tail::new).collect(),
            builder: Builder::default(),
            broken: None,
        }
    }

    /// Works until the log hangs up.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let _announcer = DeathAnnouncer(self.shared.clone());
        let mut appends = Vec::new();
        loop {
            // While all is well, only a command wakes this thread.
            let wait = self.broken.as_ref().map_or(Duration::MAX, |_| REOPEN_EVERY);
            let hung_up = match commands.recv_timeout(wait) {
                Ok(command) => self.gather(command, commands, &mut appends),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.repair();
            if !appends.is_empty() {
                self.commit(std::mem::take(&mut appends));
            }
            if hung_up {
                break;
            }
        }
        self.close();
    }

    /// Collects appends until none waits or a commit is full. Returns whether the log hung up.
    fn gather(&mut self, first: Command, commands: &Receiver<Command>, appends: &mut Vec<Append>) -> bool {
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

    /// Writes all appends as one batch and answers each of them.
    fn commit(&mut self, mut appends: Vec<Append>) {
        // Stable, so that the appends of a partition keep their order.
        appends.sort_by_key(|append| append.partition);
        let written = self.check().and_then(|()| self.write(&appends));
        match written {
            Ok(bases) => {
                self.publish();
                for (append, base) in appends.into_iter().zip(bases) {
                    let _ = append.answer.send(Ok(base));
                }
            }
            Err(reason) => {
                for append in appends {
                    let _ = append.answer.send(Err(LogError::Unavailable(reason.clone())));
                }
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        if let Some((reason, _)) = &self.broken {
            return Err(reason.clone());
        }
        self.shared.room(0)?;
        let ready = self.with_store(|store| store.wait_for_flusher());
        ready.inspect_err(|reason| self.fail(reason))
    }

    fn write(&mut self, appends: &[Append]) -> Result<Vec<i64>, String> {
        let now = self.shared.clock.now();
        let mut bases = Vec::with_capacity(appends.len());
        let mut frames = Vec::new();
        let mut marks = Vec::new();
        for group in appends.chunk_by(|one, other| one.partition == other.partition) {
            let partition = group[0].partition;
            let tail = &mut self.tails[partition];
            (tail.wrote, tail.unflushed) = (true, true);
            for append in group {
                bases.push(tail.end + i64::from(self.builder.records()));
                match &append.content {
                    Content::Records(records) => {
                        for record in records {
                            self.builder.push(record);
                            if self.builder.len() >= FRAME_BYTES {
                                frames.push(tail.place(&self.builder.seal(), partition, now));
                            }
                        }
                    }
                    Content::Sealed(sealed) => {
                        if self.builder.records() > 0 {
                            frames.push(tail.place(&self.builder.seal(), partition, now));
                        }
                        frames.extend(sealed.iter().map(|sealed| tail.place(sealed, partition, now)));
                    }
                }
            }
            if self.builder.records() > 0 {
                frames.push(tail.place(&self.builder.seal(), partition, now));
            }
            if let Some(segment) = tail.segments.close_if_due(&self.policy, now) {
                marks.push(Mark::Closed { partition, segment });
            }
        }
        let committed =
            self.with_store(|store| store.commit(frames, &marks).map_err(|error| error.to_string()));
        committed.inspect_err(|reason| self.fail(reason))?;
        Ok(bases)
    }

    /// Shows readers what is on the disk now.
    fn publish(&self) {
        for (index, (tail, partition)) in self.tails.iter().zip(&self.shared.partitions).enumerate() {
            let grown = tail.end - partition.range.borrow().end;
            if grown > 0 {
                partition.range.send_modify(|range| range.end = tail.end);
                counter!(metric::LOG_APPENDED_TOTAL, "partition" => index.to_string())
                    .increment(grown.cast_unsigned());
            }
        }
    }

    fn with_store<T>(&self, write: impl FnOnce(&Store) -> Result<T, String>) -> Result<T, String> {
        let store = self.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        store
            .as_ref()
            .map_or_else(|| Err("its store is closed".to_owned()), write)
    }
}

impl Tail {
    fn new(inventory: Inventory) -> Self {
        Self {
            end: inventory.end,
            segments: inventory.segments,
            released: inventory.released,
            wrote: false,
            unflushed: false,
        }
    }

    /// Tells, once, that nothing was written since the last call although something was before it.
    fn cool_down(&mut self) -> bool {
        let wrote = std::mem::take(&mut self.wrote);
        !wrote && std::mem::take(&mut self.unflushed)
    }

    /// Gives a frame the next offsets.
    fn place(&mut self, sealed: &Sealed, partition: usize, now: jiff::Timestamp) -> FrameWrite {
        let bytes = sealed.frame(self.end, now.as_microsecond());
        self.end += i64::from(sealed.records());
        self.segments
            .add(self.end, now.as_microsecond(), bytes.len() as u64);
        FrameWrite {
            partition,
            last: self.end - 1,
            bytes,
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
