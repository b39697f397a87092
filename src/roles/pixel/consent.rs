//! What visitors decide about being known: opt in, opt out, be forgotten.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use cookie::Cookie;
use metrics::counter;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Pixel;
use super::cookies::Choice;
use super::hit::{commit, failure};
use super::routes::{BEACON_PATIENCE, answered, problem, refuse, with_cookies};
use super::tally::count_one;
use crate::collector::{Shape, Submission};
use crate::event::{self, Hit};
use crate::http::{Gate, Problem, Source};
use crate::telemetry::metric;
use crate::userprint::State;

/// The source of such events where hits without a key are not taken.
const OWN_SOURCE: &str = "pixel";

pub(super) async fn opt_out(
    pixel: web::Data<Pixel>,
    gate: web::Data<Gate>,
    request: HttpRequest,
) -> HttpResponse {
    choose(&pixel, &gate, &request, Choice::OptOut)
}

pub(super) async fn opt_in(
    pixel: web::Data<Pixel>,
    gate: web::Data<Gate>,
    request: HttpRequest,
) -> HttpResponse {
    choose(&pixel, &gate, &request, Choice::OptIn)
}

fn choose(pixel: &Pixel, gate: &Gate, request: &HttpRequest, choice: Choice) -> HttpResponse {
    if let Err(problem) = gate.check_page(request) {
        return refuse(&problem);
    }
    let attributes = pixel.attributes(gate, request);
    let mut cookies = vec![attributes.choice(choice)];
    if choice == Choice::OptOut {
        cookies.push(attributes.removal());
    }
    let word = choice.as_str();
    settled(word, &cookies, json!({"userprint_state": word}))
}

/// Takes the cookie away and notes its id as one to be forgotten. Who opted out stays so, and who did not gets a new id
/// with the next hit.
pub(super) async fn forget(
    pixel: web::Data<Pixel>,
    gate: web::Data<Gate>,
    request: HttpRequest,
) -> HttpResponse {
    if let Err(problem) = gate.check_page(&request) {
        return refuse(&problem);
    }
    let attributes = pixel.attributes(&gate, &request);
    let id = pixel.id_to_forget(&request, &attributes);
    if let Some(id) = id
        && let Err(problem) = note(&pixel, &gate, id).await
    {
        // The cookie stays, so that the visitor can ask again.
        return refuse(&problem);
    }
    settled(
        "forget",
        &[attributes.removal()],
        json!({"forgotten": id.is_some()}),
    )
}

/// Puts an id on the list, through the log, where it stands behind all of the visitor's events.
async fn note(pixel: &Pixel, gate: &Gate, id: Uuid) -> Result<(), Problem> {
    let own = || {
        Arc::new(Source {
            name: OWN_SOURCE.to_owned(),
            trusted: false,
            origins: Vec::new(),
            may_backdate: false,
        })
    };
    let source = pixel.keyless.clone().unwrap_or_else(own);
    let state = State::Forgotten;
    // Neither address nor user agent: what is noted is the id.
    let client = event::Client {
        hit: Some(Hit {
            userprint: Some(id),
            state,
            prefetch: false,
        }),
        ..event::Client::default()
    };
    let submission = Submission {
        source: &source,
        shape: Shape::Event(None),
        client,
    };
    let mut reservation = gate.budget().reserve();
    let reserve = |bytes| reservation.grow(bytes);
    let text = json!({"type": "track", "event": event::FORGOTTEN}).to_string();
    let prepared = pixel.collector.prepare(text.as_bytes(), &submission, reserve);
    let prepared = prepared.map_err(|error| {
        count_one(state, &failure(&error));
        problem(pixel, gate, error)
    })?;
    let (tell, told) = oneshot::channel();
    let tell = move |done| drop(tell.send(done));
    let work = commit(Arc::clone(&pixel.collector), vec![prepared], reservation, tell);
    pixel.late.within(BEACON_PATIENCE, vec![state], work).await;
    answered(pixel, gate, told)
}

fn settled(choice: &'static str, cookies: &[Cookie<'static>], body: Value) -> HttpResponse {
    counter!(metric::PIXEL_CHOICES_TOTAL, "choice" => choice).increment(1);
    with_cookies(HttpResponse::Ok().json(body), cookies)
}
