use jiff::Timestamp;
use metrics::counter;

use super::append::{record_of_event, record_of_rejection};
use super::{Answer, Collector, Refused, Shape, Submission, SubmitError};
use crate::broker::Record;
use crate::event::{self, Batch, Client, Decoded, Defaults, EventKind, Origin, Reject, RejectCode, Scope};
use crate::http::Overloaded;
use crate::telemetry::metric;

/// What a record takes beside its event's own text: ids, times, names of members, the vectors' room.
const RECORD_ROOM: usize = 512;

/// A body's records and the answer that holds once they are durable: see [`Collector::commit`].
pub struct Prepared {
    pub(super) records: Vec<Record>,
    pub(super) answer: Answer,
    pub(super) tally: Tally,
}

/// Counts of a request, by source; reported once its events are durable.
pub(super) struct Tally {
    source: String,
    accepted: [u64; EventKind::ALL.len()],
    rejected: Vec<RejectCode>,
}

impl Tally {
    pub(super) fn is_of_source(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// Adds the counts of another request.
    pub(super) fn add(&mut self, other: Self) {
        for (sum, more) in self.accepted.iter_mut().zip(other.accepted) {
            *sum += more;
        }
        self.rejected.extend(other.rejected);
    }

    pub(super) fn count(self) {
        for (kind, accepted) in EventKind::ALL.into_iter().zip(self.accepted) {
            if accepted > 0 {
                counter!(metric::INGEST_EVENTS_TOTAL, "source" => self.source.clone(), "type" => kind.as_str())
                    .increment(accepted);
            }
        }
        for code in self.rejected {
            counter!(metric::INGEST_REJECTED_TOTAL, "source" => self.source.clone(), "code" => code.as_str())
                .increment(1);
        }
    }
}

impl Prepared {
    /// Nothing yet.
    fn of(source: &str) -> Self {
        Self {
            records: Vec::new(),
            answer: Answer::default(),
            tally: Tally {
                source: source.to_owned(),
                accepted: [0; EventKind::ALL.len()],
                rejected: Vec::new(),
            },
        }
    }

    /// What will be answered.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

impl Collector {
    /// Takes a body apart and makes its records, without a wait. `reserve` is asked for the memory that they take.
    ///
    /// # Errors
    /// What concerns the body as a whole.
    pub fn prepare(
        &self,
        body: &[u8],
        submission: &Submission<'_>,
        reserve: impl FnMut(usize) -> Result<(), Overloaded>,
    ) -> Result<Prepared, SubmitError> {
        let source = submission.source.name.as_str();
        if submission.shape == Shape::Import && !submission.source.may_backdate {
            self.notices.import_without_right(source);
        }
        let mut prepared = Prepared::of(source);
        self.each_event(body, submission, reserve, |index, raw, scope, outcome| {
            match outcome {
                Ok(Decoded { event, warnings }) => {
                    prepared.answer.accepted += 1;
                    prepared.tally.accepted[event.kind as usize] += 1;
                    prepared.records.push(record_of_event(&event));
                    self.notices.take(source, warnings);
                }
                Err(reject) => {
                    let kept = self.rejects.take(source, scope.received_at);
                    if kept {
                        let rejection = event::rejection(raw, scope, &reject);
                        prepared.records.push(record_of_rejection(&rejection));
                    }
                    prepared.tally.rejected.push(reject.code);
                    let refused = Refused::new(index, readable_id(raw), reject, kept);
                    prepared.answer.rejected.push(refused);
                }
            }
            Ok(())
        })?;
        Ok(prepared)
    }

    /// Makes the one dead letter of a body that cannot be taken apart, if there is memory for it and its source has not
    /// made too many.
    pub fn prepare_rejection(
        &self,
        body: &[u8],
        submission: &Submission<'_>,
        reject: Reject,
        has_room: bool,
    ) -> Prepared {
        let source = submission.source.name.as_str();
        let now = self.clock.now();
        let scope = self.scope(submission, Defaults::default(), now);
        let kept = has_room && self.rejects.take(source, now);
        let mut prepared = Prepared::of(source);
        if kept {
            let rejection = match submission.shape {
                Shape::Event(_) => event::rejection(body, &scope, &reject),
                Shape::Batch | Shape::Import | Shape::Lines => event::batch_rejection(body, &scope, &reject),
            };
            prepared.records.push(record_of_rejection(&rejection));
        }
        prepared.tally.rejected.push(reject.code);
        prepared.answer.rejected.push(Refused::new(0, None, reject, kept));
        prepared
    }

