use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpMessage as _, HttpRequest};

use super::body::{self, Limits};
use super::budget::{Budget, Reservation};
use super::client::{self, Client};
use super::cors;
use super::key;
use super::problem::{Problem, ProblemCode};
use super::source::{Source, Sources};
use crate::{config, event};

/// Lets requests in: knows the keys, the limits and the budget.
#[derive(Debug)]
pub struct Gate {
    sources: Sources,
    config: config::Http,
    budget: Arc<Budget>,
}

/// A request with a known key, its body read whole.
#[derive(Debug)]
pub struct Admitted {
    pub source: Arc<Source>,
    pub client: Client,
    /// Decompressed; not looked at yet.
    pub body: Vec<u8>,
    /// Holds the request's share of memory until it is dropped.
    pub reservation: Reservation,
}

impl Gate {
    /// A gate with an unused budget.
    pub fn new(config: &config::Http, sources: Sources) -> Self {
        Self {
            sources,
            budget: Budget::new(as_usize(config.in_flight)),
            config: config.clone(),
        }
    }

    /// The write keys.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The in-flight budget.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Finds the source of a request's key and reads its body. A key in headers or query is judged before
    /// anything is read.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub async fn admit(&self, request: &HttpRequest, payload: Payload) -> Result<Admitted, Problem> {
        let mut source = match key::from_head(request) {
            Some(key) => Some(self.identify(request, &key)?),
            None => None,
        };
        let limits = Limits {
            max_body: as_usize(self.config.max_body),
            max_decompressed: as_usize(self.config.max_decompressed_body),
            timeout: self.config.client_timeout,
        };
        let mut reservation = self.budget.reserve();
        let encoding = body::check_head(request, &limits, &mut reservation)?;
        let body = body::read(
            payload,
            body::announced(request),
            encoding,
            &limits,
            &mut reservation,
        )
        .await?;
        if source.is_none() {
            let key = event::body_text(&body).ok().and_then(event::write_key);
            source = Some(self.identify(request, &key.ok_or_else(missing_key)?)?);
        }
        Ok(Admitted {
            source: source.ok_or_else(missing_key)?,
            client: Client::of(request, &self.config.trusted_proxies),
            body,
            reservation,
        })
    }

    /// The scheme by which a request's client came, `https` behind a trusted proxy that says so.
    pub fn scheme(&self, request: &HttpRequest) -> &'static str {
        client::scheme(request, &self.config.trusted_proxies)
    }

    /// Finds the source of a key and checks that the request's page may use it.
    ///
    /// # Errors
    /// 401 or 403.
    pub fn identify(&self, request: &HttpRequest, key: &str) -> Result<Arc<Source>, Problem> {
        let source = self
            .sources
            .find(key)
            .ok_or_else(|| Problem::new(ProblemCode::UnknownKey, "the write key is not known here"))?;
        let allowed = cors::check(request, source)?;
        request.extensions_mut().insert(allowed);
        Ok(Arc::clone(source))
    }
}

fn missing_key() -> Problem {
    Problem::new(
        ProblemCode::MissingKey,
        "send the write key as Basic user name, as Bearer, or as writeKey in the query or the body",
    )
}

fn as_usize(size: bytesize::ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
