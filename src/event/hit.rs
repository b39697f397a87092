//! A hit of the pixel as an event's JSON text: from its query, its body, and the page that it stands on.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::field::inner;
use super::object::Object;
use super::{Reject, RejectCode, each_member, scan_object, unescape};

/// Members of an event that tell nothing of whose it is.
const IMPERSONAL: [&str; 4] = ["name", "category", "timestamp", "sentAt"];
/// The same of a context.
const IMPERSONAL_CONTEXT: [&str; 9] = [
    "page", "locale", "timezone", "screen", "campaign", "library", "app", "consent", "gpc",
];
/// The same of a context's page; what stands behind a `?` may be anything.
const IMPERSONAL_PAGE: [&str; 4] = ["url", "path", "referrer", "title"];
/// How parameters of the query begin that are properties.
const PROPERTY: &str = "prop.";

/// What a hit brings.
#[derive(Clone, Copy, Debug)]
pub struct HitParts<'a> {
    /// The decoded parameters; of a repeated one the first counts.
    pub query: &'a [(String, String)],
    /// An event as JSON text: a beacon's body, or what stood in the parameter `data`.
    pub body: Option<&'a str>,
    /// The page that the request itself names.
    pub referer: Option<&'a str>,
    /// Whether the event may say whose it is. Without, only what is known to tell nothing of it is kept.
    pub has_person: bool,
}

/// Makes an event's text of a hit: a track event if it has a name, else a page event. The body's members win over the
/// query's, but for `url`, `ref` and `title`. `anonymousId` is never taken from a client: whose a hit is, its cookie says.
///
/// `None` where there is nothing to say without a person: of an identify, a group or an alias.
///
/// # Errors
/// A body that is no JSON object.
pub fn hit_text(parts: &HitParts<'_>) -> Result<Option<String>, Reject> {
    let body = parts.body.map(Body::read).transpose()?.unwrap_or_default();
    let both;
    let query = match body.params.is_empty() {
        true => parts.query,
        false => {
            both = [parts.query, &body.params].concat();
            &both
        }
    };
    let parts = &HitParts { query, ..*parts };
    let event = body
        .event
        .map(Cow::Borrowed)
        .or_else(|| parts.param("event").map(|name| Cow::Owned(json(name))));
    let kind = body.kind.unwrap_or(match event {
        Some(_) => "\"track\"",
        None => "\"page\"",
    });
    if !parts.has_person && matches!(kind, "\"identify\"" | "\"group\"" | "\"alias\"") {
        return Ok(None);
    }
    let mut out = Object::with_room(parts.body.map_or(0, str::len) + 256);
    out.raw("type", kind);
    if let Some(event) = event {
        out.raw("event", &event);
    }
    for (key, value) in &body.others {
        if parts.has_person || IMPERSONAL.contains(&unescape(key).as_ref()) {
            out.raw(key, value);
        }
    }
    let page = parts.page();
    if let Some(properties) = parts.properties(body.properties, &page, kind == "\"page\"") {
        out.raw("properties", &properties);
    }
    if let Some(context) = parts.context(body.context, &page) {
        out.raw("context", &context);
    }
    Ok(Some(out.finish()))
}

/// Decodes the parameter `data`: base64 of either alphabet, with or without padding.
///
/// # Errors
/// What is no base64, or no text.
pub fn hit_data(data: &str) -> Result<String, Reject> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    // A plus that was not escaped arrives as a blank.
    let data = data.trim().replace(' ', "+");
    let alphabet = match data.contains(['-', '_']) {
        true => &URL_SAFE,
        false => &STANDARD,
    };
    let bytes = GeneralPurpose::new(alphabet, config).decode(&data).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            Reject::whole(
                RejectCode::MalformedJson,
                "the parameter data is no base64 of JSON",
            )
        })
}

/// The members of a body; of a repeated one the last.
#[derive(Default)]
struct Body<'a> {
    kind: Option<&'a str>,
    event: Option<&'a str>,
    properties: Option<&'a str>,
    context: Option<&'a str>,
    /// Those of the query's parameters that a body may have, as `/p.js` sends them.
    params: Vec<(String, String)>,
    others: Vec<(&'a str, &'a str)>,
}

