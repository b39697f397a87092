//! The Segment HTTP API.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use metrics::counter;
use serde::Serialize;
use serde_json::value::RawValue;

use super::settings::settings;
use crate::collector::{
    Answer, Collector, Doubt, Gatherer, Preview, Refused, Shape, Submission, are_kept, none_accepted,
    problem_of,
};
use crate::event::{self, EventKind};
use crate::http::{Admitted, Gate, Problem, Routes};
use crate::telemetry::metric;

/// Where a body of which shape goes. The short routes are those of analytics.js, analytics-swift and
/// analytics-kotlin; without `/v1` they serve clients whose host was set without it. `/p` is not among the
/// latter: it is the pixel's.
const SUBMIT: [(&str, Shape); 21] = [
    ("/v1/track", Shape::Event(Some(EventKind::Track))),
    ("/v1/identify", Shape::Event(Some(EventKind::Identify))),
    ("/v1/page", Shape::Event(Some(EventKind::Page))),
    ("/v1/screen", Shape::Event(Some(EventKind::Screen))),
    ("/v1/group", Shape::Event(Some(EventKind::Group))),
    ("/v1/alias", Shape::Event(Some(EventKind::Alias))),
    ("/v1/batch", Shape::Batch),
    ("/v1/import", Shape::Import),
    ("/v1/t", Shape::Event(Some(EventKind::Track))),
    ("/v1/i", Shape::Event(Some(EventKind::Identify))),
    ("/v1/p", Shape::Event(Some(EventKind::Page))),
    ("/v1/s", Shape::Event(Some(EventKind::Screen))),
    ("/v1/g", Shape::Event(Some(EventKind::Group))),
    ("/v1/a", Shape::Event(Some(EventKind::Alias))),
    ("/v1/b", Shape::Batch),
    ("/t", Shape::Event(Some(EventKind::Track))),
    ("/i", Shape::Event(Some(EventKind::Identify))),
    ("/s", Shape::Event(Some(EventKind::Screen))),
    ("/g", Shape::Event(Some(EventKind::Group))),
    ("/a", Shape::Event(Some(EventKind::Alias))),
    ("/b", Shape::Batch),
];
const SETTINGS: [&str; 2] = ["/v1/projects/{key}/settings", "/projects/{key}/settings"];
const VALIDATE: &str = "/v1/validate";

/// Every path that ingest serves, with its method.
pub fn paths() -> Vec<(&'static str, &'static str)> {
    let submit = SUBMIT.iter().map(|(path, _)| ("post", *path));
    let settings = SETTINGS.iter().map(|path| ("get", *path));
    submit.chain([("post", VALIDATE)]).chain(settings).collect()
}

/// The handlers of ingest, for the public listener.
pub fn routes(collector: Arc<Collector>) -> Routes {
    Arc::new(move |config: &mut ServiceConfig| {
        config.app_data(web::Data::from(Arc::clone(&collector)));
        config.app_data(Gatherer::new(Arc::clone(&collector)));
        for (path, shape) in SUBMIT {
            let handler = move |collector: web::Data<Collector>,
                                gate: web::Data<Gate>,
                                request: HttpRequest,
                                payload: Payload| async move {
                submit(&collector, &gate, &request, payload, shape).await
            };
            config.service(web::resource(path).route(web::post().to(handler)));
        }
        config.service(web::resource(VALIDATE).route(web::post().to(validate)));
        for path in SETTINGS {
            config.service(web::resource(path).route(web::get().to(settings)));
        }
    })
}

async fn submit(
    collector: &Collector,
    gate: &Gate,
    request: &HttpRequest,
    payload: Payload,
    shape: Shape,
) -> HttpResponse {
    let admitted = match gate.admit(request, payload).await {
        Ok(admitted) => admitted,
        Err(problem) => return refuse(&problem),
    };
    let Admitted {
        source,
        client,
        body,
        mut reservation,
    } = admitted;
    let submission = Submission {
        source: &source,
        shape,
        client: client.for_event(),
    };
    let gatherer = request.app_data::<Rc<Gatherer>>();
    let reserve = |bytes| reservation.grow(bytes);
    let submitted = match (shape, gatherer) {
        (Shape::Event(_), Some(gatherer)) => {
            let commit = async |prepared| gatherer.commit(prepared).await;
            collector.submit_by(body, &submission, reserve, commit).await
        }
        _ => collector.submit(body, &submission, reserve).await,
    };
    match submitted {
        Ok(answer) => answered(&answer, shape),
        Err(error) => refuse(&problem_of(error, || collector.retry_after(gate.budget()))),
    }
}

async fn validate(
    collector: web::Data<Collector>,
    gate: web::Data<Gate>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let Admitted {
        source,
        client,
        body,
        mut reservation,
    } = match gate.admit(&request, payload).await {
        Ok(admitted) => admitted,
        Err(problem) => return refuse(&problem),
    };
    let is_batch = event::body_text(&body).is_ok_and(event::is_batch);
    let shape = if is_batch {
        Shape::Batch
    } else {
        Shape::Event(None)
    };
    let submission = Submission {
        source: &source,
        shape,
        client: client.for_event(),
    };
    match collector.preview(&body, &submission, |bytes| reservation.grow(bytes)) {
        Ok(preview) => previewed(&preview),
        Err(error) => refuse(&problem_of(error, || collector.retry_after(gate.budget()))),
    }
}

fn previewed(preview: &Preview) -> HttpResponse {
    #[derive(Serialize)]
    struct Body<'a> {
        success: bool,
        accepted: usize,
        rejected: &'a [Refused],
        warnings: &'a [Doubt],
        events: &'a [Box<RawValue>],
        stored: bool,
    }

    HttpResponse::Ok().json(Body {
        success: preview.answer.accepted > 0,
        accepted: preview.answer.accepted,
        rejected: &preview.answer.rejected,
        warnings: &preview.warnings,
        events: &preview.events,
        stored: false,
    })
}

fn answered(answer: &Answer, shape: Shape) -> HttpResponse {
    #[derive(Serialize)]
    struct Body<'a> {
        success: bool,
        accepted: usize,
        rejected: &'a [Refused],
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        durability: Option<&'static str>,
    }

    if answer.accepted == 0 {
        return refuse(&none_accepted(answer, shape));
    }
    HttpResponse::Ok().json(Body {
        success: true,
        accepted: answer.accepted,
        rejected: &answer.rejected,
        kept: are_kept(answer),
        durability: answer.is_spooled.then_some("spooled"),
    })
}

fn refuse(problem: &Problem) -> HttpResponse {
    counter!(metric::HTTP_REFUSED_TOTAL, "code" => problem.code()).increment(1);
    problem.response()
}
