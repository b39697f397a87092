//! The hits of one worker on their way into the log. Those that come together go together: one append, one wait with one
//! timer, one wake-up of the worker, whatever their number.

use std::cell::{Cell, RefCell};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::hit::commit;
use super::late::Late;
use crate::collector::{Collector, Prepared};
use crate::http::Reservation;
use crate::userprint::State;

/// How long hits gather while others of this worker wait for the log. Its commits begin no closer than every
/// millisecond.
const GATHER: Duration = Duration::from_millis(2);

/// Gathers hits. Each worker has one.
pub(super) struct Gathering {
    collector: Arc<Collector>,
    late: Arc<Late>,
    /// How long a hit's answer may wait.
    bound: Duration,
    next: RefCell<Option<Batch>>,
    /// Batches that wait for the log.
    under_way: Cell<usize>,
    freed: Notify,
}

/// Hits that go into the log together.
struct Batch {
    states: Vec<State>,
    prepared: Vec<Prepared>,
    reservation: Reservation,
    told: Rc<Told>,
}

impl Gathering {
    pub(super) fn new(collector: Arc<Collector>, late: Arc<Late>, bound: Duration) -> Rc<Self> {
        Rc::new(Self {
            collector,
            late,
            bound,
            next: RefCell::new(None),
            under_way: Cell::new(0),
            freed: Notify::new(),
        })
    }

    /// Takes a hit. It goes into the log whether or not anybody waits for it, and is counted. Needs a local runtime.
    pub(super) fn add(self: &Rc<Self>, state: State, prepared: Prepared, reservation: Reservation) -> Ticket {
        let mut next = self.next.borrow_mut();
        if let Some(batch) = next.as_mut() {
            batch.states.push(state);
            batch.prepared.push(prepared);
            batch.reservation.join(reservation);
            return Ticket::new(&batch.told);
        }
        let told = Rc::new(Told::default());
        *next = Some(Batch {
            states: vec![state],
            prepared: vec![prepared],
            reservation,
            told: Rc::clone(&told),
        });
        let turn = Turn {
            gathering: Rc::clone(self),
            is_sent: false,
        };
        tokio::task::spawn_local(turn.run());
        Ticket::new(&told)
    }
}

/// The task of a batch. Dropped before the batch is sent, by a worker that ends, it leaves it to the process.
struct Turn {
    gathering: Rc<Gathering>,
    is_sent: bool,
}

impl Turn {
    async fn run(mut self) {
        let gathering = Rc::clone(&self.gathering);
        // What else has arrived at this worker by now.
        yield_now().await;
        if gathering.under_way.get() > 0 {
            // Either will do.
            let _ = timeout(GATHER, gathering.freed.notified()).await;
        }
        let Some(batch) = self.take() else { return };
        let _under_way = UnderWay::new(&gathering);
        // From now on, so that each of them waits no shorter than the bound, and hardly longer.
        let work = commit(
            Arc::clone(&gathering.collector),
            batch.prepared,
            batch.reservation,
            drop,
        );
        gathering.late.within(gathering.bound, batch.states, work).await;
        batch.told.tell();
    }