impl<'a> Body<'a> {
    fn read(text: &'a str) -> Result<Self, Reject> {
        let mut body = Self::default();
        let read = each_member(text, |key, value| {
            let value = (value != "null").then_some(value);
            match (unescape(key).as_ref(), value) {
                ("type", value) => body.kind = value,
                ("event", value) => body.event = value,
                ("properties", value) => body.properties = value,
                ("context", value) => body.context = value,
                ("url" | "ref" | "title", Some(value)) if value.starts_with('"') => {
                    let value = unescape(inner(value)).into_owned();
                    body.params.push((unescape(key).into_owned(), value));
                }
                ("writeKey" | "anonymousId", _) | (_, None) => {}
                (_, Some(value)) => body.others.push((key, value)),
            }
        });
        if read.is_none() {
            scan_object(text, |_, _, _| ())?;
            return Err(Reject::whole(
                RejectCode::NotAnObject,
                "a hit's body is a JSON object",
            ));
        }
        Ok(body)
    }
}

impl<'a> HitParts<'a> {
    fn param(&self, name: &str) -> Option<&'a str> {
        let found = self.query.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The page's members, as Segment names them.
    fn page(&self) -> Vec<(&'static str, &'a str)> {
        let cut = |url: &'a str| if self.has_person { url } else { bare(url) };
        let url = self.param("url").or(self.referer).map(cut);
        [
            ("url", url),
            ("path", url.and_then(path)),
            ("referrer", self.param("ref").map(cut)),
            ("title", self.param("title")),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// The body's properties, then the query's, and those of a page.
    fn properties(&self, own: Option<&str>, page: &[(&str, &str)], is_page: bool) -> Option<String> {
        let mut out = Object::with_room(own.map_or(0, str::len));
        let mut taken = Vec::new();
        if let Some(own) = own {
            let read = each_member(own, |key, value| {
                taken.push(unescape(key).into_owned());
                out.raw(key, value);
            });
            if read.is_none() {
                // Decoding says what is wrong with it.
                return Some(own.to_owned());
            }
        }
        let named = self
            .query
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PROPERTY)?, value.as_str())));
        let page = page.iter().copied().filter(|_| is_page);
        for (name, value) in named.chain(page) {
            if !name.is_empty() && !taken.iter().any(|known| known == name) {
                out.text(inner(&json(name)), value);
                taken.push(name.to_owned());
            }
        }
        (!out.is_empty()).then(|| out.finish())
    }

    /// The body's context, with the page where it has none.
    fn context(&self, own: Option<&str>, page: &[(&str, &str)]) -> Option<String> {
        let mut out = Object::with_room(own.map_or(0, str::len) + 64);
        let mut has_page = false;
        let read = own.is_none_or(|own| {
            let copied = each_member(own, |key, value| {
                let name = unescape(key);
                has_page |= name == "page";
                match name.as_ref() {
                    _ if self.has_person => out.raw(key, value),
                    "page" => out.raw(key, &impersonal_page(value)),
                    name if IMPERSONAL_CONTEXT.contains(&name) => out.raw(key, value),
                    _ => {}
                }
            });
            copied.is_some()
        });
        if !read {
            // Decoding says what is wrong with it; but of nobody nothing unknown is kept.
            return own.filter(|_| self.has_person).map(str::to_owned);
        }
        if !has_page && !page.is_empty() {
            out.raw("page", &object(page));
        }
        (!out.is_empty()).then(|| out.finish())
    }
}

fn object(members: &[(&str, &str)]) -> String {
    let mut out = Object::with_room(64);
    for (name, value) in members {
        out.text(name, value);
    }
    out.finish()
}

/// A page without its query strings.
fn impersonal_page(page: &str) -> String {
    let mut out = Object::with_room(page.len());
    let _ = each_member(page, |key, value| {
        let name = unescape(key);
        let text = value.starts_with('"').then(|| unescape(inner(value)));
        if let (true, Some(text)) = (IMPERSONAL_PAGE.contains(&name.as_ref()), text) {
            out.text(key, if name == "title" { &text } else { bare(&text) });
        }
    });
    out.finish()
}

/// A URL without its query and fragment.
fn bare(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The path of an absolute URL.
fn path(url: &str) -> Option<&str> {
    let (_, rest) = bare(url).split_once("://")?;
    Some(rest.find('/').map_or("/", |at| &rest[at..]))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
