use actix_web::http::header::{CACHE_CONTROL, HOST};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::http::Gate;

/// How long a browser may keep the settings.
const CACHE: &str = "public, max-age=300";

/// Answers what Segment's browser and mobile SDKs ask for first: which integrations there are, and where to
/// send. There is one, this server, at the host that was asked.
pub(super) async fn settings(
    gate: web::Data<Gate>,
    request: HttpRequest,
    key: web::Path<String>,
) -> HttpResponse {
    if let Err(problem) = gate.identify(&request, &key) {
        return problem.response();
    }
    // Neither X-Forwarded-Host nor another's word for the scheme: a shared cache would hand it on to others.
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, CACHE))
        .json(json!({
            "integrations": {
                "Segment.io": {
                    "apiKey": key.as_str(),
                    "apiHost": format!("{host}/v1"),
                    "protocol": gate.scheme(&request),
                    "unbundledIntegrations": [],
                    "addBundledMetadata": true,
                    "maybeBundledConfigIds": {},
                    "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
                },
            },
            "plan": {
                "track": {"__default": {"enabled": true, "integrations": {}}},
                "identify": {"__default": {"enabled": true}},
                "group": {"__default": {"enabled": true}},
            },
            "edgeFunction": {},
            "analyticsNextEnabled": true,
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "metrics": {"sampleRate": 0},
            "legacyVideoPluginsEnabled": false,
            "remotePlugins": [],
        }))
}
