//! Single events of one worker on their way into the log: those that come together go together, with one append and one
//! wake-up of the worker for all. At a thousand connections that halves what an event costs (docs/benchmarks.md).

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio::time::timeout;

use super::{Answer, Collector, Prepared, SubmitError};
use crate::broker::LogError;

/// How long events gather while others of this worker wait for the log. Its commits begin no closer than every
/// millisecond.
const GATHER: Duration = Duration::from_millis(2);

type Told = oneshot::Sender<Result<Answer, SubmitError>>;

/// Gathers events. Each worker has one.
pub struct Gatherer {
    collector: Arc<Collector>,
    next: RefCell<Vec<(Prepared, Told)>>,
    /// Appends that wait for the log.
    under_way: Cell<usize>,
    freed: Notify,
}

impl Gatherer {
    /// One before a collector.
    pub fn new(collector: Arc<Collector>) -> Rc<Self> {
        Rc::new(Self {
            collector,
            next: RefCell::default(),
            under_way: Cell::new(0),
            freed: Notify::new(),
        })
    }

    /// As [`Collector::commit`], together with others. It goes into the log even if nobody waits any more. Needs a local
    /// runtime.
    ///
    /// # Errors
    /// The log's refusal. Only an `Ok` is an acknowledgement.
    pub async fn commit(self: &Rc<Self>, prepared: Prepared) -> Result<Answer, SubmitError> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut next = self.next.borrow_mut();
            next.push((prepared, tell));
            next.len() == 1
        };
        if is_first {
            spawn_local(Rc::clone(self).send());
        }
        // The worker ends, and took the task along.
        told.await
            .unwrap_or_else(|_| Err(LogError::Unavailable("momsflow is stopping".to_owned()).into()))
    }

    async fn send(self: Rc<Self>) {
        // What else has arrived at this worker by now.
        yield_now().await;
        if self.under_way.get() > 0 {
            // Either will do.
            let _ = timeout(GATHER, self.freed.notified()).await;
        }
        let (all, told): (Vec<_>, Vec<_>) = mem::take(&mut *self.next.borrow_mut()).into_iter().unzip();
        self.under_way.set(self.under_way.get() + 1);
        let answers = self.collector.commit_all(all).await;
        self.under_way.set(self.under_way.get() - 1);
        self.freed.notify_one();
        for (tell, answer) in told.into_iter().zip(answers) {
            // Whoever asked may have gone.
            let _ = tell.send(answer);
        }
    }
}
