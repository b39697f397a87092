//! Whose an event is, as far as a userprint tells.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Event, Reject, RejectCode, Scope, each_member, unescape};
use crate::userprint::{Fault, State, Userprints};

/// How anonymous ids begin that an SDK makes for one request because it does not know the visitor. A userprint that
/// holds takes their place.
const OF_A_REQUEST: &str = "request-";

/// What the pixel knows of a hit's visitor, in place of the ids that the hit may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    pub userprint: Option<Uuid>,
    pub state: State,
    /// Whether the browser only fetched ahead what nobody may ever see.
    #[serde(default)]
    pub prefetch: bool,
}

/// A forwarded cookie after its verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    pub state: State,
    /// `None` where it does not hold, or must not be read.
    pub id: Option<Uuid>,
}

impl Forwarded {
    /// Verifies a cookie that an SDK forwarded from the page `url`.
    pub(super) fn verify(
        userprints: &Userprints,
        cookie: &str,
        url: Option<&str>,
        opted_out: bool,
        scope: &Scope<'_>,
    ) -> Self {
        let nobody = |state| Self { state, id: None };
        if opted_out {
            return nobody(State::Optout);
        }
        let Some(host) = url.map(host).or(userprints.any_host()) else {
            return nobody(State::Absent);
        };
        match userprints.verify(cookie, host, scope.received_at) {
            Ok(verified) => Self {
                state: State::Returned,
                id: Some(verified.id),
            },
            Err(Fault::Expired) => nobody(State::Absent),
            Err(_) => nobody(State::Forged),
        }
    }
}

/// The ids of an event.
#[derive(Default)]
pub(super) struct Ids<'a> {
    pub user: Option<Cow<'a, str>>,
    pub anonymous: Option<Cow<'a, str>>,
    pub group: Option<Cow<'a, str>>,
    pub previous: Option<Cow<'a, str>>,
}

/// The ids that count: a hit's visitor is who its cookie says, and a forwarded cookie tells who asked. All but the hits
/// of visitors who are not to be known need a userId or an anonymousId.
pub(super) fn identity<'a>(
    own: Ids<'a>,
    forwarded: Option<Forwarded>,
    scope: &Scope<'_>,
) -> Result<Ids<'a>, Reject> {
    if let Some(hit) = scope.client.hit {
        return Ok(match hit.userprint {
            Some(id) if hit.state.has_person() => Ids {
                anonymous: Some(id.to_string().into()),
                ..own
            },
            _ => Ids::default(),
        });
    }
    let userprint = forwarded.and_then(|forwarded| forwarded.id);
    let anonymous = match userprint {
        Some(id) if gives_way(own.anonymous.as_deref()) => Some(id.to_string().into()),
        _ => own.anonymous,
    };
    if own.user.is_none() && anonymous.is_none() {
        return Err(Reject::whole(
            RejectCode::MissingIdentity,
            "an event needs a userId or an anonymousId",
        ));
    }
    Ok(Ids { anonymous, ..own })
}

/// Whether an anonymous id gives way to a userprint.
fn gives_way(anonymous_id: Option<&str>) -> bool {
    anonymous_id.is_none_or(is_of_a_request)
}

/// Whether an SDK made an anonymous id for one request, because it did not know the visitor.
pub fn is_of_a_request(anonymous_id: &str) -> bool {
    anonymous_id.starts_with(OF_A_REQUEST)
}

/// The userprint that an event's context holds: that of the visitor whose cookie came with it and was verified.
pub fn userprint<'a>(event: &'a Event<'_>) -> Option<Cow<'a, str>> {
    let context = event.context.as_ref()?.get();
    // Most contexts have none, and are not walked for it.
    memchr::memmem::find(context.as_bytes(), b"\"userprint\":")?;
    let (mut id, mut state) = (None, None);
    each_member(context, |key, value| match key {
        "userprint" => id = Some(value),
        "userprint_state" => state = Some(value),
        _ => {}
    })?;
    let id = id?.strip_prefix('"')?.strip_suffix('"')?;
    (state? == "\"returned\"").then(|| unescape(id))
}

/// The `url` of a context's `page`, given as JSON text.
pub(super) fn page_url(page: &str) -> Option<Cow<'_, str>> {
    let mut url = None;
    each_member(page, |key, value| {
        if unescape(key) == "url" {
            url = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        }
    })?;
    url.map(unescape)
}

/// The host of a URL, with its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_page_is_found() {
        for (url, expected) in [
            ("https://www.example.com/a?b=c://d", "www.example.com"),
            ("https://www.example.com", "www.example.com"),
            ("http://a@b@example.com:8080?x", "example.com:8080"),
            ("http://[::1]:8080/", "[::1]:8080"),
            ("/only/a/path", ""),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
        assert_eq!(
            page_url(r#"{"path":"/a","\u0075rl":"https:\/\/a.example"}"#).as_deref(),
            Some("https://a.example")
        );
        assert_eq!(page_url(r#"{"url":5}"#), None);
    }

    #[test]
    fn only_ids_of_a_request_give_way() {
        assert!(gives_way(None) && gives_way(Some("request-8a3f")));
        assert!(!gives_way(Some("visitor-1")) && !gives_way(Some("")));
    }
}