    /// Takes a body apart and decodes each of its events, until `each` fails.
    pub(super) fn each_event<'a>(
        &self,
        body: &'a [u8],
        submission: &Submission<'a>,
        mut reserve: impl FnMut(usize) -> Result<(), Overloaded>,
        mut each: impl FnMut(usize, &'a [u8], &Scope<'_>, Result<Decoded<'_>, Reject>) -> Result<(), SubmitError>,
    ) -> Result<(), SubmitError> {
        if submission.shape == Shape::Lines {
            return self.each_line(body, submission, reserve, each);
        }
        let batch = take_apart(body, submission.shape, self.max_batch)
            .map_err(|reject| SubmitError::Rejected { reject, kept: false })?;
        reserve(self.expansion(&batch, body.len(), &submission.client)?)?;
        let scope = self.scope(submission, batch.defaults, self.clock.now());
        for (index, raw) in batch.events.iter().enumerate() {
            let outcome = event::decode(raw, &scope);
            if let Err(reject) = &outcome
                && let Some(reject) = fault_of_body(body, raw, submission.shape, reject)
            {
                return Err(SubmitError::Rejected { reject, kept: false });
            }
            each(index, raw.as_bytes(), &scope, outcome)?;
        }
        Ok(())
    }

    /// Decodes each line by itself, so that one which is no JSON is a fault like any other.
    fn each_line<'a>(
        &self,
        body: &'a [u8],
        submission: &Submission<'a>,
        mut reserve: impl FnMut(usize) -> Result<(), Overloaded>,
        mut each: impl FnMut(usize, &'a [u8], &Scope<'_>, Result<Decoded<'_>, Reject>) -> Result<(), SubmitError>,
    ) -> Result<(), SubmitError> {
        let lines = body.split(|byte| *byte == b'\n');
        let room = lines.clone().count().saturating_mul(RECORD_ROOM);
        reserve(body.len().saturating_add(room))?;
        let scope = self.scope(submission, Defaults::default(), self.clock.now());
        for (index, line) in lines.enumerate() {
            let outcome = match std::str::from_utf8(line) {
                Ok(text) => event::decode(text, &scope),
                Err(error) => Err(Reject::whole(
                    RejectCode::InvalidUtf8,
                    format!("the line is no UTF-8: {error}"),
                )),
            };
            each(index, line, &scope, outcome)?;
        }
        Ok(())
    }

    /// The bytes that a body's records will take, within what one request may.
    fn expansion(&self, batch: &Batch<'_>, body: usize, client: &Client<'_>) -> Result<usize, SubmitError> {
        let events = batch.total;
        if events > self.max_batch {
            return Err(SubmitError::TooManyEvents(events, self.max_batch));
        }
        let context =
            batch.defaults.context.map_or(0, str::len) + batch.defaults.integrations.map_or(0, str::len);
        let repeated = body.saturating_add(events.saturating_mul(context));
        if context > 0 && repeated > self.max_expansion {
            return Err(SubmitError::TooMuchContext(repeated, self.max_expansion));
        }
        let record = RECORD_ROOM + client.user_agent.map_or(0, str::len);
        Ok(repeated.saturating_add(events.saturating_mul(record)))
    }

    pub(super) fn scope<'a>(
        &'a self,
        submission: &Submission<'a>,
        defaults: Defaults<'a>,
        received_at: Timestamp,
    ) -> Scope<'a> {
        let source = submission.source;
        Scope {
            source: &source.name,
            trusted: source.trusted,
            kind: match submission.shape {
                Shape::Event(kind) => kind,
                Shape::Batch | Shape::Import | Shape::Lines => None,
            },
            origin: match submission.shape {
                Shape::Import | Shape::Lines if source.may_backdate => Origin::Imported,
                _ => Origin::Live,
            },
            may_backdate: source.may_backdate,
            received_at,
            defaults,
            client: submission.client,
            policy: &self.policy,
        }
    }
}

/// The messageId of a refused event, as far as it can be read.
pub(super) fn readable_id(raw: &[u8]) -> Option<String> {
    event::message_id(std::str::from_utf8(raw).ok()?)
}

/// What is wrong with the whole body where an event is refused: that one is no JSON, or no object by itself.
fn fault_of_body(body: &[u8], event: &str, shape: Shape, reject: &Reject) -> Option<Reject> {
    let is_whole = matches!(reject.code, RejectCode::MalformedJson | RejectCode::NotAnObject);
    match shape {
        Shape::Event(_) => is_whole.then(|| reject.clone()),
        Shape::Batch | Shape::Import | Shape::Lines => event::malformed(body, event),
    }
}

fn take_apart(body: &[u8], shape: Shape, max: usize) -> Result<Batch<'_>, Reject> {
    let text = event::body_text(body)?;
    if let Shape::Batch | Shape::Import = shape {
        return event::parse_batch(text, max);
    }
    Ok(Batch {
        events: vec![text.trim()],
        total: 1,
        defaults: Defaults::default(),
    })
}
