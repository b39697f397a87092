//! A plain connection for what the client library has no calls for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tokio::time::timeout;

use super::access::Access;
use super::finding::Trouble;
use super::sasl::LoginError;
use super::wire::{Broken, Wire};
use super::{CALL_TIMEOUT, CONNECT_TIMEOUT, diagnosis, tls};

/// A connection to one broker, one request at a time. After an error it is of no use any more.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    access: Arc<Access>,
    address: String,
}

impl Connection {
    /// Connects to `host:port`, and logs in.
    ///
    /// # Errors
    /// As [`Trouble`] says, with the address.
    pub(super) async fn open(address: &str, access: &Arc<Access>) -> Result<Self, Trouble> {
        Self::attempt(address, access)
            .await
            .map_err(|trouble| trouble.at(address))
    }

    /// Connects to the first of the brokers that lets it, beginning with any: one that stands still would else be asked
    /// each time.
    ///
    /// # Errors
    /// What each of them said; where one of them needs another set-up, what that is.
    pub(super) async fn open_any(access: &Arc<Access>) -> Result<Self, Trouble> {
        let mut reasons = Vec::new();
        let mut setup = None;
        let (before, after) = access
            .brokers
            .split_at(rand::random_range(0..access.brokers.len().max(1)));
        for address in after.iter().chain(before) {
            match Self::open(address, access).await {
                Ok(connection) => return Ok(connection),
                Err(Trouble::Passing(reason)) => reasons.push(reason),
                Err(trouble) => {
                    setup.get_or_insert(trouble);
                }
            }
        }
        Err(setup.unwrap_or_else(|| Trouble::Passing(reasons.join("; "))))
    }

    async fn attempt(address: &str, access: &Arc<Access>) -> Result<Self, Trouble> {
        let mut wire = match timeout(CONNECT_TIMEOUT, Wire::open(address, access.tls.as_ref())).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => return Err(diagnosis::explain(Broken::Io(error), address, access).await),
            Err(_) => {
                let seconds = CONNECT_TIMEOUT.as_secs();
                return Err(Trouble::Passing(format!("no connection within {seconds} s")));
            }
        };
        if let Some(sasl) = &access.sasl {
            match in_time(CALL_TIMEOUT, sasl.log_in(&mut wire)).await? {
                Ok(()) => {}
                Err(LoginError::Trouble(trouble)) => return Err(trouble),
                Err(LoginError::Broken(broken)) => {
                    return Err(diagnosis::explain(broken, address, access).await);
                }
            }
        }
        Ok(Self {
            wire,
            access: access.clone(),
            address: address.to_owned(),
        })
    }

    /// Sends a request and waits for its answer, `extra` longer than usual.
    ///
    /// # Errors
    /// As [`Trouble`] says, with the address.
    pub(super) async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        extra: Duration,
    ) -> Result<R::Response, Trouble> {
        let is_first = self.wire.is_fresh();
        let answer = in_time(CALL_TIMEOUT + extra, self.wire.exchange(request, version)).await;
        let trouble = match answer {
            Ok(Ok(response)) => return Ok(response),
            // The first request of a connection shows whether the broker is spoken to as it wants.
            Ok(Err(broken)) if is_first => diagnosis::explain(broken, &self.address, &self.access).await,
            Ok(Err(Broken::Io(error))) => {
                tls::explain(&error).unwrap_or_else(|| Trouble::Passing(error.to_string()))
            }
            Ok(Err(broken)) => Trouble::Passing(broken.to_string()),
            Err(late) => late,
        };
        Err(trouble.at(&self.address))
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Trouble> {
    timeout(limit, work)
        .await
        .map_err(|_| Trouble::Passing("no answer in time".to_owned()))
}
