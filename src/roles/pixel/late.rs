//! Hits that outlive their requests: the answer has a bound, and a browser that leaves the page gives the request up.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::tally::{Outcome, count, count_late};
use crate::userprint::State;

pub(super) type Work = Pin<Box<dyn Future<Output = Vec<Outcome>> + Send>>;

/// Owns the hits whose requests are over.
pub(super) struct Late {
    /// The process's own: the server's workers end with the server.
    runtime: Handle,
    tasks: TaskTracker,
}

impl Late {
    /// Finishes on the present runtime.
    pub(super) fn here() -> Self {
        Self {
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
        }
    }

    /// Works on some hits for so long, and says what came of them, in their order. What takes longer, or is dropped, goes on
    /// by itself.
    pub(super) async fn within(
        &self,
        bound: Duration,
        states: Vec<State>,
        work: impl Future<Output = Vec<Outcome>> + Send + 'static,
    ) -> Option<Vec<Outcome>> {
        let mut hits = Pending {
            late: self,
            states,
            work: Some(Box::pin(work)),
        };
        let done = tokio::time::timeout(bound, hits.done()).await.ok();
        if let Some(outcomes) = &done {
            count(hits.states.iter().copied().zip(outcomes));
        }
        // Dropping counts them as unsure where they are not done.
        done
    }

    /// Leaves hits to the process: counts them as unsure, and then what came of them.
    pub(super) fn leave(&self, states: Vec<State>, work: Work) {
        count(states.into_iter().map(|state| (state, &Outcome::Unsure)));
        let task = async move { count_late(&work.await) };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Waits until all are finished. Nothing must come any more.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Pending<'a> {
    late: &'a Late,
    states: Vec<State>,
    /// Gone once it is done.
    work: Option<Work>,
}

impl Pending<'_> {
    async fn done(&mut self) -> Vec<Outcome> {
        let outcomes = poll_fn(|cx| {
            // Its timers must not end with the worker that began it.
            let _runtime = self.late.runtime.enter();
            match &mut self.work {
                Some(work) => work.as_mut().poll(cx),
                None => std::task::Poll::Pending,
            }
        })
        .await;
        self.work = None;
        outcomes
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.late.leave(std::mem::take(&mut self.states), work);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_done_in_time_is_told() {
        let late = Late::here();
        let outcome = late
            .within(Duration::from_secs(5), vec![State::Minted], async {
                vec![Outcome::Logged]
            })
            .await;
        assert_eq!(outcome, Some(vec![Outcome::Logged]));
        assert!(late.tasks.is_empty());
    }

    #[tokio::test]
    async fn what_takes_longer_or_was_left_is_finished_all_the_same_and_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _counts = metrics::set_default_local_recorder(&recorder);
        let late = Late::here();
        for (bound, end) in [
            (Duration::from_millis(1), Outcome::Logged),
            (Duration::from_secs(60), Outcome::Shed("log_unavailable")),
        ] {
            let (go, gone) = oneshot::channel::<()>();
            let (tell, told) = oneshot::channel();
            let work = async move {
                gone.await.unwrap();
                tell.send(()).unwrap();
                vec![end]
            };
            let waiting = late.within(bound, vec![State::Minted], work);
            match tokio::time::timeout(Duration::from_millis(50), waiting).await {
                Ok(outcome) => assert_eq!(outcome, None),
                // The request was given up.
                Err(_) => assert_eq!(bound.as_secs(), 60),
            }
            assert_eq!(late.tasks.len(), 1);
            go.send(()).unwrap();
            told.await.unwrap();
        }
        late.finish().await;
        let counted = recorder.handle().render();
        for line in [
            "momsflow_pixel_hits_total{state=\"minted\",outcome=\"unsure\"} 2",
            "momsflow_pixel_late_total{outcome=\"logged\"} 1",
            "momsflow_pixel_late_total{outcome=\"lost\"} 1",
        ] {
            assert!(counted.contains(line), "{line}\n{counted}");
        }
        assert!(!counted.contains("momsflow_pixel_unlogged_total"), "{counted}");
    }

    /// A worker of the server is a runtime of its own, which may end first.
    #[test]
    fn what_is_late_outlives_the_worker_that_began_it() {
        let process = tokio::runtime::Runtime::new().unwrap();
        let late = process.block_on(async { Late::here() });
        let (tell, told) = std::sync::mpsc::channel();
        let work = async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tell.send(()).unwrap();
            vec![Outcome::Logged]
        };
        let worker = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let outcome = worker.block_on(late.within(Duration::from_millis(1), vec![State::Minted], work));
        assert_eq!(outcome, None);
        drop(worker);
        told.recv_timeout(Duration::from_secs(180)).unwrap();
        process.block_on(late.finish());
    }
}
