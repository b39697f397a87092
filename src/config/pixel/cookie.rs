use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Fault;

/// What browsers cut lifetimes to, in days (RFC 6265bis).
const LONGEST: u16 = 400;

/// When browsers send a cookie to the pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// Whether cookies go over TLS only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CookieSecure {
    /// Where the request came over https, as a proxy of `http.trusted_proxies` says.
    Auto,
    Always,
    Never,
}

/// The visitor's cookie. What it takes for which lifetime: docs/pixel.md.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PixelCookie {
    /// Its name. The cookie that keeps an opt-out or a consent is called the same with `_state`. Both get the prefix
    /// `__Host-` where that may be: with Secure, without a domain, and with the path `/`.
    pub name: String,
    /// The site's domain, `example.com`, so that all of its hosts get the cookie; it is signed for it. Empty: the cookie
    /// is of the host alone that set it, and signed for that.
    pub domain: String,
    /// The path that it is sent to.
    pub path: String,
    /// For how many days it holds after it was signed; browsers take up to 400.
    pub lifetime_days: u16,
    /// How many days old its signature is when it is signed anew, with the same id, so that who comes back keeps it.
    pub renew_after_days: u16,
    /// `lax` where the pixel is on the site's own domain; `none` where it stands on others, which takes TLS.
    pub same_site: SameSite,
    /// Whether it goes over TLS only: `auto`, `always` or `never`.
    pub secure: CookieSecure,
    /// Whether browsers keep one for each site that the pixel stands on (CHIPS); with `same_site = "none"`.
    pub partitioned: bool,
}

impl Default for PixelCookie {
    fn default() -> Self {
        Self {
            name: "userprint".to_owned(),
            domain: String::new(),
            path: "/".to_owned(),
            lifetime_days: LONGEST,
            renew_after_days: 1,
            same_site: SameSite::Lax,
            secure: CookieSecure::Auto,
            partitioned: false,
        }
    }
}

impl PixelCookie {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if !is_cookie_name(&self.name) {
            faults.push(Fault::new(
                "pixel.cookie.name",
                "must be 1 to 64 letters, digits, `-` and `_`, without a prefix",
                "name = \"userprint\"",
            ));
        }
        if !self.domain.is_empty() && !is_domain(&self.domain) {
            faults.push(Fault::new(
                "pixel.cookie.domain",
                "must be a domain in lower case, without scheme, port and leading dot",
                "domain = \"example.com\"",
            ));
        }
        let is_path = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        if !self.path.starts_with('/') || !self.path.bytes().all(is_path) {
            faults.push(Fault::new(
                "pixel.cookie.path",
                "must begin with a slash",
                "path = \"/\"",
            ));
        }
        self.validate_times(faults);
        if self.secure == CookieSecure::Never && (self.same_site == SameSite::None || self.partitioned) {
            faults.push(Fault::new(
                "pixel.cookie.secure",
                "must not be never with same_site = \"none\" or partitioned: browsers refuse such cookies",
                "secure = \"always\"",
            ));
        }
        if self.partitioned && self.same_site != SameSite::None {
            faults.push(Fault::new(
                "pixel.cookie.partitioned",
                "needs same_site = \"none\"",
                "same_site = \"none\"",
            ));
        }
    }

    fn validate_times(&self, faults: &mut Vec<Fault>) {
        if !(1..=LONGEST).contains(&self.lifetime_days) {
            faults.push(Fault::new(
                "pixel.cookie.lifetime_days",
                "must be 1 to 400",
                "lifetime_days = 400",
            ));
        }
        if !(1..=self.lifetime_days).contains(&self.renew_after_days) {
            faults.push(Fault::new(
                "pixel.cookie.renew_after_days",
                "must be 1 to pixel.cookie.lifetime_days",
                "renew_after_days = 1",
            ));
        }
    }
}

fn is_cookie_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with("__")
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}
