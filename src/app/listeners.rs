use std::io;
use std::net::SocketAddr;

use crate::config::{Config, Role};
use crate::data_dir::DataDir;
use crate::http::{Bound, holder};

/// The addresses that the config names, taken and not listening yet.
pub(super) struct Listeners {
    /// Where a role serves the public.
    pub(super) http: Option<Bound>,
    pub(super) admin: Bound,
}

/// Takes the addresses and the data dir, and makes nothing where one of them is not to be had.
///
/// # Errors
/// For people, with who has it and what to do.
pub(super) fn take(config: &Config) -> anyhow::Result<(Listeners, DataDir)> {
    // On one data dir, who uses it says more than who has the port.
    let existing = match config.data_dir.exists() {
        true => Some(DataDir::open(&config.data_dir)?),
        false => None,
    };
    let http = match config.roles.contains(&Role::Ingest) {
        true => Some(bind("http.listen", config.http.listen)?),
        false => None,
    };
    let admin = bind("admin.listen", config.admin.listen)?;
    let data_dir = match existing {
        Some(data_dir) => data_dir,
        None => DataDir::open(&config.data_dir)?,
    };
    Ok((Listeners { http, admin }, data_dir))
}

fn bind(field: &str, addr: SocketAddr) -> anyhow::Result<Bound> {
    Bound::bind(addr).map_err(|error| cannot_listen(field, addr, &error))
}

pub(super) fn cannot_listen(field: &str, addr: SocketAddr, error: &io::Error) -> anyhow::Error {
    let variable = field.to_uppercase().replace('.', "__");
    let taken_by = match error.kind() {
        io::ErrorKind::AddrInUse => holder(addr.port()),
        _ => None,
    };
    let taken_by = taken_by.map_or_else(String::new, |holder| format!("; {holder} listens there"));
    anyhow::anyhow!(
        "cannot listen on {addr} ({field}): {error}{taken_by}\n\n\
         hint: is another momsflow running? Stop it, or set {field} in the config; \
         MOMSFLOW_{variable}=127.0.0.1:0 takes a free port"
    )
}
