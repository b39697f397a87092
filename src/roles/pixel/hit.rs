//! A hit's way from the request into the log.

use std::sync::Arc;

use super::Pixel;
use super::tally::Outcome;
use crate::collector::{Answer, Collector, Prepared, Shape, Submission, SubmitError};
use crate::event::{self, Hit, HitParts, Reject};
use crate::http::{Client, Head, Problem, ProblemCode, Reservation, Source};

/// What a request brings besides its visitor.
pub(super) struct Request<'a> {
    pub(super) head: &'a dyn Head,
    pub(super) source: &'a Source,
    pub(super) client: &'a Client,
    /// The body of a beacon; empty for the GIF.
    pub(super) body: &'a [u8],
    pub(super) hit: Hit,
}

impl Pixel {
    /// Makes the record of a hit; `None` where it says nothing that may be kept.
    ///
    /// # Errors
    /// What concerns the hit as a whole.
    pub(super) fn prepare(
        &self,
        request: &Request<'_>,
        reservation: &mut Reservation,
    ) -> Result<Option<Prepared>, SubmitError> {
        let submission = Submission {
            source: request.source,
            shape: Shape::Event(None),
            client: event::Client {
                hit: Some(request.hit),
                ..request.client.for_event()
            },
        };
        let query = query(request.head);
        let data = query.iter().find(|(name, _)| name == "data");
        let data = data.map_or("", |(_, value)| value.as_str());
        let raw = if request.body.is_empty() {
            data.as_bytes()
        } else {
            request.body
        };
        match text(request, &query, data) {
            Ok(None) => Ok(None),
            Ok(Some(text)) => {
                let reserve = |bytes| reservation.grow(bytes);
                self.collector
                    .prepare(text.as_bytes(), &submission, reserve)
                    .map(Some)
            }
            Err(reject) => {
                // What cannot be read may say whose it is.
                let has_room = request.hit.state.has_person() && reservation.grow(raw.len() * 2).is_ok();
                let prepared = self
                    .collector
                    .prepare_rejection(raw, &submission, reject, has_room);
                Ok(Some(prepared))
            }
        }
    }
}

/// Makes hits durable, however long that takes, tells the answers, and says what came of each. Holds their share of
/// memory until then.
pub(super) async fn commit(
    collector: Arc<Collector>,
    prepared: Vec<Prepared>,
    reservation: Reservation,
    tell: impl FnOnce(Vec<Result<Answer, SubmitError>>) + Send,
) -> Vec<Outcome> {
    let done = collector.commit_all(prepared).await;
    drop(reservation);
    let outcomes = done.iter().map(outcome).collect();
    tell(done);
    outcomes
}

fn text(request: &Request<'_>, query: &[(String, String)], data: &str) -> Result<Option<String>, Reject> {
    let decoded = match (request.body.is_empty(), data.is_empty()) {
        (false, _) => Some(event::body_text(request.body)?.to_owned()),
        (true, false) => Some(event::hit_data(data)?),
        (true, true) => None,
    };
    event::hit_text(&HitParts {
        query,
        body: decoded.as_deref(),
        referer: request.head.header("referer"),
        has_person: request.hit.state.has_person(),
    })
}

/// The decoded parameters; none where they cannot be read.
fn query(head: &dyn Head) -> Vec<(String, String)> {
    actix_web::web::Query::from_query(head.query())
        .map(actix_web::web::Query::into_inner)
        .unwrap_or_default()
}

/// Refuses a key that everybody who sees the page could take.
pub(super) fn refuse_secret(source: &Source) -> Result<(), Problem> {
    match source.trusted {
        true => Err(Problem::new(
            ProblemCode::TrustedKey,
            "this key is of a trusted source and must stay secret; the pixel takes the key of an untrusted one, or none",
        )),
        false => Ok(()),
    }
}

fn outcome(done: &Result<Answer, SubmitError>) -> Outcome {
    match done {
        Ok(answer) => match answer.rejected.first() {
            Some(refused) => Outcome::Refused(refused.code.as_str()),
            None => Outcome::Logged,
        },
        Err(error) => failure(error),
    }
}

/// Why a hit was not logged.
pub(super) fn failure(error: &SubmitError) -> Outcome {
    match error {
        SubmitError::Overloaded(_) => Outcome::Shed("overloaded"),
        SubmitError::Log(_) => Outcome::Shed("log_unavailable"),
        SubmitError::Rejected { reject, .. } => Outcome::Refused(reject.code.as_str()),
        SubmitError::TooManyEvents(..) | SubmitError::TooMuchContext(..) => {
            Outcome::Refused(ProblemCode::BatchTooLarge.as_str())
        }
    }
}