    /// The batch, once. What gathers afterwards has a turn of its own.
    fn take(&mut self) -> Option<Batch> {
        match std::mem::replace(&mut self.is_sent, true) {
            true => None,
            false => self.gathering.next.take(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(batch) = self.take() {
            let work = commit(
                Arc::clone(&self.gathering.collector),
                batch.prepared,
                batch.reservation,
                drop,
            );
            self.gathering.late.leave(batch.states, Box::pin(work));
        }
    }
}

struct UnderWay<'a>(&'a Gathering);

impl<'a> UnderWay<'a> {
    fn new(gathering: &'a Gathering) -> Self {
        gathering.under_way.set(gathering.under_way.get() + 1);
        Self(gathering)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.freed.notify_waiters();
    }
}

/// Who waits for a batch.
#[derive(Default)]
struct Told {
    is_done: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Told {
    fn tell(&self) {
        self.is_done.set(true);
        for waker in mem::take(&mut *self.waiting.borrow_mut()) {
            waker.wake();
        }
    }
}

/// Ends when a hit's answer has waited as it should: the hit is durable or refused, or the bound has passed.
pub(super) struct Ticket {
    told: Rc<Told>,
    /// Its place among those that wait.
    place: Option<usize>,
}

impl Ticket {
    fn new(told: &Rc<Told>) -> Self {
        Self {
            told: Rc::clone(told),
            place: None,
        }
    }
}

impl Future for Ticket {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.told.is_done.get() {
            return Poll::Ready(());
        }
        let place = self.place;
        let mut waiting = self.told.waiting.borrow_mut();
        match place.and_then(|place| waiting.get_mut(place)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                waiting.push(cx.waker().clone());
                let place = waiting.len() - 1;
                drop(waiting);
                self.place = Some(place);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::future::join_all;
    use tokio::task::LocalSet;

    use super::*;
    use crate::broker::LogError;
    use crate::broker::fake::{FakeLog, Outcome};
    use crate::broker::intake::Intake;
    use crate::clock::Clock;
    use crate::collector::{Shape, Submission};
    use crate::config::Config;
    use crate::event::Client;
    use crate::http::{Budget, Source};

    struct Worker {
        log: Arc<FakeLog>,
        late: Arc<Late>,
        budget: Arc<Budget>,
        gathering: Rc<Gathering>,
    }

    impl Worker {
        fn new(bound: Duration) -> Self {
            let log = FakeLog::new(1, Clock::system());
            let intake = Arc::new(Intake::of(log.clone()));
            let collector = Arc::new(Collector::new(intake, Clock::system(), &Config::default()));
            let late = Arc::new(Late::here());
            Self {
                log,
                late: late.clone(),
                budget: Budget::new(1 << 20),
                gathering: Gathering::new(collector, late, bound),
            }
        }

        fn add(&self) -> Ticket {
            let source = Source {
                name: "pixel".to_owned(),
                trusted: false,
                origins: Vec::new(),
                may_backdate: false,
            };
            let submission = Submission {
                source: &source,
                shape: Shape::Event(None),
                client: Client::default(),
            };
            let body = br#"{"type":"track","anonymousId":"a","event":"e"}"#;
            let mut reservation = self.budget.reserve();
            let reserve = |bytes| reservation.grow(bytes);
            let prepared = self.gathering.collector.prepare(body, &submission, reserve);
            self.gathering
                .add(State::Returned, prepared.unwrap(), reservation)
        }

        fn stored(&self) -> usize {
            self.log.records(0).len()
        }
    }

    #[tokio::test]
    async fn hits_that_come_together_go_into_the_log_together() {
        let worker = Worker::new(Duration::from_secs(60));
        let full = || LogError::Unavailable("full".to_owned());
        worker
            .log
            .script_appends([Outcome::Accept, Outcome::Reject(full())]);
        let work = async {
            join_all((0..5).map(|_| worker.add())).await;
            assert_eq!((worker.stored(), worker.budget.used()), (5, 0));
            worker.add().await;
            assert_eq!(worker.stored(), 5, "the second append was refused");
            worker.add().await;
            assert_eq!((worker.stored(), worker.budget.used()), (6, 0));
        };
        LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn while_the_log_is_slow_the_next_ones_go_on_and_nobody_waits_beyond_the_bound() {
        let worker = Worker::new(Duration::from_millis(50));
        worker
            .log
            .script_appends([Outcome::HangAfterwards, Outcome::Accept]);
        let work = async {
            let slow = worker.add();
            yield_now().await;
            yield_now().await;
            worker.add().await;
            slow.await;
            assert_eq!(worker.stored(), 2);
            assert!(worker.budget.used() > 0, "the first one is still on its way");
        };
        LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn a_worker_that_ends_leaves_its_hits_to_the_process() {
        let worker = Worker::new(Duration::from_secs(60));
        let local = LocalSet::new();
        local.run_until(async { drop(worker.add()) }).await;
        drop(local);
        worker.late.finish().await;
        assert_eq!((worker.stored(), worker.budget.used()), (1, 0));
    }
}
