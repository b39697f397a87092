use std::io;
use std::net::SocketAddr;

use crate::config::Config;
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
    let http = match config.takes_events() {
        true => bind("http.listen", config.http.listen).map(Some),
        false => Ok(None),
    };
    let (http, admin) = match (http, bind("admin.listen", config.admin.listen)) {
        (Ok(http), Ok(admin)) => (http, admin),
        (http, admin) => {
            let refused: Vec<_> = http.err().into_iter().chain(admin.err()).collect();
            return Err(cannot(&refused));
        }
    };
    let data_dir = match existing {
        Some(data_dir) => data_dir,
        None => DataDir::open(&config.data_dir)?,
    };
    Ok((Listeners { http, admin }, data_dir))
}

/// Why a listener's address is not to be had.
struct Refused {
    field: &'static str,
    reason: String,
}

fn bind(field: &'static str, addr: SocketAddr) -> Result<Bound, Refused> {
    Bound::bind(addr).map_err(|error| Refused::new(field, addr, &error))
}

impl Refused {
    fn new(field: &'static str, addr: SocketAddr, error: &io::Error) -> Self {
        let taken_by = match error.kind() {
            io::ErrorKind::AddrInUse => holder(addr.port()),
            _ => None,
        };
        let taken_by = taken_by.map_or_else(String::new, |holder| format!("; {holder} listens there"));
        Self {
            field,
            reason: format!("cannot listen on {addr} ({field}): {error}{taken_by}"),
        }
    }
}

/// All that are refused at once: whoever starts a second momsflow needs two other ports.
fn cannot(refused: &[Refused]) -> anyhow::Error {
    let reasons: Vec<_> = refused.iter().map(|one| one.reason.as_str()).collect();
    let fields: Vec<_> = refused.iter().map(|one| one.field).collect();
    let variables: Vec<_> = fields
        .iter()
        .map(|field| {
            let name = field.to_uppercase().replace('.', "__");
            format!("MOMSFLOW_{name}=127.0.0.1:0")
        })
        .collect();
    let ports = match refused.len() {
        1 => "takes a free port",
        _ => "take free ports",
    };
    anyhow::anyhow!(
        "{}\n\nhint: is another momsflow running? Stop it, or set {} in the config; {} {ports}",
        reasons.join("\n"),
        fields.join(" and "),
        variables.join(" "),
    )
}

pub(super) fn cannot_listen(field: &'static str, addr: SocketAddr, error: &io::Error) -> anyhow::Error {
    cannot(&[Refused::new(field, addr, error)])
}
