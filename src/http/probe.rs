//! Liveness and readiness.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::problem::{Problem, ProblemCode};
use crate::lifecycle::Health;

/// How much `/ready` says of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Detail {
    /// What is the matter, in words that tell nothing of the host: anyone may ask.
    Plain,
    /// The part's own reason.
    Whole,
}

pub(super) fn configure(config: &mut web::ServiceConfig, health: &Health, detail: Detail) {
    let ready = move |health: web::Data<Health>| async move { ready(&health, detail) };
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

fn ready(health: &Health, detail: Detail) -> HttpResponse {
    let mut faults = health.faults();
    if faults.is_empty() {
        return HttpResponse::Ok().json(json!({"status": "ready"}));
    }
    if let Detail::Plain = detail {
        for (part, reason) in &mut faults {
            *reason = plain(part, reason).to_owned();
        }
    }
    HttpResponse::ServiceUnavailable().json(json!({"status": "unready", "faults": faults}))
}

/// What a reason quotes (a server's message, a path, an address) never leaves the process; where its kind is not
/// known, its part says enough.
fn plain(part: &str, reason: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["of disk left", "No space left", "SQLSTATE 53100"]) {
        return "the disk is full";
    }
    if reason.starts_with("paused") {
        return "paused, see momsflow status";
    }
    match part {
        "ingest" => "the event log takes nothing",
        "postgres" | "event store" if says(&["is starting", "not checked yet"]) => "PostgreSQL is starting",
        "postgres" | "event store" => "PostgreSQL does not answer",
        _ if part.starts_with("capture") => "PostgreSQL or the event log does not answer",
        _ => "see momsflow status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_in_plain_words() {
        for (part, reason, told) in [
            (
                "ingest",
                "/srv/data/event-log has 1234 bytes of disk left, of which 5 stay free",
                "the disk is full",
            ),
            (
                "ingest",
                "kafka at 10.0.0.7:9092 is gone",
                "the event log takes nothing",
            ),
            ("postgres", "it is starting", "PostgreSQL is starting"),
            (
                "event store",
                "its schema is not checked yet",
                "PostgreSQL is starting",
            ),
            (
                "event store",
                "password authentication failed for \"m\"",
                "PostgreSQL does not answer",
            ),
            (
                "capture of partition 0",
                "could not extend file (SQLSTATE 53100)",
                "the disk is full",
            ),
            (
                "capture of partition 0",
                "paused: permission denied for table events",
                "paused, see momsflow status",
            ),
            (
                "capture of partition 0",
                "connection closed",
                "PostgreSQL or the event log does not answer",
            ),
            ("archive", "s3://bucket/key", "see momsflow status"),
        ] {
            assert_eq!(plain(part, reason), told, "{part}: {reason}");
        }
    }
}
