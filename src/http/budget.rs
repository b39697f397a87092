//! The in-flight byte budget: overload is refused, so that memory stays bounded.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::retry_after;
use crate::telemetry::metric;

/// What is supposed of the drain before anything was measured, in bytes a second.
const FIRST_RATE: f64 = 1_000_000.0;
/// How long a drain is measured before its rate replaces the last one.
const WINDOW: Duration = Duration::from_secs(1);

/// Bodies from this size on wait for room, since they are dear to send again, and leave a quarter of it to others.
pub const LARGE: usize = 64 * 1024;

/// What a request is supposed to take for each byte of a body that it announces: the body and its records.
const PLAIN: usize = 3;
/// The same for a compressed one: events come to an eighth or so.
const COMPRESSED: usize = 16;

/// How long a large body waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an open connection takes: read and write buffers, the head of its request, its place in the server.
const CONNECTION: usize = 16 * 1024;

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the in-flight budget is used up; come again in {retry_after} s")]
pub struct Overloaded {
    /// Seconds until there is likely room, jittered so that clients do not come back together.
    pub retry_after: u64,
    /// Whether one request asks for more than the whole budget, so that waiting does not help.
    pub hopeless: bool,
}

/// Counts the bytes of connections and of the requests that are being worked on, and refuses more than its limit.
///
/// Connections are never refused here; they leave less for requests, down to a quarter of the limit.
/// What counts of a request: each body as it arrives, its decompressed text as it grows, and before decoding as much again
/// as its records will take. What a client only announced is promised to it as long as it comes with all speed:
/// without that a crowd is let in at once, each with a piece of its body, and most are refused half way. It lapses
/// else, so that a few slow clients with long Content-Lengths cannot use the budget up.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    connections: AtomicUsize,
    used: AtomicUsize,
    promised: AtomicUsize,
    drained: AtomicU64,
    drain: Mutex<Drain>,
    /// Held by the one that is next to get room among those that wait.
    turn: tokio::sync::Mutex<()>,
    freed: Notify,
}

#[derive(Debug)]
struct Drain {
    since: Instant,
    rate: f64,
}

impl Budget {
    /// An unused budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            connections: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
            drained: AtomicU64::new(0),
            drain: Mutex::new(Drain {
                since: Instant::now(),
                rate: FIRST_RATE,
            }),
            turn: tokio::sync::Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Counts an open connection until the answer is dropped.
    pub fn connect(self: &Arc<Self>) -> Connection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connection(Arc::clone(self))
    }

    /// What connections leave for requests.
    fn room(&self) -> usize {
        self.room_beside(self.connections.load(Ordering::Relaxed))
    }

    /// The room that a request has alone, beside its own connection.
    fn most(&self) -> usize {
        self.room_beside(self.connections.load(Ordering::Relaxed).min(1))
    }

    fn room_beside(&self, connections: usize) -> usize {
        let connections = connections.saturating_mul(CONNECTION);
        self.limit.saturating_sub(connections).max(self.limit / 4)
    }

    /// Opens a reservation of nothing yet.
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            bytes: 0,
            promised: 0,
        }
    }

    /// The bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether a body of this length can be let in beside what is in use, where so much is promised with it.
    fn has_room_for(&self, length: usize, promised: usize, is_only_promise: bool) -> bool {
        let (used, room) = (self.used(), self.room());
        let is_alone = is_only_promise && used == 0;
        let most = if length < LARGE || is_alone {
            room
        } else {
            room - room / 4
        };
        used.saturating_add(length) <= room && used.saturating_add(promised) <= most
    }

    fn take(&self, bytes: usize) -> Result<(), Overloaded> {
        let room = self.room();
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= room)
            });
        match taken {
            Ok(before) => {
                gauge!(metric::HTTP_IN_FLIGHT_BYTES).set((before + bytes) as f64);
                Ok(())
            }
            Err(_) => Err(self.overloaded()),
        }
    }

    fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        self.drained.fetch_add(bytes as u64, Ordering::Relaxed);
        gauge!(metric::HTTP_IN_FLIGHT_BYTES).set(before.saturating_sub(bytes) as f64);
        self.freed.notify_one();
    }

    fn overloaded(&self) -> Overloaded {
        Overloaded {
            retry_after: self.retry_after(),
            hopeless: false,
        }
    }

    /// Seconds that the present load takes to drain at the recent rate, and up to as long again.
    pub fn retry_after(&self) -> u64 {
        retry_after::for_room(self.used(), self.rate())
    }

    fn rate(&self) -> f64 {
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = drain.since.elapsed();
        if elapsed >= WINDOW {
            let bytes = self.drained.swap(0, Ordering::Relaxed) as f64;
            // A time without load says nothing of how fast one would drain.
            if bytes > 0.0 && elapsed < 5 * WINDOW {
                drain.rate = (bytes / elapsed.as_secs_f64()).max(1.0);
            }
            drain.since = Instant::now();
        }
        drain.rate
    }
}

