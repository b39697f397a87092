//! A URL of PostgreSQL as libpq has it, with the parameters of TLS that tokio-postgres does not know.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::tls::{PostgresTls, PostgresTlsMode};
use crate::config::Secret;

/// Where a database is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct PostgresServer {
    pub config: tokio_postgres::Config,
    pub tls: PostgresTls,
}

/// Why a URL is none; shows nothing of what may be secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UrlFault {
    pub(super) constraint: String,
    pub(super) hint: &'static str,
}

const EXAMPLE: &str = "postgres://user:password@host:5432/database";
/// Parameters that libpq knows and momsflow does without.
const FOREIGN: [&str; 12] = [
    "fallback_application_name",
    "gssencmode",
    "krbsrvname",
    "passfile",
    "require_auth",
    "requirepeer",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcrl",
    "sslpassword",
    "sslsni",
];
/// libpq's name for the authorities that the system trusts.
const SYSTEM: &str = "system";

impl PostgresServer {
    /// Takes a URL apart; `tls` is what it does not say itself.
    pub(super) fn parse(url: &Secret, tls: &PostgresTls) -> Result<Self, UrlFault> {
        let (plain, parameters) = without_tls(url.reveal());
        let mut tls = tls.clone();
        for (name, value) in &parameters {
            apply(&mut tls, name, value)?;
        }
        let is_system = parameters
            .iter()
            .any(|(name, value)| name == "sslrootcert" && value == SYSTEM);
        if is_system && *tls.mode.get_or_insert(PostgresTlsMode::VerifyFull) != PostgresTlsMode::VerifyFull {
            return Err(UrlFault::new(
                "has sslrootcert=system, which goes with sslmode=verify-full only",
                "sslmode=verify-full",
            ));
        }
        if let Some(lone) = tls.lone() {
            return Err(UrlFault::new(
                format!("has one of sslcert and sslkey, and no {lone} stands for the other"),
                "give both, or neither",
            ));
        }
        let config: tokio_postgres::Config = plain.parse().map_err(|_| unreadable(&plain))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(UrlFault::new("must name a host", EXAMPLE));
        }
        Ok(Self { config, tls })
    }
}

impl UrlFault {
    fn new(constraint: impl Into<String>, hint: &'static str) -> Self {
        Self {
            constraint: constraint.into(),
            hint,
        }
    }
}

fn apply(tls: &mut PostgresTls, name: &str, value: &str) -> Result<(), UrlFault> {
    match name {
        "sslmode" => {
            tls.mode = Some(PostgresTlsMode::of(value).ok_or_else(|| {
                UrlFault::new(
                    "has an sslmode that is none of disable, prefer, require, verify-ca and verify-full",
                    "sslmode=verify-full",
                )
            })?);
        }
        "sslrootcert" if value == SYSTEM => tls.ca_file = None,
        "sslrootcert" => tls.ca_file = Some(existing(name, value)?),
        "sslcert" => tls.certificate_file = Some(existing(name, value)?),
        "sslkey" => tls.key_file = Some(existing(name, value)?),
        _ => {}
    }
    Ok(())
}

/// One that cannot be read now may be meant for another user of this machine.
fn existing(name: &str, value: &str) -> Result<PathBuf, UrlFault> {
    let path = PathBuf::from(value);
    let error = std::fs::metadata(&path).err().map(|error| error.kind());
    match error {
        Some(std::io::ErrorKind::NotFound) => Err(UrlFault::new(
            format!("has an {name} that is no file: {value}"),
            "a relative path starts at the working folder",
        )),
        _ => Ok(path),
    }
}

/// The URL without its parameters of TLS, and these. They are found where tokio-postgres looks for parameters.
fn without_tls(url: &str) -> (String, Vec<(String, String)>) {
    let mut found = Vec::new();
    let Some((before, query)) = query(url) else {
        return (url.to_owned(), found);
    };
    let mut kept = Vec::new();
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "sslmode" | "sslrootcert" | "sslcert" | "sslkey" => {
                let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
                found.push((name.to_owned(), value));
            }
            _ => kept.push(parameter),
        }
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    (format!("{before}{mark}{}", kept.join("&")), found)
}

