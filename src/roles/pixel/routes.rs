//! The pixel over HTTP.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use cookie::Cookie;
use metrics::counter;
use tokio::sync::oneshot;

use super::Pixel;
use super::consent::{forget, opt_in, opt_out};
use super::gathering::{Gathering, Ticket};
use super::hit::{Request, commit, failure, refuse_secret};
use super::script::script;
use super::tally::{Outcome, count_one};
use super::visitor::Visitor;
use crate::collector::{Answer, Prepared, Shape, SubmitError, none_accepted, problem_of};
use crate::event::Hit;
use crate::http::{Admitted, Gate, Head, Problem, ProblemCode, Reservation, Routes};
use crate::telemetry::metric;

/// One transparent point.
pub(super) const GIF: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

pub(super) const GIF_PATH: &str = "/p.gif";
const SCRIPT: &str = "/p.js";
const BEACON: &str = "/p";
const OPT_IN: &str = "/p/optin";
const OPT_OUT: &str = "/p/optout";

/// How long a beacon waits for the log, which gives up before.
pub(super) const BEACON_PATIENCE: Duration = Duration::from_secs(45);

/// Pages of every site may show the pixel, and see how long it took.
pub(super) const EVERYWHERE: [(HeaderName, HeaderValue); 2] = [
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    ),
    (
        HeaderName::from_static("timing-allow-origin"),
        HeaderValue::from_static("*"),
    ),
];

/// Every path that the pixel serves, with its method.
pub fn paths() -> Vec<(&'static str, &'static str)> {
    vec![
        ("get", GIF_PATH),
        ("get", SCRIPT),
        ("post", BEACON),
        ("delete", BEACON),
        ("post", OPT_IN),
        ("post", OPT_OUT),
    ]
}

/// The handlers of the pixel, for the public listener.
pub fn routes(pixel: Arc<Pixel>) -> Routes {
    Arc::new(move |config: &mut ServiceConfig| {
        let gathering = pixel.gathering();
        let gif = move |pixel: web::Data<Pixel>, gate: web::Data<Gate>, request: HttpRequest| {
            gif(pixel, gate, Rc::clone(&gathering), request)
        };
        config
            .app_data(web::Data::from(Arc::clone(&pixel)))
            .service(
                web::resource(GIF_PATH)
                    .route(web::get().to(gif.clone()))
                    .route(web::head().to(gif)),
            )
            .service(
                web::resource(SCRIPT)
                    .route(web::get().to(script))
                    .route(web::head().to(script)),
            )
            .service(
                web::resource(BEACON)
                    .route(web::post().to(beacon))
                    .route(web::delete().to(forget)),
            )
            .service(web::resource(OPT_IN).route(web::post().to(opt_in)))
            .service(web::resource(OPT_OUT).route(web::post().to(opt_out)));
    })
}

/// Serves the GIF whatever becomes of the hit. A HEAD shows nobody anything and is no hit; `If-None-Match` is not
/// heeded, since an answer that is the same for each visit would be no visit.
async fn gif(
    pixel: web::Data<Pixel>,
    gate: web::Data<Gate>,
    gathering: Rc<Gathering>,
    request: HttpRequest,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type("image/gif")
        .insert_header((CACHE_CONTROL, "no-store"));
    for header in EVERYWHERE {
        response.insert_header(header);
    }
    if request.method() == Method::GET {
        let (cookies, ticket) = hit(&pixel, &gate, &gathering, &request);
        if let Some(ticket) = ticket {
            ticket.await;
        }
        for cookie in &cookies {
            response.append_header((SET_COOKIE, cookie.to_string()));
        }
    }
    response.body(GIF.as_slice())
}

/// Takes a GIF's hit. Returns the cookies of its answer, and what the answer waits for.
pub(super) fn hit(
    pixel: &Pixel,
    gate: &Gate,
    gathering: &Rc<Gathering>,
    head: &dyn Head,
) -> (Vec<Cookie<'static>>, Option<Ticket>) {
    let Visitor { hit, cookies } = pixel.visitor(gate, head);
    let mut reservation = gate.budget().reserve();
    let ticket = match prepare(pixel, gate, head, hit, &mut reservation) {
        Ok(prepared) => Some(gathering.add(hit.state, prepared, reservation)),
        Err(outcome) => {
            count_one(hit.state, &outcome);
            None
        }
    };
    (cookies, ticket)
}

