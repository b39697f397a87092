//! Liveness and readiness.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::problem::{Problem, ProblemCode};
use crate::lifecycle::Health;

pub(super) fn configure(config: &mut web::ServiceConfig, health: &Health) {
    config
        .app_data(web::Data::new(health.clone()))
        .service(
            web::resource("/live")
                .route(web::get().to(live))
                .route(web::head().to(live)),
        )
        .service(
            web::resource("/ready")
                .route(web::get().to(ready))
                .route(web::head().to(ready)),
        );
}

pub(super) async fn not_found() -> HttpResponse {
    Problem::new(
        ProblemCode::NotFound,
        "there is nothing at this path; see /openapi.json",
    )
    .response()
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
}

async fn ready(health: web::Data<Health>) -> HttpResponse {
    let faults = health.faults();
    if faults.is_empty() {
        return HttpResponse::Ok().json(json!({"status": "ready"}));
    }
    HttpResponse::ServiceUnavailable().json(json!({"status": "unready", "faults": faults}))
}