/// What is before and behind the `?`; one in the password is none.
fn query(url: &str) -> Option<(&str, &str)> {
    let schemes = ["postgres://", "postgresql://"];
    let scheme = schemes.into_iter().find(|scheme| url.starts_with(scheme))?;
    let host = url[scheme.len()..]
        .find('@')
        .map_or(scheme.len(), |at| scheme.len() + at + 1);
    let mark = host + url[host..].find('?')?;
    Some((&url[..mark], &url[mark + 1..]))
}

/// The parser's own words may quote what is secret; a parameter that libpq has and others have not is named.
fn unreadable(plain: &str) -> UrlFault {
    let names = query(plain).map_or("", |(_, query)| query).split('&');
    let foreign = names
        .filter_map(|parameter| parameter.split('=').next())
        .find_map(|name| FOREIGN.into_iter().find(|foreign| *foreign == name));
    match foreign {
        Some(name) => UrlFault::new(
            format!("has the parameter {name}, which momsflow does not know"),
            "leave it out",
        ),
        None => UrlFault::new("must be a PostgreSQL URL", EXAMPLE),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use PostgresTlsMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};

    fn parsed(url: &str, tls: &PostgresTls) -> Result<PostgresServer, UrlFault> {
        PostgresServer::parse(&Secret::new(url), tls)
    }

    #[test]
    fn a_url_says_over_the_section_how_far_a_server_is_trusted() {
        let plain = PostgresTls::default();
        let with_file = PostgresTls {
            ca_file: Some("/etc/ca.pem".into()),
            ..PostgresTls::default()
        };
        let strict = PostgresTls {
            mode: Some(VerifyFull),
            ..PostgresTls::default()
        };
        for (parameters, section, mode) in [
            ("", &plain, Prefer),
            ("", &with_file, VerifyFull),
            ("", &strict, VerifyFull),
            ("?sslmode=disable", &strict, Disable),
            ("?sslmode=require", &plain, Require),
            ("?sslmode=require", &with_file, VerifyCa),
            ("?sslmode=verify-ca", &plain, VerifyCa),
            ("?connect_timeout=2&sslmode=verify-full", &plain, VerifyFull),
            ("?sslrootcert=system", &plain, VerifyFull),
            ("?sslrootcert=Cargo%2Etoml&application_name=a", &plain, VerifyFull),
        ] {
            let url = format!("postgres://u:p%40?w@h:5/d{parameters}");
            let server = parsed(&url, section).unwrap();
            assert_eq!(server.tls.mode(), mode, "{parameters}");
            assert_eq!(server.config.get_dbname(), Some("d"), "{parameters}");
            assert_eq!(server.config.get_password(), Some(b"p@?w".as_slice()));
        }
        let named = parsed(
            "postgres://h/d?sslrootcert=Cargo%2Etoml&application_name=a",
            &plain,
        )
        .unwrap();
        assert_eq!(named.tls.ca_file, Some(PathBuf::from("Cargo.toml")));
        assert_eq!(named.config.get_application_name(), Some("a"));
    }

    #[test]
    fn what_is_no_url_is_named_and_its_password_is_not() {
        for (url, says) in [
            ("hush", "must be a PostgreSQL URL"),
            ("postgres://u:hush@h:port/d", "must be a PostgreSQL URL"),
            ("postgres:///d", "must name a host"),
            ("postgres://u:hush@h/d?sslmode=allow", "none of disable, prefer"),
            (
                "postgres://u:hush@h/d?sslmode=require&sslrootcert=system",
                "verify-full only",
            ),
            ("postgres://u:hush@h/d?sslcrl=/a", "the parameter sslcrl"),
            ("postgres://u:hush@h/d?sslrootcert=/no/file", "/no/file"),
            ("postgres://u:hush@h/d?sslcert=Cargo.toml", "no key_file"),
        ] {
            let fault = parsed(url, &PostgresTls::default()).unwrap_err();
            assert!(fault.constraint.contains(says), "{url}: {fault:?}");
            assert!(!format!("{fault:?}").contains("hush"), "{url}: {fault:?}");
        }
    }
}
