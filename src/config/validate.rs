use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{Config, Role, Secret, Source};

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Dotted field, such as `http.listen`.
    pub field: String,
    /// What was expected.
    pub constraint: String,
    /// What to do.
    pub hint: String,
}

impl Fault {
    pub(super) fn new(
        field: impl Into<String>,
        constraint: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            constraint: constraint.into(),
            hint: hint.into(),
        }
    }

    /// `field` is the key that was tried alone.
    pub(super) fn wrong_type(field: &str, error: &config::ConfigError) -> Self {
        let text = error.to_string();
        let reason = text.split_once(" for key `").map_or(&*text, |(reason, _)| reason);
        let constraint = if let Some((before, _)) = reason.split_once("expected struct ") {
            format!("{before}expected a section")
        } else if let Some((_, written)) = reason.split_once("does not have variant constructor ") {
            format!("`{written}` is none of its values")
        } else {
            reason.to_owned()
        };
        Self::new(
            field,
            constraint,
            "`momsflow config reference` shows what it takes",
        )
    }

    pub(super) fn unknown_key(field: &str) -> Self {
        let hint = match nearest(field) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "`momsflow config reference` lists every key".to_owned(),
        };
        Self::new(field, "is not a known key", hint)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (hint: {})", self.field, self.constraint, self.hint)
    }
}

/// The known key that looks most like a wrong one.
fn nearest(field: &str) -> Option<String> {
    super::reference::keys()
        .into_iter()
        .map(|key| (strsim::jaro_winkler(&key, field), key))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

/// Collects every fault of a configuration.
pub(super) fn validate(config: &Config, env: &HashMap<String, String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    process(config, &mut faults);
    http(config, &mut faults);
    sources(config, env, &mut faults);
    storage(config, &mut faults);
    config.kafka.validate(env, &mut faults);
    faults
}

fn process(config: &Config, faults: &mut Vec<Fault>) {
    if config.roles.is_empty() {
        faults.push(Fault::new(
            "roles",
            "needs at least one role",
            "roles = [\"ingest\", \"capture\"]",
        ));
    }
    if !config.kafka.is_used()
        && !config.roles.is_empty()
        && Role::ALL.iter().any(|role| !config.roles.contains(role))
    {
        faults.push(Fault::new(
            "roles",
            "must hold both ingest and capture: the embedded event log belongs to one process",
            "roles = [\"ingest\", \"capture\"], or name a Kafka in kafka.brokers",
        ));
    }
    if tracing_subscriber::EnvFilter::try_new(&config.log.level).is_err() {
        faults.push(Fault::new(
            "log.level",
            "must be a level or a filter",
            "level = \"info\"",
        ));
    }
}

fn http(config: &Config, faults: &mut Vec<Fault>) {
    let http = &config.http;
    if http.listen.port() != 0 && http.listen == config.admin.listen {
        faults.push(Fault::new(
            "admin.listen",
            "must differ from http.listen",
            "listen = \"127.0.0.1:8081\"",
        ));
    }
    if http.max_decompressed_body < http.max_body {
        faults.push(Fault::new(
            "http.max_decompressed_body",
            "must be at least http.max_body",
            "max_decompressed_body = \"16 MiB\"",
        ));
    }
    if http.in_flight < http.max_decompressed_body {
        faults.push(Fault::new(
            "http.in_flight",
            "must hold at least one request of http.max_decompressed_body",
            "in_flight = \"64 MiB\"",
        ));
    }
    if http.max_connections == 0 {
        faults.push(Fault::new(
            "http.max_connections",
            "must be at least 1",
            "max_connections = 25000",
        ));
    }
    if config.ingest.max_batch == 0 {
        faults.push(Fault::new(
            "ingest.max_batch",
            "must be at least 1",
            "max_batch = 20000",
        ));
    }
    if config.ingest.max_event.as_u64() > 1_000_000 {
        faults.push(Fault::new(
            "ingest.max_event",
            "must be at most 1 MB, what a log record can hold",
            "max_event = \"256 KiB\"",
        ));
    }
}

fn sources(config: &Config, env: &HashMap<String, String>, faults: &mut Vec<Fault>) {
    if config.write_key.as_ref().is_some_and(is_blank) {
        faults.push(Fault::new(
            "write_key",
            "must not be empty",
            "leave it out, and one is made and kept in the data dir",
        ));
    }
    let mut names = HashSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let field = |name: &str| format!("sources.{index}.{name}");
        if !is_name(&source.name) {
            faults.push(Fault::new(
                field("name"),
                "must be 1 to 64 lower-case letters, digits, `-` and `_`",
                "name = \"website\"",
            ));
        }
        if !names.insert(&source.name) {
            faults.push(Fault::new(
                field("name"),
                "is used twice",
                "give each source a name of its own",
            ));
        }
        if let Some(fault) = key_fault(source, env, &field("key")) {
            faults.push(fault);
        }
        for origin in &source.origins {
            if origin != "*" && !origin.starts_with("https://") && !origin.starts_with("http://") {
                faults.push(Fault::new(
                    field("origins"),
                    format!("`{origin}` is no origin: it needs its scheme"),
                    format!("origins = [\"https://{origin}\"]"),
                ));
            }
        }
        if source.may_backdate && !source.trusted {
            faults.push(Fault::new(
                field("may_backdate"),
                "needs trusted = true",
                "history comes from a server, whose key is secret",
            ));
        }
    }
}

