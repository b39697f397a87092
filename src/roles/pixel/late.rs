//! Hits that outlive their requests: the answer has a bound, and a browser that leaves the page gives the request up.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::tally::{Outcome, count, count_late};
use crate::userprint::State;

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

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

    /// Works for so long, and says what came of it. What takes longer, or is dropped, goes on by itself.
    pub(super) async fn within(
        &self,
        bound: Duration,
        state: State,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        let mut hit = Pending {
            late: self,
            state,
            work: Some(Box::pin(work)),
        };
        let done = tokio::time::timeout(bound, hit.done()).await;
        // Counts it as unsure where it is not done.
        drop(hit);
        match done {
            Ok(outcome) => {
                count(state, &outcome);
                outcome
            }
            Err(_) => Outcome::Unsure,
        }
    }

    /// Waits until all are finished. Nothing must come any more.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Pending<'a> {
    late: &'a Late,
    state: State,
    /// Gone once it is done.
    work: Option<Work>,
}

impl Pending<'_> {
    async fn done(&mut self) -> Outcome {
        let outcome = poll_fn(|cx| {
            // Its timers must not end with the worker that began it.
            let _runtime = self.late.runtime.enter();
            match &mut self.work {
                Some(work) => work.as_mut().poll(cx),
                None => std::task::Poll::Pending,
            }
        })
        .await;
        self.work = None;
        outcome
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            count(self.state, &Outcome::Unsure);
            let task = async move { count_late(&work.await) };
            self.late.tasks.spawn_on(task, &self.late.runtime);
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
            .within(Duration::from_secs(5), State::Minted, async { Outcome::Logged })
            .await;
        assert_eq!(outcome, Outcome::Logged);
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
                end
            };
            let waiting = late.within(bound, State::Minted, work);
            match tokio::time::timeout(Duration::from_millis(50), waiting).await {
                Ok(outcome) => assert_eq!(outcome, Outcome::Unsure),
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
            Outcome::Logged
        };
        let worker = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let outcome = worker.block_on(late.within(Duration::from_millis(1), State::Minted, work));
        assert_eq!(outcome, Outcome::Unsure);
        drop(worker);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        process.block_on(late.finish());
    }
}
