//! Finds the write key of a request: Basic user name, Bearer, query; the body's comes last, once it is read.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The key in the headers or the query.
pub(super) fn from_head(request: &HttpRequest) -> Option<String> {
    from_authorization(request).or_else(|| from_query(request.query_string()))
}

fn from_authorization(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = header.trim().split_once(' ')?;
    let value = value.trim();
    let key = if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        pair.split_once(':')
            .map_or(pair.clone(), |(user, _)| user.to_owned())
    } else if scheme.eq_ignore_ascii_case("bearer") {
        value.to_owned()
    } else {
        return None;
    };
    (!key.is_empty()).then_some(key)
}

fn from_query(query: &str) -> Option<String> {
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(query).ok()?;
    pairs
        .into_inner()
        .into_iter()
        .find(|(name, key)| name == "writeKey" && !key.is_empty())
        .map(|(_, key)| key)
}
