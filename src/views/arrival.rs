//! How and with what somebody came.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What an event's context says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arrival {
    /// `email`, `social`, `search`, `paid`, `referral`, `direct`, or what the campaign's medium says.
    pub channel: String,
    pub referrer_host: Option<String>,
    pub landing_path: Option<String>,
    /// `mobile`, `tablet` or `desktop`.
    pub device: Option<String>,
    pub browser: Option<String>,
    pub language: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Context<'a> {
    #[serde(borrow)]
    page: Option<Page<'a>>,
    #[serde(borrow)]
    campaign: Option<Campaign<'a>>,
    #[serde(borrow)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    locale: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page<'a> {
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    referrer: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Campaign<'a> {
    #[serde(borrow)]
    medium: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
}

const SEARCH: [&str; 8] = [
    "google.",
    "bing.",
    "duckduckgo.",
    "yahoo.",
    "ecosia.",
    "yandex.",
    "baidu.",
    "qwant.",
];
const SOCIAL: [&str; 12] = [
    "facebook.",
    "instagram.",
    "t.co",
    "twitter.",
    "x.com",
    "linkedin.",
    "lnkd.in",
    "reddit.",
    "pinterest.",
    "youtube.",
    "tiktok.",
    "bsky.",
];

impl Arrival {
    /// Reads a context; one of an unusual shape says nothing.
    pub fn from_context(context: &str) -> Self {
        let Ok(context) = serde_json::from_str::<Context<'_>>(context) else {
            return Self::default();
        };
        let page = context.page.unwrap_or_default();
        let own_host = page.url.as_deref().and_then(host);
        let referrer_host = page
            .referrer
            .as_deref()
            .and_then(host)
            .filter(|host| own_host != Some(host));
        let campaign = context.campaign.unwrap_or_default();
        let path = page.path.as_deref().or(page.url.as_deref().and_then(path_of));
        Self {
            channel: channel(&campaign, referrer_host),
            referrer_host: referrer_host.map(str::to_owned),
            landing_path: path.map(|path| short(path, 500)),
            device: context
                .user_agent
                .as_deref()
                .map(|agent| device(agent).to_owned()),
            browser: context
                .user_agent
                .as_deref()
                .map(|agent| browser(agent).to_owned()),
            language: context.locale.as_deref().and_then(language),
        }
    }

    /// Whether somebody came from elsewhere, or by a campaign.
    pub fn is_from_elsewhere(&self) -> bool {
        self.channel != "direct" && !self.channel.is_empty()
    }
}

fn channel(campaign: &Campaign<'_>, referrer_host: Option<&str>) -> String {
    if let Some(medium) = campaign.medium.as_deref().filter(|medium| !medium.is_empty()) {
        return match medium.to_ascii_lowercase().as_str() {
            "cpc" | "ppc" | "paid" | "paidsearch" | "display" | "cpm" => "paid".to_owned(),
            "e-mail" | "email" | "newsletter" => "email".to_owned(),
            "social" | "social-media" | "sm" => "social".to_owned(),
            "organic" => "search".to_owned(),
            other => short(other, 40),
        };
    }
    if campaign
        .source
        .as_deref()
        .is_some_and(|source| source.eq_ignore_ascii_case("newsletter"))
    {
        return "email".to_owned();
    }
    let is_of = |known: &[&str], host: &str| {
        known.iter().any(|name| {
            let begins = |at: usize| at == 0 || host.as_bytes()[at - 1] == b'.';
            host.match_indices(name)
                .any(|(at, name)| begins(at) && (name.ends_with('.') || at + name.len() == host.len()))
        })
    };
    match referrer_host {
        None => "direct",
        Some(host) if is_of(&SEARCH, host) => "search",
        Some(host) if is_of(&SOCIAL, host) => "social",
        Some(_) => "referral",
    }
    .to_owned()
}

/// The host of a URL, without `www.`; none where it is no URL of the web.
fn host(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    (!host.is_empty() && host.len() <= 253).then_some(host)
}

fn path_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    Some(&path[..path.find(['?', '#']).unwrap_or(path.len())])
}

fn device(agent: &str) -> &'static str {
    let has = |word: &str| agent.contains(word);
    if has("iPad") || has("Tablet") || has("Android") && !has("Mobile") {
        "tablet"
    } else if has("Mobi") || has("iPhone") || has("Android") {
        "mobile"
    } else {
        "desktop"
    }
}

fn browser(agent: &str) -> &'static str {
    // The order matters: most call themselves by the names of those below as well.
    let known = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("FxiOS", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
    ];
    known
        .iter()
        .find(|(word, _)| agent.contains(word))
        .map_or("other", |(_, name)| *name)
}

/// The language of a locale such as `de-AT`.
fn language(locale: &str) -> Option<String> {
    let language = locale.split(['-', '_']).next().unwrap_or_default();
    ((2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .then(|| language.to_ascii_lowercase())
}

/// At most so many bytes, cut between characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel_of(context: &str) -> String {
        Arrival::from_context(context).channel
    }

    #[test]
    fn the_channel_is_what_the_campaign_says_or_else_where_the_link_was() {
        let page = |referrer: &str| {
            format!(r#"{{"page":{{"url":"https://news.example/a","referrer":"{referrer}"}}}}"#)
        };
        for (referrer, channel) in [
            ("", "direct"),
            ("https://news.example/", "direct"),
            ("https://www.google.de/search?q=x", "search"),
            ("https://t.co/abc", "social"),
            ("https://fast.co/abc", "referral"),
            ("https://m.facebook.com/", "social"),
            ("https://notgoogle.example/", "referral"),
        ] {
            assert_eq!(channel_of(&page(referrer)), channel, "{referrer}");
        }
        assert_eq!(channel_of(r#"{"campaign":{"medium":"Newsletter"}}"#), "email");
        assert_eq!(channel_of(r#"{"campaign":{"source":"newsletter"}}"#), "email");
        assert_eq!(channel_of(r#"{"campaign":{"medium":"cpc"}}"#), "paid");
    }

    #[test]
    fn a_context_of_another_shape_says_nothing() {
        for context in ["", "null", "[]", r#"{"page":7}"#, r#"{"page":{"url":1}}"#] {
            let arrival = Arrival::from_context(context);
            assert_eq!(
                (arrival.referrer_host, arrival.landing_path),
                (None, None),
                "{context}"
            );
        }
    }

    #[test]
    fn device_browser_and_language_are_told() {
        let arrival = Arrival::from_context(
            r#"{"locale":"de-AT","page":{"url":"https://n.example/b?x=1"},
                "userAgent":"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"}"#,
        );
        assert_eq!(arrival.device.as_deref(), Some("mobile"));
        assert_eq!(arrival.browser.as_deref(), Some("Safari"));
        assert_eq!(arrival.language.as_deref(), Some("de"));
        assert_eq!(arrival.landing_path.as_deref(), Some("/b"));
    }
}