fn prepare(
    pixel: &Pixel,
    gate: &Gate,
    head: &dyn Head,
    hit: Hit,
    reservation: &mut Reservation,
) -> Result<Prepared, Outcome> {
    let refused = |problem: Problem| Outcome::Refused(problem.code());
    let source = gate.source(head, pixel.keyless.as_ref()).map_err(refused)?;
    refuse_secret(&source).map_err(refused)?;
    let request = Request {
        head,
        source: &source,
        client: &gate.client(head),
        body: &[],
        hit,
    };
    match pixel.prepare(&request, reservation) {
        Ok(Some(prepared)) => Ok(prepared),
        Ok(None) => Err(Outcome::Refused("impersonal")),
        Err(error) => Err(failure(&error)),
    }
}

/// Takes an event that a page sends; as for ingest, a 2xx means that it is durable.
async fn beacon(
    pixel: web::Data<Pixel>,
    gate: web::Data<Gate>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let visitor = pixel.visitor(&gate, &request);
    let response = match receive(&pixel, &gate, &request, payload, &visitor).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(problem) => refuse(&problem),
    };
    with_cookies(response, &visitor.cookies)
}

async fn receive(
    pixel: &Pixel,
    gate: &Gate,
    request: &HttpRequest,
    payload: Payload,
    visitor: &Visitor,
) -> Result<(), Problem> {
    let state = visitor.hit.state;
    let refused = |problem: &Problem| count_one(state, &Outcome::Refused(problem.code()));
    let Admitted {
        source,
        client,
        body,
        mut reservation,
    } = gate
        .admit_or(request, payload, pixel.keyless.as_ref())
        .await
        .inspect_err(refused)?;
    refuse_secret(&source).inspect_err(refused)?;
    let prepared = pixel.prepare(
        &Request {
            head: request,
            source: &source,
            client: &client,
            body: &body,
            hit: visitor.hit,
        },
        &mut reservation,
    );
    drop(body);
    let prepared = match prepared {
        Ok(Some(prepared)) => prepared,
        Ok(None) => {
            count_one(state, &Outcome::Refused("impersonal"));
            return Ok(());
        }
        Err(error) => {
            count_one(state, &failure(&error));
            return Err(problem(pixel, gate, error));
        }
    };
    let (tell, told) = oneshot::channel();
    let tell = move |done| drop(tell.send(done));
    let work = commit(Arc::clone(&pixel.collector), vec![prepared], reservation, tell);
    pixel.late.within(BEACON_PATIENCE, vec![state], work).await;
    answered(pixel, gate, told)
}

/// What a beacon is answered once its hit is durable or refused.
pub(super) fn answered(
    pixel: &Pixel,
    gate: &Gate,
    mut told: oneshot::Receiver<Vec<Result<Answer, SubmitError>>>,
) -> Result<(), Problem> {
    match told.try_recv().ok().and_then(|mut done| done.pop()) {
        Some(Ok(answer)) if answer.accepted > 0 => Ok(()),
        Some(Ok(answer)) => Err(none_accepted(&answer, Shape::Event(None))),
        Some(Err(error)) => Err(problem(pixel, gate, error)),
        None => Err(Problem::new(
            ProblemCode::LogUnavailable,
            "the event log did not answer; whether the event is stored is not known",
        )
        .retry_after(pixel.collector.retry_after(gate.budget()))),
    }
}

pub(super) fn problem(pixel: &Pixel, gate: &Gate, error: SubmitError) -> Problem {
    problem_of(error, || pixel.collector.retry_after(gate.budget()))
}

pub(super) fn refuse(problem: &Problem) -> HttpResponse {
    counter!(metric::HTTP_REFUSED_TOTAL, "code" => problem.code()).increment(1);
    problem.response()
}

/// Adds cookies to an answer, which nobody may keep for others then.
pub(super) fn with_cookies(mut response: HttpResponse, cookies: &[Cookie<'static>]) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in EVERYWHERE {
        headers.insert(name, value);
    }
    for cookie in cookies {
        // Names and values are plain by the config's rules.
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            headers.append(SET_COOKIE, value);
        }
    }
    response
}
