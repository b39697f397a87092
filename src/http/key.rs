//! Finds the write key of a request: Basic user name, Bearer, query; the body's comes last, once it is read.

use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::head::Head;

/// The key in the headers or the query.
pub(super) fn from_head(head: &dyn Head) -> Option<String> {
    from_authorization(head).or_else(|| from_query(head.query()))
}

fn from_authorization(head: &dyn Head) -> Option<String> {
    let header = head.header(AUTHORIZATION.as_str())?;
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
    let is_key = |name: &str| {
        name == "writeKey" || name.contains('%') && percent_decode_str(name).eq("writeKey".bytes())
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, key)| is_key(name) && !key.is_empty())
        .map(|(_, key)| {
            let key = key.replace('+', " ");
            percent_decode_str(&key).decode_utf8_lossy().into_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_querys_key_is_the_first_that_says_something() {
        for (query, key) in [
            ("a=b&writeKey=k%2B1+x&writeKey=2", Some("k+1 x")),
            ("write%4Bey=k", Some("k")),
            ("writeKey=&writeKey=k", Some("k")),
            ("writeKey&a=writeKey", None),
            ("xwriteKey=k", None),
            ("", None),
        ] {
            assert_eq!(from_query(query).as_deref(), key, "{query}");
        }
    }
}
