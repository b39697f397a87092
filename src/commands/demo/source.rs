//! With which key the demo may send, and where.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::super::WrongUse;
use crate::config::Config;
use crate::control::client::{Client as Control, ControlError};
use crate::control::demo::{DEMO_SOURCE, DemoSource};

/// The demo's source at the running serve.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) http: SocketAddr,
    pub(super) key: String,
    /// Who lent the key, and lends another after a restart; `None` for a configured one.
    pub(super) lender: Option<Control>,
}

/// Asks the running serve.
///
/// # Errors
/// Where none runs, or it does not let the demo send: with what to do.
pub(super) async fn ask(config: &Config, control: &Control) -> anyhow::Result<Source> {
    let begun = control.post("/demo/begin", &()).await;
    let DemoSource { http, key } = begun.map_err(|error| match error {
        ControlError::Refused(reason) => anyhow::Error::new(WrongUse(reason)),
        error => error.into(),
    })?;
    let lender = key.is_some().then(|| control.clone());
    let key = match key {
        Some(key) => key,
        None => configured(config)?,
    };
    Ok(Source { http, key, lender })
}

fn configured(config: &Config) -> Result<String, WrongUse> {
    let env: HashMap<String, String> = std::env::vars().collect();
    let source = config.sources.iter().find(|source| source.name == DEMO_SOURCE);
    let source = source.ok_or_else(|| {
        WrongUse(format!(
            "serve has a source {DEMO_SOURCE}, and the configuration of this command has none\n\n\
             hint: name the same file with --config"
        ))
    })?;
    let key = source.read_key(&env);
    let key = key.map_err(|fault| WrongUse(format!("the key of the source {DEMO_SOURCE}: {fault}")))?;
    Ok(key.reveal().to_owned())
}

/// The key that a serve lends now.
pub(super) async fn lent(lender: &Control) -> Result<String, ControlError> {
    let DemoSource { key, .. } = lender.post("/demo/begin", &()).await?;
    key.ok_or_else(|| ControlError::Refused(format!("serve has a configured source {DEMO_SOURCE} by now")))
}
