//! Reads a request's body within its limits: size, time, budget, content type and encoding.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::Payload;
use futures_util::StreamExt as _;

use super::budget::{Budget, Overloaded, Reservation};
use super::inflate::{Encoding, InflateError, inflate};
use super::problem::{Problem, ProblemCode};

/// Content types that a body may have; some SDKs send none, sendBeacon sends text/plain.
const CONTENT_TYPES: [&str; 2] = ["application/json", "text/plain"];

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub max_body: usize,
    pub max_decompressed: usize,
    pub timeout: Duration,
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the content type must be application/json or text/plain")]
    ContentType,
    #[error("the content encoding must be gzip, deflate, br or zstd")]
    Encoding,
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    Timeout,
    #[error("the body ended before it was complete")]
    Incomplete,
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let code = match &error {
            BodyError::ContentType => ProblemCode::UnsupportedMediaType,
            BodyError::Encoding => ProblemCode::UnsupportedEncoding,
            BodyError::TooLarge(_) => ProblemCode::BodyTooLarge,
            BodyError::Timeout => ProblemCode::RequestTimeout,
            BodyError::Incomplete => ProblemCode::IncompleteBody,
            BodyError::Inflate(InflateError::TooLarge(_)) => ProblemCode::DecompressedBodyTooLarge,
            BodyError::Inflate(InflateError::Malformed) => ProblemCode::MalformedEncoding,
            BodyError::Inflate(InflateError::Overloaded(refused)) | BodyError::Overloaded(refused) => {
                return (*refused).into();
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<Overloaded> for Problem {
    fn from(refused: Overloaded) -> Self {
        if refused.hopeless {
            return Self::new(
                ProblemCode::BodyTooLarge,
                "the body takes more memory than http.in_flight",
            );
        }
        Self::new(ProblemCode::Overloaded, refused.to_string()).retry_after(refused.retry_after)
    }
}

/// Refuses a body by its headers alone, before any of it is read.
pub(super) fn check_head(
    request: &HttpRequest,
    limits: &Limits,
    budget: &Budget,
) -> Result<Encoding, BodyError> {
    if let Some(content_type) = text(request, &CONTENT_TYPE) {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.is_empty()
            && !CONTENT_TYPES
                .iter()
                .any(|known| known.eq_ignore_ascii_case(essence))
        {
            return Err(BodyError::ContentType);
        }
    }
    let mut encodings = request.headers().get_all(CONTENT_ENCODING);
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => Encoding::Identity,
        (Some(name), None) => name
            .to_str()
            .ok()
            .and_then(Encoding::parse)
            .ok_or(BodyError::Encoding)?,
        _ => return Err(BodyError::Encoding),
    };
    if let Some(length) = text(request, &CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()) {
        if length > limits.max_body {
            return Err(BodyError::TooLarge(limits.max_body));
        }
        budget.check(length)?;
    }
    Ok(encoding)
}

/// Reads and decompresses a body.
pub(super) async fn read(
    payload: Payload,
    encoding: Encoding,
    limits: &Limits,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, BodyError> {
    let body = tokio::time::timeout(limits.timeout, collect(payload, limits.max_body, reservation))
        .await
        .map_err(|_| BodyError::Timeout)??;
    let encoding = encoding.or_sniffed(&body);
    Ok(inflate(encoding, body, limits.max_decompressed, reservation)?)
}

async fn collect(
    mut payload: Payload,
    max: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => BodyError::TooLarge(max),
            _ => BodyError::Incomplete,
        })?;
        if body.len() + chunk.len() > max {
            return Err(BodyError::TooLarge(max));
        }
        reservation.grow(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    // A header that is no text is no known content type either.
    request
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap_or("?"))
}
