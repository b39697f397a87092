//! `/p.js`.

use std::io::Write as _;

use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::Pixel;
use super::routes::EVERYWHERE;
use crate::config;
use crate::http::Head as _;
use crate::private::hex;

const SOURCE: &str = include_str!("p.js");
/// Stands in the source for the pattern of content pages, a JavaScript string.
const PATTERN: &str = "\"CONTENT_URL_PATTERN\"";
/// How long a browser may keep it.
const CACHE: &str = "public, max-age=3600";

/// The script as it is served.
pub(super) struct Script {
    text: Bytes,
    gzip: Bytes,
    etag: String,
}

impl Script {
    pub(super) fn new(content: &config::Content) -> Self {
        let text = source(content);
        let etag = format!("\"{}\"", hex(&Sha256::digest(&text)[..8]));
        Self {
            gzip: gzip(&text).into(),
            text: text.into(),
            etag,
        }
    }
}

/// The script without its comments and indentation.
pub fn source(content: &config::Content) -> String {
    let lines = SOURCE.lines().map(str::trim);
    let code: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .collect();
    // JSON's strings are JavaScript's.
    let pattern = serde_json::Value::from(content.url_pattern.as_str()).to_string();
    code.join("\n").replace(PATTERN, &pattern)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

pub(super) async fn script(pixel: web::Data<Pixel>, request: HttpRequest) -> HttpResponse {
    let script = &pixel.script;
    let is_known = request
        .header(IF_NONE_MATCH.as_str())
        .is_some_and(|tags| tags.contains(&script.etag));
    let mut response = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    response
        .content_type("text/javascript; charset=utf-8")
        .insert_header((CACHE_CONTROL, CACHE))
        .insert_header((VARY, ACCEPT_ENCODING.as_str()))
        .insert_header((ETAG, script.etag.clone()));
    for header in EVERYWHERE {
        response.insert_header(header);
    }
    if is_known {
        return response.finish();
    }
    let takes_gzip = request
        .header(ACCEPT_ENCODING.as_str())
        .is_some_and(|known| known.contains("gzip"));
    if takes_gzip {
        response.insert_header((CONTENT_ENCODING, "gzip"));
        return response.body(script.gzip.clone());
    }
    response.body(script.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(url_pattern: &str) -> String {
        source(&config::Content {
            url_pattern: url_pattern.to_owned(),
        })
    }

    #[test]
    fn it_is_below_one_kilobyte() {
        let size = gzip(&served("^/articles/([^/]+)")).len();
        assert!(size < 1000, "{size} bytes");
    }

    #[test]
    fn the_pattern_is_a_string_of_it() {
        assert!(served("^/a\"(\\d+)").contains(r#""^/a\"(\\d+)""#));
        assert!(!served("").contains("CONTENT_URL_PATTERN"));
    }

    /// What a strict Content-Security-Policy forbids.
    #[test]
    fn it_needs_neither_eval_nor_inline_code() {
        for forbidden in [
            "eval",
            "Function(",
            "innerHTML",
            "document.write",
            "setTimeout(\"",
            ".style",
        ] {
            assert!(!served("").contains(forbidden), "{forbidden}");
        }
    }
}
