//! Knows visitors again by a signed cookie, and takes their hits: `/p.gif`, `/p`, `/p.js`.
//!
//! A hit becomes an event of the same collector, and so of the same log, as everything else. What is its own: whose an
//! event is, only the cookie says (`visitor`); and the GIF is served whatever becomes of the hit (`late`), which
//! `tally` counts. The GIF's hits are many and small, so that they go into the log together (`gathering`) and mostly past
//! the framework (`lane`).

mod consent;
mod cookies;
mod gathering;
mod hit;
mod lane;
mod late;
mod routes;
mod script;
mod tally;
mod visitor;

use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Clock;
use crate::collector::Collector;
use crate::config::{self, Config};
use crate::http::Source;
use crate::userprint::Userprints;

pub use lane::lane;
pub use routes::{paths, routes};
pub use script::source as script_source;

use gathering::Gathering;
use late::Late;
use script::Script;

/// What all handlers of the pixel share.
pub struct Pixel {
    collector: Arc<Collector>,
    userprints: Userprints,
    clock: Clock,
    config: config::Pixel,
    /// The source of hits without a key.
    keyless: Option<Arc<Source>>,
    late: Arc<Late>,
    script: Script,
}

impl Pixel {
    /// A pixel before a collector, as configured. Needs the runtime that outlives the HTTP server's workers.
    pub fn new(collector: Arc<Collector>, userprints: Userprints, clock: Clock, config: &Config) -> Self {
        Self {
            collector,
            userprints,
            clock,
            keyless: keyless(config),
            late: Arc::new(Late::here()),
            script: Script::new(&config.content),
            config: config.pixel.clone(),
        }
    }

    /// Where a worker's hits gather.
    fn gathering(&self) -> Rc<Gathering> {
        let (collector, late) = (Arc::clone(&self.collector), Arc::clone(&self.late));
        Gathering::new(collector, late, self.config.answer_within)
    }

    /// Waits for the hits that were answered before they were durable. After the last request.
    pub async fn finish(&self) {
        self.late.finish().await;
    }
}

/// The source of hits without a key, as it is configured, else one that any page may use.
fn keyless(config: &Config) -> Option<Arc<Source>> {
    let name = config.pixel.keyless_source.clone();
    if name.is_empty() {
        return None;
    }
    let configured = config.sources.iter().find(|source| source.name == name);
    Some(Arc::new(Source {
        origins: configured.map_or_else(|| vec!["*".to_owned()], |source| source.origins.clone()),
        name,
        trusted: false,
        may_backdate: false,
    }))
}
