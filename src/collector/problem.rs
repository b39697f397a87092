use actix_web::http::StatusCode;

use super::{Answer, Refused, Shape, SubmitError};
use crate::event::RejectCode;
use crate::http::{Problem, ProblemCode};

/// Whether all refused events are kept as dead letters; nothing where none was refused.
pub fn are_kept(answer: &Answer) -> Option<bool> {
    let is_kept = |refused: &Refused| refused.kept;
    (!answer.rejected.is_empty()).then(|| answer.rejected.iter().all(is_kept))
}

/// A single event's fault is the request's; a batch's are listed.
pub fn none_accepted(answer: &Answer, shape: Shape) -> Problem {
    let problem = match (shape, answer.rejected.as_slice()) {
        (Shape::Event(_), [refused]) => rejected_problem(refused.code, &refused.detail, &refused.pointer),
        (_, rejected) => Problem::new(
            ProblemCode::NoEventAccepted,
            format!("none of the {} events was accepted", rejected.len()),
        ),
    };
    let problem = problem.with("accepted", answer.accepted).with(
        "rejected",
        serde_json::to_value(&answer.rejected).unwrap_or_default(),
    );
    match are_kept(answer) {
        Some(kept) => problem.with("kept", kept),
        None => problem,
    }
}

fn rejected_problem(code: RejectCode, detail: &str, pointer: &str) -> Problem {
    let status = match code {
        RejectCode::EventTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    Problem::custom(code.as_str(), status.as_u16(), "The event was rejected", detail).with("pointer", pointer)
}

/// The one place where these errors become statuses. What the log says stays in the process.
pub fn problem_of(error: SubmitError, retry_after: impl FnOnce() -> u64) -> Problem {
    match error {
        SubmitError::Rejected { reject, kept } => {
            let problem = rejected_problem(reject.code, &reject.detail, &reject.pointer);
            let refused = Refused::new(0, None, reject, kept);
            problem
                .with("accepted", 0)
                .with("rejected", serde_json::to_value([refused]).unwrap_or_default())
                .with("kept", kept)
        }
        SubmitError::TooManyEvents(..) | SubmitError::TooMuchContext(..) => {
            Problem::new(ProblemCode::BatchTooLarge, error.to_string())
        }
        SubmitError::Overloaded(overloaded) => overloaded.into(),
        SubmitError::Log(_) => Problem::new(
            ProblemCode::LogUnavailable,
            "the events were not stored; send them again, they are not stored twice",
        )
        .retry_after(retry_after()),
    }
}
