//! Cross-origin requests: which pages may send with a key, and what their browsers are told.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderValue, ORIGIN,
    VARY,
};
use actix_web::{HttpRequest, HttpResponse};

use super::head::Head;
use super::problem::{Problem, ProblemCode};
use super::source::{Source, Sources};

/// What a page may send where its browser does not say what it wants to.
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, Content-Encoding");

/// Left in the request's extensions once its source is known: the browser may read the answer.
#[derive(Clone, Copy, Debug)]
pub struct OriginAllowed(pub bool);

pub(super) fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN)?.to_str().ok()
}

pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight. It cannot say which key will come, so that the origin of any untrusted source will do;
/// the request itself is then held against its own source's. Whatever headers the page wants to send, it may: SDKs
/// add their own (analytics.js says `X-Retry-Count` when it tries again), and who is no browser asks nobody.
pub(super) fn preflight(request: &HttpRequest, sources: &Sources) -> HttpResponse {
    let origin = origin(request.headers()).unwrap_or_default();
    let with_cookies = takes_cookies(request.path());
    let is_own = with_cookies && is_own_page(request.headers());
    if !is_own && !sources.any_allows(origin) {
        return refused(origin).response();
    }
    let headers = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
    let mut response = HttpResponse::NoContent();
    if with_cookies {
        response.insert_header((ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"));
    }
    response
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, origin))
        .insert_header((
            ACCESS_CONTROL_ALLOW_METHODS,
            if with_cookies {
                "GET, POST, DELETE, OPTIONS"
            } else {
                "GET, POST, OPTIONS"
            },
        ))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers.cloned().unwrap_or(HEADERS)))
        .insert_header((ACCESS_CONTROL_MAX_AGE, "86400"))
        .insert_header((VARY, "Origin, Access-Control-Request-Headers"))
        .finish()
}

/// Refuses a page that may not send with this untrusted source's key. Servers and apps send no Origin.
pub(super) fn check(head: &dyn Head, source: &Source) -> Result<OriginAllowed, Problem> {
    match head.header(ORIGIN.as_str()) {
        Some(origin) if !source.trusted => {
            if source.allows(origin) {
                return Ok(OriginAllowed(true));
            }
            Err(refused(origin))
        }
        _ => Ok(OriginAllowed(false)),
    }
}

/// Refuses a page that is neither of the pixel's own site nor of any source.
pub(super) fn check_page(request: &HttpRequest, sources: &Sources) -> Result<OriginAllowed, Problem> {
    let headers = request.headers();
    match origin(headers) {
        Some(origin) if sources.any_allows(origin) => Ok(OriginAllowed(true)),
        origin if is_own_page(headers) => Ok(OriginAllowed(origin.is_some())),
        origin => Err(refused(origin.unwrap_or("another site"))),
    }
}

/// Whether the browser says that the page is of this site; where it does not say so, whether it is of this host. Who
/// is no browser says neither, and acts for itself.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), origin(headers)) {
        (Some(site), _) => matches!(site, "same-origin" | "same-site" | "none"),
        (None, None) => true,
        (None, Some(origin)) => origin.split_once("://").map(|(_, host)| host) == text(HOST.as_str()),
    }
}

/// Whether pages call this path with their visitors' cookies.
fn takes_cookies(path: &str) -> bool {
    matches!(path, "/p" | "/p.gif" | "/p/optin" | "/p/optout")
}

/// Lets the browser read an answer.
pub(super) fn allow(headers: &mut HeaderMap, path: &str, origin: &str) {
    if takes_cookies(path) {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Ok(value) = HeaderValue::from_str(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After"),
        );
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

fn refused(origin: &str) -> Problem {
    Problem::new(
        ProblemCode::OriginNotAllowed,
        format!("pages of {origin} may not send with this key; add them to the source's origins"),
    )
}
