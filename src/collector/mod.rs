//! Takes bodies of events into the event log, whoever brings them: ingest, the pixel, an import.
//!
//! [`Collector::submit`] is the whole path of a body without HTTP: decode, append, one answer an event. Who must answer
//! before the log did, takes the two steps apart: [`Collector::prepare`] and [`Collector::commit`].

mod answer;
mod append;
mod bucket;
mod commit;
mod gather;
mod notice;
mod prepare;
mod preview;
mod problem;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::LogError;
use crate::broker::intake::Intake;
use crate::clock::Clock;
use crate::config;
use crate::event::{Client, EventKind, Policy, Reject};
use crate::http::{Budget, Overloaded, Source, for_outage};
use crate::lifecycle::Health;
use crate::userprint::Userprints;

pub use answer::{Answer, Refused};
pub use gather::Gatherer;
pub use prepare::Prepared;
pub use preview::{Doubt, Preview};
pub use problem::{are_kept, none_accepted, problem_of};

use bucket::Buckets;
use notice::{Notices, Refusals};

/// How often the log's health is looked at.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// Decodes bodies and puts their events into the log. Shared by all workers.
pub struct Collector {
    intake: Arc<Intake>,
    clock: Clock,
    policy: Policy,
    max_batch: usize,
    /// The most bytes that one request's records may take, batch defaults repeated.
    max_expansion: usize,
    rejects: Buckets,
    notices: Notices,
    refusals: Refusals,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One event; of this type, or where there is none of the type that it says.
    Event(Option<EventKind>),
    Batch,
    /// A batch of history, where the source may back-date; else a batch.
    Import,
    /// The lines of a file of history, each an event or a fault of its own.
    Lines,
}

/// A body's sender and shape.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    pub source: &'a Source,
    pub shape: Shape,
    pub client: Client<'a>,
}

/// Why a body was not taken as a whole.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The body cannot be taken apart. It was kept as a dead letter if `kept`.
    #[error("{reject}")]
    Rejected { reject: Reject, kept: bool },
    #[error("the batch has {0} events, at most {1} are taken")]
    TooManyEvents(usize, usize),
    #[error("with the batch's context the events take {0} bytes, at most {1} are taken")]
    TooMuchContext(usize, usize),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// Nothing is acknowledged; a part may have been written, which a retry does not store twice.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Collector {
    /// A collector before an intake, as configured.
    pub fn new(intake: Arc<Intake>, clock: Clock, config: &config::Config) -> Self {
        let ingest = &config.ingest;
        let as_usize = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Self {
            intake,
            clock,
            policy: Policy::new(ingest),
            max_batch: ingest.max_batch,
            max_expansion: as_usize(config.http.max_decompressed_body).saturating_mul(2),
            rejects: Buckets::new(ingest.rejects_kept_per_second),
            notices: Notices::default(),
            refusals: Refusals::default(),
        }
    }

    /// The same, which verifies the cookies that SDKs forward.
    #[must_use]
    pub fn with_userprints(self, userprints: Userprints) -> Self {
        Self {
            policy: self.policy.with_userprints(userprints),
            ..self
        }
    }

    /// Takes a body's events into the log and answers for each. `reserve` is asked for the memory that the
    /// records take, before they are made. A body that is given away is freed before the wait for the log.
    ///
    /// # Errors
    /// What concerns the body as a whole. Only an `Ok` is an acknowledgement.
    pub async fn submit(
        &self,
        body: impl AsRef<[u8]>,
        submission: &Submission<'_>,
        reserve: impl FnMut(usize) -> Result<(), Overloaded>,
    ) -> Result<Answer, SubmitError> {
        self.submit_by(body, submission, reserve, async |prepared| {
            self.commit(prepared).await
        })
        .await
    }

    /// The same, with another way of making durable what was prepared.
    ///
    /// # Errors
    /// As there.
    pub async fn submit_by(
        &self,
        body: impl AsRef<[u8]>,
        submission: &Submission<'_>,
        mut reserve: impl FnMut(usize) -> Result<(), Overloaded>,
        commit: impl AsyncFn(Prepared) -> Result<Answer, SubmitError>,
    ) -> Result<Answer, SubmitError> {
        let prepared = match self.prepare(body.as_ref(), submission, &mut reserve) {
            Err(SubmitError::Rejected { reject, .. }) => {
                let body = body.as_ref();
                // Its redacted copy and its record.
                let has_room = reserve(body.len().saturating_mul(2)).is_ok();
                let prepared = self.prepare_rejection(body, submission, reject.clone(), has_room);
                let answer = commit(prepared).await?;
                let kept = answer.rejected.iter().all(|refused| refused.kept);
                return Err(SubmitError::Rejected { reject, kept });
            }
            prepared => prepared?,
        };
        drop(body);
        commit(prepared).await
    }

    /// Seconds after which a client whose events were refused shall come again. While the log is unwell (disk full,
    /// Kafka away) that goes by how long it has been; else it was too slow for what is in flight.
    pub fn retry_after(&self, budget: &Budget) -> u64 {
        match self.intake.health() {
            Ok(()) => budget.retry_after(),
            Err(_) => for_outage(self.refusals.lasted(self.clock.now())),
        }
    }

    /// Tells `health` while neither the log nor a spool takes appends, until the token is cancelled.
    ///
    /// # Errors
    /// None; the type fits the supervisor's.
    pub async fn watch_intake(
        intake: Arc<Intake>,
        health: Health,
        token: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        loop {
            match intake.health() {
                Ok(()) => health.recover("ingest"),
                Err(reason) => health.fail("ingest", reason),
            }
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(HEALTH_INTERVAL) => {}
            }
        }
    }
}
