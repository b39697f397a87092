use actix_web::{HttpResponse, web};

/// The description of the public HTTP API, as it is served.
pub const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/openapi.json").route(web::get().to(document)));
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(OPENAPI)
}
