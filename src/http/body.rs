//! Reads a request's body within its limits: size, time, budget, content type and encoding.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::Payload;
use futures_util::StreamExt as _;
use tokio::time::{Instant, Interval, interval_at};

use super::budget::{LARGE, Overloaded, Reservation};
use super::inflate::{Encoding, InflateError, inflate};
use super::problem::{Problem, ProblemCode};
use super::valve::{Flow, Valve};

/// Content types that a body may have; some SDKs send none, sendBeacon sends text/plain.
const CONTENT_TYPES: [&str; 2] = ["application/json", "text/plain"];

/// The least by which a body's buffer grows.
const STEP: usize = 16 * 1024;

/// How often it is looked at whether a body comes in time for what its client was promised.
const LOOK: Duration = Duration::from_millis(100);
/// In how many looks the whole body must be there.
const LOOKS: usize = 20;

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
pub(super) fn check_head(request: &HttpRequest, limits: &Limits) -> Result<Encoding, BodyError> {
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
    match announced(request) {
        Some(length) if length > limits.max_body => Err(BodyError::TooLarge(limits.max_body)),
        _ => Ok(encoding),
    }
}

/// Sets aside what an announced body will take. A large one waits for its turn while nothing of it is read; if it is
/// refused then, what its client still sends is thrown away.
pub(super) async fn set_room_aside(
    request: &HttpRequest,
    encoding: Encoding,
    reservation: &mut Reservation,
) -> Result<(), Overloaded> {
    let Some(length) = announced(request) else {
        return Ok(());
    };
    let is_plain = encoding == Encoding::Identity;
    let valve = match request.conn_data::<Valve>() {
        Some(valve) if length >= LARGE => valve,
        _ => return reservation.promise(length, is_plain),
    };
    valve.set(Flow::Shut);
    let promised = reservation.promise_in_turn(length, is_plain).await;
    valve.set(match promised {
        Ok(()) => Flow::Open,
        // The answer comes before the body is read, after which actix-http closes the connection.
        Err(_) => Flow::Discarding,
    });
    promised
}

/// Reads and decompresses a body.
pub(super) async fn read(
    payload: Payload,
    announced: Option<usize>,
    encoding: Encoding,
    limits: &Limits,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, BodyError> {
    let collected = collect(payload, announced, limits.max_body, reservation);
    let body = tokio::time::timeout(limits.timeout, collected)
        .await
        .map_err(|_| BodyError::Timeout)??;
    let encoding = encoding.or_sniffed(&body);
    let body = inflate(encoding, body, limits.max_decompressed, reservation)?;
    // From here on it is known, and at once taken, what the records need.
    reservation.lapse();
    Ok(body)
}

async fn collect(
    mut payload: Payload,
    announced: Option<usize>,
    max: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    let mut promise = Promise::of(announced);
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = payload.next() => chunk,
            () = promise.breaks(body.len()) => {
                reservation.lapse();
                reservation.shrink(body.capacity() - body.len());
                body.shrink_to_fit();
                continue;
            }
        };
        let Some(chunk) = chunk else { return Ok(body) };
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => BodyError::TooLarge(max),
            _ => BodyError::Incomplete,
        })?;
        if body.len() + chunk.len() > max {
            return Err(BodyError::TooLarge(max));
        }
        let room = match announced {
            // Without the many buffers of a body that grows.
            Some(announced) if promise.holds => announced.max(body.len() + chunk.len()),
            _ => room_for(&body, chunk.len(), announced.unwrap_or(usize::MAX)),
        };
        if room > body.capacity() {
            reservation.grow(room - body.capacity())?;
            body.reserve_exact(room - body.len());
        }
        body.extend_from_slice(&chunk);
    }
}

/// Room that is set aside for a body as long as it comes with all speed.
struct Promise {
    /// Bytes that must have come since the last look.
    pace: usize,
    looked_at: usize,
    look: Interval,
    holds: bool,
}

impl Promise {
    fn of(announced: Option<usize>) -> Self {
        Self {
            pace: announced.unwrap_or(0) / LOOKS,
            looked_at: 0,
            look: interval_at(Instant::now() + LOOK, LOOK),
            holds: true,
        }
    }

    /// Returns once, when the body has become too slow; `arrived` is asked anew with every chunk.
    async fn breaks(&mut self, arrived: usize) {
        while self.holds {
            self.look.tick().await;
            self.holds = arrived - self.looked_at > self.pace;
            self.looked_at = arrived;
            if !self.holds {
                return;
            }
        }
        std::future::pending().await
    }
}

/// The room that a body's buffer shall have for so many more bytes: a quarter more, or the announced length where
/// that is near. A vector's own growth would take up to twice of what arrived.
fn room_for(body: &Vec<u8>, more: usize, announced: usize) -> usize {
    let needed = body.len() + more;
    if needed <= body.capacity() {
        return body.capacity();
    }
    let step = (body.len() / 4).max(STEP);
    needed.max((body.len() + step).min(announced))
}

/// The length that a client announced.
pub(super) fn announced(request: &HttpRequest) -> Option<usize> {
    text(request, &CONTENT_LENGTH)?.parse().ok()
}

fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    // A header that is no text is no known content type either.
    request
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a buffer chunk by chunk; returns its most room in per cent of what was in it, and its reallocations.
    fn filled(length: usize, chunk: usize, announced: usize) -> (usize, usize) {
        let (mut body, mut worst, mut moves) = (Vec::new(), 0, 0);
        while body.len() < length {
            let more = chunk.min(length - body.len());
            let room = room_for(&body, more, announced);
            moves += usize::from(room != body.capacity());
            body.reserve_exact(room - body.len());
            body.resize(body.len() + more, 0);
            if body.len() > 4 * STEP {
                worst = worst.max(body.capacity() * 100 / body.len());
            }
        }
        (worst, moves)
    }

    #[test]
    fn a_body_takes_little_more_than_was_counted() {
        let (room, moves) = filled(4 << 20, 32 << 10, 4 << 20);
        assert!(room <= 130 && moves < 40, "{room} %, {moves} moves");
        // A small one is moved a few times at the most.
        assert!(filled(60_000, 8 << 10, 60_000).1 <= 4);
    }

    #[test]
    fn nothing_is_taken_on_a_clients_word() {
        assert!(room_for(&Vec::new(), 10, 4 << 20) <= STEP);
    }
}
