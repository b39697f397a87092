mod content;
mod cookie;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, Source, is_name};

pub use content::Content;
pub use cookie::{CookieSecure, PixelCookie, SameSite};

/// Whether visitors are known before they said that they want to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// Visitors get a userprint until they opt out.
    Implied,
    /// Visitors get none until they opt in (`POST /p/optin`); their hits count without a person.
    Required,
}

/// The pixel: `/p.gif`, `/p.js` and what they need.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pixel {
    /// The source that hits without a write key are stored with; it is never trusted. Empty: they are not taken.
    pub keyless_source: String,
    /// How long `/p.gif` waits until its hit is durable. It answers then all the same, and the hit counts as unsure.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub answer_within: Duration,
    /// Whether a visitor is known without having said so: `implied` or `required`.
    pub consent: Consent,
    /// Whether `DNT: 1` is an opt-out. `Sec-GPC: 1` always is.
    pub honour_dnt: bool,
    pub cookie: PixelCookie,
}

impl Default for Pixel {
    fn default() -> Self {
        Self {
            keyless_source: "pixel".to_owned(),
            answer_within: Duration::from_secs(1),
            consent: Consent::Implied,
            honour_dnt: false,
            cookie: PixelCookie::default(),
        }
    }
}

impl Pixel {
    pub(super) fn validate(&self, sources: &[Source], faults: &mut Vec<Fault>) {
        let source = self.keyless_source.as_str();
        if !source.is_empty() && !is_name(source) {
            faults.push(Fault::new(
                "pixel.keyless_source",
                "must be empty or 1 to 64 lower-case letters, digits, `-` and `_`",
                "keyless_source = \"pixel\"",
            ));
        }
        let is_trusted = |known: &Source| known.name == source && known.trusted;
        if sources.iter().any(is_trusted) {
            faults.push(Fault::new(
                "pixel.keyless_source",
                "must not be a trusted source: anyone can send without a key",
                "give it a name of its own",
            ));
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(30)).contains(&self.answer_within) {
            faults.push(Fault::new(
                "pixel.answer_within",
                "must be 1ms to 30s",
                "answer_within = \"1s\"",
            ));
        }
        self.cookie.validate(faults);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found() {
        let source = Source {
            name: "server".to_owned(),
            key: None,
            key_file: None,
            key_env: None,
            trusted: true,
            origins: Vec::new(),
            may_backdate: false,
        };
        let faults = |change: &dyn Fn(&mut Pixel)| {
            let (mut pixel, mut faults) = (Pixel::default(), Vec::new());
            change(&mut pixel);
            pixel.validate(std::slice::from_ref(&source), &mut faults);
            let fields: Vec<_> = faults.into_iter().map(|fault| fault.field).collect();
            fields.join(" ")
        };
        assert_eq!(faults(&|_| ()), "");
        let cookie = |change: fn(&mut PixelCookie)| faults(&|pixel| change(&mut pixel.cookie));
        assert_eq!(faults(&|pixel| pixel.keyless_source.clear()), "");
        for name in ["Server!", "server"] {
            let named = faults(&|pixel| name.clone_into(&mut pixel.keyless_source));
            assert_eq!(named, "pixel.keyless_source", "{name}");
        }
        let slow = faults(&|pixel| pixel.answer_within = Duration::from_secs(60));
        assert_eq!(slow, "pixel.answer_within");
        assert_eq!(
            cookie(|cookie| cookie.name = "__Host-a".to_owned()),
            "pixel.cookie.name"
        );
        for domain in [
            ".example.com",
            "https://example.com",
            "Example.com",
            "example.com:8080",
            "a..b",
        ] {
            let named = faults(&|pixel| domain.clone_into(&mut pixel.cookie.domain));
            assert_eq!(named, "pixel.cookie.domain", "{domain}");
        }
        assert_eq!(
            cookie(|cookie| cookie.path = "/a;b".to_owned()),
            "pixel.cookie.path"
        );
        assert_eq!(
            cookie(|cookie| cookie.lifetime_days = 401),
            "pixel.cookie.lifetime_days"
        );
        assert_eq!(
            cookie(|cookie| cookie.renew_after_days = 0),
            "pixel.cookie.renew_after_days"
        );
        let open = cookie(|cookie| {
            cookie.secure = CookieSecure::Never;
            cookie.same_site = SameSite::None;
        });
        assert_eq!(open, "pixel.cookie.secure");
        assert_eq!(
            cookie(|cookie| cookie.partitioned = true),
            "pixel.cookie.partitioned"
        );
    }

    #[test]
    fn a_pattern_is_one_that_both_languages_know() {
        for (pattern, is_good) in [
            ("", true),
            ("^/(?:a|b)/([^/]+)", true),
            ("^/(?P<id>a)", false),
            ("(", false),
        ] {
            let mut faults = Vec::new();
            let url_pattern = pattern.to_owned();
            Content { url_pattern }.validate(&mut faults);
            assert_eq!(faults.is_empty(), is_good, "{pattern}");
        }
    }
}
