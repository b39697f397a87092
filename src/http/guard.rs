//! What every request of the public listener passes through: header cap, CORS, problem bodies, metrics.

use std::time::Instant;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use metrics::{counter, histogram};

use super::cors::{self, OriginAllowed};
use super::gate::Gate;
use super::problem::{Problem, ProblemCode};
use crate::telemetry::metric;

/// The most bytes of a request's headers. The server itself cuts off at 128 KiB or 96 headers, also with 431.
const MAX_HEADERS: usize = 32 * 1024;

type Answer<B> = ServiceResponse<EitherBody<B, BoxBody>>;

pub(super) async fn guard<B: MessageBody + 'static>(
    gate: web::Data<Gate>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<Answer<B>, Error> {
    let began = Instant::now();
    let mut answer = if let Some(early) = early_answer(request.request(), &gate) {
        request.into_response(early).map_into_right_body()
    } else {
        mend(next.call(request).await?)
    };
    let (request, response) = (answer.request().clone(), answer.response_mut());
    if let Some(origin) = cors::origin(request.headers())
        && may_read(&request, &gate, origin)
    {
        cors::allow(response.headers_mut(), request.path(), origin);
    }
    let status = response.status().as_u16().to_string();
    histogram!(metric::HTTP_REQUEST_SECONDS, "status" => status).record(began.elapsed().as_secs_f64());
    Ok(answer)
}

fn early_answer(request: &HttpRequest, gate: &Gate) -> Option<HttpResponse> {
    let length: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum::<usize>()
        + request.uri().to_string().len();
    if length > MAX_HEADERS {
        let detail = format!("the headers have {length} bytes, at most {MAX_HEADERS} are taken");
        counter!(metric::HTTP_REFUSED_TOTAL, "code" => ProblemCode::HeadersTooLarge.as_str()).increment(1);
        return Some(Problem::new(ProblemCode::HeadersTooLarge, detail).response());
    }
    cors::is_preflight(request.method(), request.headers()).then(|| cors::preflight(request, gate.sources()))
}

/// Gives the framework's own, empty refusals a body.
fn mend<B: MessageBody + 'static>(answer: ServiceResponse<B>) -> Answer<B> {
    if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
        return answer.map_into_left_body();
    }
    let allow = answer.headers().get(ALLOW).cloned();
    let mut response = Problem::new(
        ProblemCode::MethodNotAllowed,
        "see the header Allow for what this path takes",
    )
    .response();
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    answer.into_response(response).map_into_right_body()
}

/// Whether the browser may show an answer to its page. Where no source was found (a wrong key), the page of
/// any source may see why.
fn may_read(request: &HttpRequest, gate: &Gate, origin: &str) -> bool {
    match request.extensions().get::<OriginAllowed>() {
        Some(OriginAllowed(allowed)) => *allowed,
        None => gate.sources().any_allows(origin),
    }
}
