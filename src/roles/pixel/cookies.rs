//! The cookies as HTTP has them: what came, and what is set.

use cookie::time::Duration;
use cookie::{Cookie, SameSite};

use crate::config::{self, CookieSecure, PixelCookie};
use crate::http::Head;

/// How the name of the cookie that keeps a choice ends.
const STATE: &str = "_state";

/// What a visitor said about being known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    OptIn,
    OptOut,
}

impl Choice {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::OptIn => "optin",
            Self::OptOut => "optout",
        }
    }
}

/// Names and attributes of the cookies in the answer to one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a> {
    config: &'a PixelCookie,
    is_secure: bool,
}

impl<'a> Attributes<'a> {
    /// `scheme`: the one by which the client came.
    pub(super) fn new(config: &'a PixelCookie, scheme: &str) -> Self {
        let is_secure = match config.secure {
            CookieSecure::Auto => scheme == "https",
            CookieSecure::Always => true,
            CookieSecure::Never => false,
        };
        Self { config, is_secure }
    }

    /// A `__Host-` cookie can be set by its own host alone, and not by another one of the site.
    fn prefix(&self) -> &'static str {
        let may_be_host = self.is_secure && self.config.domain.is_empty() && self.config.path == "/";
        if may_be_host { "__Host-" } else { "" }
    }

    pub(super) fn name(&self) -> String {
        format!("{}{}", self.prefix(), self.config.name)
    }

    fn state_name(&self) -> String {
        format!("{}{STATE}", self.name())
    }

    /// What stands behind the configured name in a cookie's, which has this prefix.
    fn rest<'c>(&self, cookie: &'c str, prefix: &str) -> Option<&'c str> {
        cookie
            .strip_prefix(prefix)?
            .strip_prefix(self.config.name.as_str())
    }

    /// The visitor's cookie.
    pub(super) fn userprint(&self, value: String) -> Cookie<'static> {
        let mut cookie = self.cookie(self.name(), value);
        cookie.set_http_only(true);
        cookie
    }

    /// The cookie that keeps a choice. Pages may read it.
    pub(super) fn choice(&self, choice: Choice) -> Cookie<'static> {
        self.cookie(self.state_name(), choice.as_str().to_owned())
    }

    /// What takes the visitor's cookie away.
    pub(super) fn removal(&self) -> Cookie<'static> {
        let mut cookie = self.userprint(String::new());
        cookie.set_max_age(Duration::ZERO);
        cookie
    }

    fn cookie(&self, name: String, value: String) -> Cookie<'static> {
        let mut cookie = Cookie::new(name, value);
        if !self.config.domain.is_empty() {
            cookie.set_domain(self.config.domain.clone());
        }
        cookie.set_path(self.config.path.clone());
        cookie.set_max_age(Duration::days(self.config.lifetime_days.into()));
        cookie.set_same_site(match self.config.same_site {
            config::SameSite::Strict => SameSite::Strict,
            config::SameSite::Lax => SameSite::Lax,
            config::SameSite::None => SameSite::None,
        });
        cookie.set_secure(self.is_secure);
        if self.config.partitioned {
            cookie.set_partitioned(true);
        }
        cookie
    }
}

/// What a request brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// Every cookie of the userprint's name: other hosts of the site may have set one beside ours.
    pub(super) userprints: Vec<String>,
    pub(super) choice: Option<Choice>,
}

impl Brought {
    pub(super) fn read(head: &dyn Head, attributes: &Attributes<'_>) -> Self {
        let prefix = attributes.prefix();
        let mut brought = Self::default();
        let headers = head.headers_of("cookie");
        let cookies = headers.into_iter().flat_map(Cookie::split_parse).flatten();
        for cookie in cookies {
            let (name, value) = (cookie.name(), cookie.value());
            match (attributes.rest(name, prefix), value) {
                (Some(""), _) => brought.userprints.push(value.to_owned()),
                (Some(STATE), "optout") => brought.choice = Some(Choice::OptOut),
                (Some(STATE), "optin") => {
                    brought.choice.get_or_insert(Choice::OptIn);
                }
                // An opt-out counts under either name, whoever set it.
                (_, "optout") if attributes.rest(name, "") == Some(STATE) => {
                    brought.choice = Some(Choice::OptOut);
                }
                _ => {}
            }
        }
        brought
    }
}