fn key_fault(source: &Source, env: &HashMap<String, String>, field: &str) -> Option<Fault> {
    let given = [
        source.key.is_some(),
        source.key_file.is_some(),
        source.key_env.is_some(),
    ];
    if given.iter().filter(|is_given| **is_given).count() != 1 {
        return Some(Fault::new(
            field,
            "needs exactly one of key, key_file and key_env",
            "key = \"…\"",
        ));
    }
    if source.key.as_ref().is_some_and(is_blank) {
        return Some(Fault::new(field, "must not be empty", "key = \"…\""));
    }
    let variable = source.key_env.as_ref()?;
    if env.get(variable).is_none_or(String::is_empty) {
        return Some(Fault::new(
            field,
            format!("the variable {variable} is not set"),
            "set it, or use key_file",
        ));
    }
    None
}

fn is_blank(key: &Secret) -> bool {
    key.reveal().trim().is_empty()
}

/// Whether a source may be named so.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

fn storage(config: &Config, faults: &mut Vec<Fault>) {
    if !(1..=256).contains(&config.event_log.partitions) {
        faults.push(Fault::new(
            "event_log.partitions",
            "must be 1 to 256",
            "partitions = 4",
        ));
    }
    if config.capture.max_batch.as_u64() < 64 * 1024 {
        faults.push(Fault::new(
            "capture.max_batch",
            "must be at least 64 KiB",
            "max_batch = \"4 MiB\"",
        ));
    }
    if config.capture.lease.as_secs() < 2 {
        faults.push(Fault::new(
            "capture.lease",
            "must be at least 2s",
            "lease = \"10s\"",
        ));
    }
    let postgres = &config.postgres;
    if postgres.events_url.is_some() != postgres.views_url.is_some() {
        faults.push(Fault::new(
            "postgres.views_url",
            "goes together with postgres.events_url",
            "give both, or neither for the embedded PostgreSQL",
        ));
    }
    for (field, url) in [
        ("events_url", &postgres.events_url),
        ("views_url", &postgres.views_url),
    ] {
        if let Some(url) = url
            && url.reveal().parse::<tokio_postgres::Config>().is_err()
        {
            faults.push(Fault::new(
                format!("postgres.{field}"),
                "must be a PostgreSQL URL",
                "postgres://user:password@host:5432/database",
            ));
        }
    }
}
