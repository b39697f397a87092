use std::collections::HashMap;
use std::fmt;

use super::{Config, Role, Secret, source, userprint_key};

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

    /// `place`: where it is said.
    pub(super) fn unknown_key(field: &str, place: &str) -> Self {
        let hint = match nearest(field) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "`momsflow config reference` lists every key".to_owned(),
        };
        Self::new(field, format!("is not a known key{place}"), hint)
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

/// Collects every fault of a configuration; `needs_keys`: a key file that cannot be read is one.
pub(super) fn validate(config: &Config, env: &HashMap<String, String>, needs_keys: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    process(config, &mut faults);
    http(config, &mut faults);
    keys(config, &mut faults);
    source::validate(&config.sources, env, needs_keys, &mut faults);
    userprint_key::validate(&config.userprint_keys, env, needs_keys, &mut faults);
    config.pixel.validate(&config.sources, &mut faults);
    config.content.validate(&mut faults);
    storage(config, &mut faults);
    config.views.validate(&mut faults);
    config.postgres.validate(env, needs_keys, &mut faults);
    config.kafka.validate(env, &mut faults);
    faults
}

fn process(config: &Config, faults: &mut Vec<Fault>) {
    if config.roles.is_empty() {
        faults.push(Fault::new(
            "roles",
            "needs at least one role",
            "roles = [\"ingest\", \"capture\", \"pixel\", \"user-views\"]",
        ));
    }
    let captures = config.roles.contains(&Role::Capture);
    let uses_log = config.takes_events() || captures;
    if !config.kafka.is_used() && uses_log && !(config.takes_events() && captures) {
        faults.push(Fault::new(
            "roles",
            "must hold capture, and ingest or pixel: the embedded event log belongs to one process",
            "roles = [\"ingest\", \"capture\", \"pixel\"], or name a Kafka in kafka.brokers",
        ));
    }
    if let Err(error) = jiff::tz::TimeZone::get(&config.timezone) {
        faults.push(Fault::new(
            "timezone",
            format!("must be the IANA name of a zone: {error}"),
            "timezone = \"UTC\", or \"Europe/Berlin\"",
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

fn keys(config: &Config, faults: &mut Vec<Fault>) {
    if config.write_key.as_ref().is_some_and(Secret::is_blank) {
        faults.push(Fault::new(
            "write_key",
            "must not be empty",
            "leave it out, and one is made and kept in the data dir",
        ));
    }
}

fn http(config: &Config, faults: &mut Vec<Fault>) {
    let http = &config.http;
    if http.listen.port() != 0 && http.listen == config.admin.listen {
        faults.push(Fault::new(
            "admin.listen",
            "must differ from http.listen",
            "give one of them another port",
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
            "max_batch = \"8 MiB\"",
        ));
    }
    if config.capture.lease.as_secs() < 2 {
        faults.push(Fault::new(
            "capture.lease",
            "must be at least 2s",
            "lease = \"10s\"",
        ));
    }
}