/// An open connection's share of the budget; dropping it gives it back.
#[derive(Debug)]
pub struct Connection(Arc<Budget>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's share of the budget; dropping it gives the bytes back.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
    /// What is set aside and not taken yet.
    promised: usize,
}

impl Reservation {
    /// Sets aside what a body of the announced length and its records will take, to be taken by
    /// [`grow`](Self::grow). `is_plain` where it is not compressed.
    ///
    /// # Errors
    /// [`Overloaded`] where there is no room for it beside what others use or are promised; nothing is set aside then.
    pub fn promise(&mut self, length: usize, is_plain: bool) -> Result<(), Overloaded> {
        let budget = &self.budget;
        let factor = if is_plain { PLAIN } else { COMPRESSED };
        let share = length.saturating_mul(factor).min(budget.room() / 2);
        let promised = budget.promised.fetch_add(share, Ordering::AcqRel) + share;
        if budget.has_room_for(length, promised, promised == share) {
            self.promised += share;
            return Ok(());
        }
        // Without waking anybody: nothing has become free.
        budget.promised.fetch_sub(share, Ordering::AcqRel);
        Err(Overloaded {
            hopeless: length > budget.most(),
            ..budget.overloaded()
        })
    }

    /// The same, but waits a while for room, behind those that came before.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub async fn promise_in_turn(&mut self, length: usize, is_plain: bool) -> Result<(), Overloaded> {
        let budget = Arc::clone(&self.budget);
        let until = Instant::now() + PATIENCE;
        let Ok(_turn) = timeout_at(until.into(), budget.turn.lock()).await else {
            return Err(budget.overloaded());
        };
        loop {
            match self.promise(length, is_plain) {
                Err(refused) if !refused.hopeless => {
                    if timeout_at(until.into(), budget.freed.notified()).await.is_err() {
                        return Err(refused);
                    }
                }
                decided => return decided,
            }
        }
    }

    /// Takes back what was promised and has not arrived.
    pub fn lapse(&mut self) {
        let promised = std::mem::take(&mut self.promised);
        if promised > 0 {
            self.budget.promised.fetch_sub(promised, Ordering::AcqRel);
            self.budget.freed.notify_one();
        }
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// [`Overloaded`] where there is no room; what was taken before stays.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Overloaded> {
        self.budget.take(bytes).map_err(|refused| Overloaded {
            hopeless: self.bytes.saturating_add(bytes) > self.budget.most(),
            ..refused
        })?;
        self.bytes += bytes;
        let kept = bytes.min(self.promised);
        self.promised -= kept;
        self.budget.promised.fetch_sub(kept, Ordering::AcqRel);
        Ok(())
    }

    /// Takes another one's bytes over.
    pub fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives some of the bytes back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.lapse();
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refuses_above_the_limit_and_takes_again_after_a_release() {
        let budget = Budget::new(100);
        let mut first = budget.reserve();
        first.grow(60).unwrap();
        first.grow(20).unwrap();
        let mut second = budget.reserve();
        let refused = second.grow(30).unwrap_err();
        assert!((1..=60).contains(&refused.retry_after) && !refused.hopeless);
        assert!(second.grow(101).unwrap_err().hopeless);
        assert!(budget.reserve().promise(21, true).is_err());
        assert_eq!(budget.used(), 80);
        drop(first);
        second.grow(100).unwrap();
        let mut both = budget.reserve();
        both.join(second);
        assert_eq!(budget.used(), 100);
        drop(both);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn connections_leave_less_for_requests_but_never_nothing() {
        let budget = Budget::new(4 * CONNECTION);
        let mut request = budget.reserve();
        let connections: Vec<_> = (0..100).map(|_| budget.connect()).collect();
        request.grow(CONNECTION).unwrap();
        assert!(
            !request.grow(1).unwrap_err().hopeless,
            "there may be fewer of them later"
        );
        drop(connections);
        request.grow(3 * CONNECTION).unwrap();
    }

    #[test]
    fn what_is_announced_is_set_aside_until_it_arrives_or_lapses() {
        let budget = Budget::new(1000);
        let (mut first, mut second, mut third) = (budget.reserve(), budget.reserve(), budget.reserve());
        first.promise(200, true).unwrap();
        second.promise(250, true).unwrap();
        assert!(third.promise(100, true).is_err(), "900 of 1000 are spoken for");
        drop(third);
        // What was promised can be taken; it is then used instead.
        first.grow(300).unwrap();
        assert!(budget.reserve().promise(60, true).is_err());
        second.lapse();
        budget.reserve().promise(250, true).unwrap();
        drop((first, second));
        // One that asks for more than all of it hears so when it takes it.
        let mut whole = budget.reserve();
        whole.promise(900, true).unwrap();
        assert!(whole.grow(1001).unwrap_err().hopeless);
        drop(whole);
        assert_eq!((budget.used(), budget.promised.load(Ordering::Relaxed)), (0, 0));
    }
}
