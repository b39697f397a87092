use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

/// Why a request was refused as a whole: a stable word, listed in docs/http-api.md. An event's own faults
/// have codes of [`crate::event::RejectCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemCode {
    MissingKey,
    UnknownKey,
    OriginNotAllowed,
    TrustedKey,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    IncompleteBody,
    MalformedEncoding,
    BodyTooLarge,
    DecompressedBodyTooLarge,
    BatchTooLarge,
    UnsupportedMediaType,
    UnsupportedEncoding,
    HeadersTooLarge,
    NoEventAccepted,
    Overloaded,
    LogUnavailable,
}

impl ProblemCode {
    /// Every code, for the documentation's test.
    pub const ALL: [Self; 18] = [
        Self::MissingKey,
        Self::UnknownKey,
        Self::OriginNotAllowed,
        Self::TrustedKey,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IncompleteBody,
        Self::MalformedEncoding,
        Self::BodyTooLarge,
        Self::DecompressedBodyTooLarge,
        Self::BatchTooLarge,
        Self::UnsupportedMediaType,
        Self::UnsupportedEncoding,
        Self::HeadersTooLarge,
        Self::NoEventAccepted,
        Self::Overloaded,
        Self::LogUnavailable,
    ];

    /// The code in answers and metrics.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that says the same.
    pub fn status(self) -> u16 {
        self.row().1
    }

    fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::MissingKey => ("missing_key", 401, "No write key"),
            Self::UnknownKey => ("unknown_key", 401, "Unknown write key"),
            Self::OriginNotAllowed => ("origin_not_allowed", 403, "Origin not allowed"),
            Self::TrustedKey => ("trusted_key", 403, "Secret key"),
            Self::NotFound => ("not_found", 404, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::RequestTimeout => ("request_timeout", 408, "The request took too long to arrive"),
            Self::IncompleteBody => ("incomplete_body", 400, "The body ended early"),
            Self::MalformedEncoding => ("malformed_encoding", 400, "The body cannot be decompressed"),
            Self::BodyTooLarge => ("body_too_large", 413, "Body too large"),
            Self::DecompressedBodyTooLarge => (
                "decompressed_body_too_large",
                413,
                "Body too large after decompression",
            ),
            Self::BatchTooLarge => ("batch_too_large", 413, "Batch too large"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "Unsupported content type"),
            Self::UnsupportedEncoding => ("unsupported_encoding", 415, "Unsupported content encoding"),
            Self::HeadersTooLarge => ("headers_too_large", 431, "Headers too large"),
            Self::NoEventAccepted => ("no_event_accepted", 400, "No event was accepted"),
            Self::Overloaded => ("overloaded", 503, "Overloaded"),
            Self::LogUnavailable => ("log_unavailable", 503, "Events cannot be stored now"),
        }
    }
}

/// A refusal as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    code: &'static str,
    status: u16,
    title: &'static str,
    detail: String,
    extra: Vec<(&'static str, Value)>,
    retry_after: Option<u64>,
}

impl Problem {
    /// A refusal with its code's own status.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let (code, status, title) = code.row();
        Self::custom(code, status, title, detail)
    }

    /// A refusal with a code of another list, such as an event's fault.
    pub fn custom(code: &'static str, status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            status,
            title,
            detail: detail.into(),
            extra: Vec::new(),
            retry_after: None,
        }
    }

    /// Asks the client to come again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:momsflow:problem:{}", self.code),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            // What Segment's server calls it: its Python SDKs read this beside `code`, and where it is missing they
            // take the refusal for a broken connection and try a wrong key eleven times.
            "message": self.detail,
        });
        for (name, value) in &self.extra {
            body[name] = value.clone();
        }
        body
    }

    /// The answer to the client.
    pub fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"momsflow\", Bearer"));
        }
        response.body(self.body().to_string())
    }
}
