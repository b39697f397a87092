use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Fault;

/// Which pages are content: articles, videos, newsletters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Content {
    /// A regular expression for the path of a content's page, whose first group is the content's id:
    /// `"^/articles/([^/]+)"`. `/p.js` takes it before a page's JSON-LD and `og:` tags. Only what Rust's and JavaScript's
    /// expressions have in common.
    pub url_pattern: String,
}

impl Content {
    pub(in crate::config) fn validate(&self, faults: &mut Vec<Fault>) {
        // Other groups are written otherwise in JavaScript, or are not there.
        let is_foreign = self.url_pattern.replace("(?:", "").contains("(?");
        let fault = match regex::Regex::new(&self.url_pattern) {
            Err(_) => "is no regular expression",
            Ok(_) if is_foreign => "has a group that JavaScript or Rust does not know: only (…) and (?:…)",
            Ok(_) => return,
        };
        faults.push(Fault::new(
            "content.url_pattern",
            fault,
            "url_pattern = \"^/articles/([^/]+)\"",
        ));
    }
}
