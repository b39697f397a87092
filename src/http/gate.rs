use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpMessage as _, HttpRequest};

use super::body::{self, Limits};
use super::budget::{Budget, Reservation};
use super::client::{self, Client};
use super::cors;
use super::head::Head;
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
        self.admit_or(request, payload, None).await
    }

    /// The same, with the source of requests that name no key.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub async fn admit_or(
        &self,
        request: &HttpRequest,
        payload: Payload,
        keyless: Option<&Arc<Source>>,
    ) -> Result<Admitted, Problem> {
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
        let encoding = body::check_head(request, &limits)?;
        body::set_room_aside(request, encoding, &mut reservation).await?;
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
            source = Some(self.source_of(request, key.as_deref(), keyless)?);
        }
        Ok(Admitted {
            source: source.ok_or_else(missing_key)?,
            client: self.client(request),
            body,
            reservation,
        })
    }

    /// The source of a request without a body.
    ///
    /// # Errors
    /// 401 or 403.
    pub fn source(&self, head: &dyn Head, keyless: Option<&Arc<Source>>) -> Result<Arc<Source>, Problem> {
        self.source_of(head, key::from_head(head).as_deref(), keyless)
    }

    fn source_of(
        &self,
        head: &dyn Head,
        key: Option<&str>,
        keyless: Option<&Arc<Source>>,
    ) -> Result<Arc<Source>, Problem> {
        match (key, keyless) {
            (Some(key), _) => self.identify(head, key),
            (None, Some(source)) => allowed(head, source),
            (None, None) => Err(missing_key()),
        }
    }

    /// What a request tells about its client.
    pub fn client(&self, head: &dyn Head) -> Client {
        Client::of(head, &self.config.trusted_proxies)
    }

    /// Checks that a request which changes a visitor's own settings is not a strange page's doing.
    ///
    /// # Errors
    /// 403.
    pub fn check_page(&self, request: &HttpRequest) -> Result<(), Problem> {
        let allowed = cors::check_page(request, &self.sources)?;
        request.extensions_mut().insert(allowed);
        Ok(())
    }

    /// The scheme by which a request's client came, `https` behind a trusted proxy that says so.
    pub fn scheme(&self, head: &dyn Head) -> &'static str {
        client::scheme(head, &self.config.trusted_proxies)
    }

    /// Finds the source of a key and checks that the request's page may use it.
    ///
    /// # Errors
    /// 401 or 403.
    pub fn identify(&self, head: &dyn Head, key: &str) -> Result<Arc<Source>, Problem> {
        let source = self
            .sources
            .find(key)
            .ok_or_else(|| Problem::new(ProblemCode::UnknownKey, "the write key is not known here"))?;
        allowed(head, &source)
    }
}

fn allowed(head: &dyn Head, source: &Arc<Source>) -> Result<Arc<Source>, Problem> {
    let allowed = cors::check(head, source)?;
    head.note_origin(allowed);
    Ok(Arc::clone(source))
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
